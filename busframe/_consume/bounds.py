"""Where consumers end by themselves: after so many deliveries, or when nothing is left to do.

Shared by all consumers of one run, each of one queue. Decides, and keeps count.

*Nothing is left* when every consumer has looked, with nothing in its hands, and found nothing, and none has taken or
let go of a message since that look began: what a handler sends it sends before its message is let go of, so the
consumer of that queue looks once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Hashable

LOOK_S: Final = 1.0
"""How long a poll waits where others want its places, or an end: long enough that SQS asks all of its servers."""

SHORT_LOOK_S: Final = 0.1
"""How long to look whether nothing is left, where the broker knows what it has."""

FAILURES_MAX: Final = 5
"""A run that is to end does not wait for ever for a broker that fails. So many take some three seconds."""


class Bounds:
    """What bounds a run, if anything does.

    Args:
        consumers: how many share it.
        deliveries_max: how many deliveries they may take together, 1 or more; None is no bound.
        until_empty: end when nothing is left that could be received now.

    Attributes:
        reached: set when the run has to end.
        activity: grows whenever a consumer takes messages or lets go of one.
        error: why the run could not go on, if it ends for that.
    """

    __slots__ = (
        "_changed",
        "_consumers",
        "_idle",
        "_left",
        "_lent",
        "_turn",
        "activity",
        "error",
        "reached",
        "until_empty",
    )

    def __init__(self, *, consumers: int = 1, deliveries_max: int | None = None, until_empty: bool = False) -> None:
        if deliveries_max is not None and deliveries_max < 1:
            raise InvalidArgumentError("deliveries_max", deliveries_max, "1 or more, or None for no bound")
        self.reached = anyio.Event()
        self.activity = 0
        self.error: Exception | None = None
        self.until_empty = until_empty
        self._consumers = consumers
        self._left = deliveries_max
        self._lent = 0
        self._changed = anyio.Event()
        self._turn = anyio.Lock()
        self._idle: dict[Hashable, int] = {}

    async def borrow(self, places: int) -> int:
        """Wait until one more delivery may be taken, and tell how many, `places` at most. `take` gives them back."""
        if self._left is None:
            return places
        # In turn: one that comes back for more must not overtake those who wait.
        async with self._turn:
            while (free := self._left - self._lent) < 1:
                await self._changed.wait()
            # A share, so that one queue's long look does not keep the others from theirs.
            lent = min(places, max(1, free // self._consumers))
            self._lent += lent
            return lent

    def take(self, lent: int, taken: int) -> None:
        """Give back what was borrowed, after taking so many deliveries."""
        if taken:
            self.activity += 1
        if self._left is None:
            return
        self._lent -= lent
        self._left -= taken
        if self._left <= 0:
            self.reached.set()
        self._changed.set()
        self._changed = anyio.Event()

    def wait_s(self, longest_s: float, *, exact: bool) -> float:
        """How long a poll may wait.

        Args:
            longest_s: at most.
            exact: the broker knows what it has, and an answer is empty only if nothing is there.
        """
        if self.until_empty:
            return min(longest_s, SHORT_LOOK_S if exact else LOOK_S)
        shared = self._left is not None and self._consumers > 1
        return min(longest_s, LOOK_S) if shared else longest_s

    def found_nothing(self, consumer: Hashable, activity: int) -> None:
        """Note that a consumer with nothing in its hands has looked in vain.

        Args:
            consumer: which.
            activity: as it was when the look began.
        """
        self._idle[consumer] = activity
        if self.until_empty and len(self._idle) == self._consumers and min(self._idle.values()) == self.activity:
            self.reached.set()

    def failed(self, failures: int, error: Exception) -> None:
        """Note that a poll failed, the n-th in a row."""
        if self.until_empty and failures >= FAILURES_MAX:
            self.error = error
            self.reached.set()
