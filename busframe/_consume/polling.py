"""How a poll loop stands, and when it tries again after an error. Decides, and does nothing.

    starting ──good──> running <──good── backing off, failed
        │                 │
        └──────bad────────┴──bad──> backing off ──FAILED_AFTER hopeless errors in a row──> failed

*Backing off* waits twice as long after each error, from the first one on. An error is hopeless if the same call can
hardly succeed later: access denied, no such queue, a bug. One of them may be a deployment in progress; `FAILED_AFTER`
in a row are reported as *failed*, which health tells and the log says at its highest level. Even then the loop looks
again once in a while and goes on when somebody has put things right: a loop that ends silently loses its queue.

A consumer has one such state for all its polls: the error of one has all of them wait. What was under way already when
an error came in tells nothing about the time after it: neither is it the next error in a row, nor does it end the wait.
"""

from __future__ import annotations

from typing import Final, Literal

from busframe.errors import BackendError

PollState = Literal["starting", "running", "backing off", "failed", "stopped"]

FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 30.0
FAILED_WAIT_S: Final = 60.0
FAILED_AFTER: Final = 5


class Polling:
    """The state of one consumer's polling.

    Attributes:
        failures: errors since the last good poll.
        error: the last of them.
        good_s: when the last good poll ended, on the loop's clock.
        failing_since_s: when the first error since then came; None if there was none.
        due_s: when the next poll may begin, after an error.
    """

    __slots__ = (
        "_failed_s",
        "_hopeless",
        "_wait_s",
        "due_s",
        "error",
        "failing_since_s",
        "failures",
        "good_s",
        "state",
    )

    def __init__(self) -> None:
        self.state: PollState = "starting"
        self.failures = 0
        self.error: Exception | None = None
        self.good_s: float | None = None
        self.failing_since_s: float | None = None
        self.due_s = float("-inf")
        self._failed_s = float("-inf")
        self._hopeless = 0
        self._wait_s = FIRST_WAIT_S

    def good(self, now_s: float, asked_s: float) -> bool:
        """A poll that began at `asked_s` came back, with or without messages. True if that ends a failure."""
        self.good_s = now_s
        if self.state == "running" or asked_s <= self._failed_s:
            return False
        recovered = self.failures > 0
        self.state = "running"
        self.failures = self._hopeless = 0
        self.error = self.failing_since_s = None
        self._wait_s = FIRST_WAIT_S
        return recovered

    def is_news(self, asked_s: float) -> bool:
        """Tell whether the failure of a poll that began at `asked_s` is another one, to be told to `bad`."""
        return asked_s > self._failed_s

    def bad(self, error: Exception, now_s: float, random: float) -> float:
        """A poll failed: tell how many seconds to wait before the next.

        Args:
            error: why.
            now_s: when.
            random: in [0, 1), spreads the wait over its upper half.
        """
        self.error = error
        self._failed_s = now_s
        if self.failing_since_s is None:
            self.failing_since_s = now_s
        self.failures += 1
        hopeless = not (isinstance(error, BackendError) and error.retryable)
        self._hopeless = self._hopeless + 1 if hopeless else 0
        if self._hopeless >= FAILED_AFTER:
            self.state = "failed"
            wait_s = FAILED_WAIT_S
        else:
            self.state = "backing off"
            wait_s = self._wait_s
            self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)
        wait_s *= 0.5 + random / 2
        self.due_s = now_s + wait_s
        return wait_s

    @property
    def outage(self) -> Exception | None:
        """The last error, if it is more than a hiccup; see `is_outage`."""
        return self.error if is_outage(self.failures, ever_good=self.good_s is not None) else None

    def stop(self) -> None:
        """No more polls."""
        self.state = "stopped"


def is_outage(failures: int, *, ever_good: bool) -> bool:
    """Whether a run that ends now has to say that the broker failed.

    Args:
        failures: polls that failed since the last good one.
        ever_good: there was a good one.
    """
    return failures >= FAILED_AFTER or (failures > 0 and not ever_good)
