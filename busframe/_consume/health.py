"""How the consumers of a connection are, told by what they get done: a process that is alive may long have stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe._consume.polling import Polling, PollState
    from busframe.message import QueueName

STUCK_AFTER_S: Final = 600.0
STALE_AFTER_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerHealth:
    """How one consumer of one queue is.

    Attributes:
        state: of its polling. "failed": error after error that waiting will hardly mend, such as a missing permission
            or queue; it looks again once a minute.
        good_poll_s: seconds since a poll last came back, with messages or without; None if none has. It grows while all
            places are taken, which is no fault.
        failures: polls that failed since.
        error: the last of these failures.
        in_hand: messages taken and not yet settled.
        running: of these, the ones whose handlers run.
        oldest_running_s: seconds since the oldest of them was asked for, None if no handler runs.
        stuck: handlers that have been running for too long.
        healthy: no handler is stuck, and polls come back, or have failed for a short while only.
    """

    queue: QueueName
    state: PollState
    good_poll_s: float | None
    failures: int
    error: str | None
    in_hand: int
    running: int
    oldest_running_s: float | None
    stuck: int
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the consumers of a connection are; there are none where nothing is being consumed."""

    consumers: Sequence[ConsumerHealth]

    @property
    def healthy(self) -> bool:
        """All of them are."""
        return all(consumer.healthy for consumer in self.consumers)


def consumer_health(
    queue: QueueName,
    polling: Polling,
    *,
    in_hand: int,
    running_since_s: Sequence[float],
    now_s: float,
    stuck_after_s: float,
    stale_after_s: float,
) -> ConsumerHealth:
    """Judge; for the last two arguments see `Live.health`."""
    ages_s = [now_s - since_s for since_s in running_since_s]
    stuck = sum(age_s > stuck_after_s for age_s in ages_s)
    failing_s = now_s - polling.failing_since_s if polling.failing_since_s is not None else 0.0
    return ConsumerHealth(
        queue=queue,
        state=polling.state,
        good_poll_s=None if polling.good_s is None else now_s - polling.good_s,
        failures=polling.failures,
        error=None if polling.error is None else repr(polling.error),
        in_hand=in_hand,
        running=len(ages_s),
        oldest_running_s=max(ages_s, default=None),
        stuck=stuck,
        healthy=not stuck and polling.state != "failed" and failing_s <= stale_after_s,
    )
