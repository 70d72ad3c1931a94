"""Turns single submissions into batches, without making anybody wait who need not.

When nothing is under way a submission goes out at once, alone. While a call is under way further submissions gather;
when it returns they go out together. So an idle line adds no delay, a busy one fills its batches by itself, and there
is no timer to tune. Each submitter learns the fate of its own entry.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from busframe.errors import BusframeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from anyio.abc import TaskGroup

E = TypeVar("E")
O = TypeVar("O")  # noqa: E741 - outcome


class _Entry(Generic[E, O]):
    __slots__ = ("done", "entry", "error", "outcome", "size")

    def __init__(self, entry: E, size: int) -> None:
        self.entry = entry
        self.size = size
        self.done = anyio.Event()
        self.outcome: O | None = None
        self.error: BusframeError | None = None


class Batcher(Generic[E, O]):
    """Collects entries for one batch call.

    Args:
        tasks: runs the calls; has to live as long as anybody submits.
        call: takes 1 to `entries_max` entries and returns one outcome for each, in order.
        entries_max: most entries in one call.
        bytes_max: largest sum of `size` over one call; an entry larger than that goes alone.
        size: what an entry counts toward `bytes_max`; None counts nothing.
        calls_max: how many calls may be under way. A further one starts only for a full batch.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        call: Callable[[Sequence[E]], Awaitable[Sequence[O]]],
        *,
        entries_max: int,
        bytes_max: int = 0,
        size: Callable[[E], int] | None = None,
        calls_max: int = 1,
    ) -> None:
        self._tasks = tasks
        self._call = call
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._size = size
        self._calls_max = calls_max
        self._calls = 0
        self._waiting: deque[_Entry[E, O]] = deque()

    async def submit(self, entry: E) -> O:
        """Have `entry` sent, and return its outcome.

        Cancelled before its call began, the entry is withdrawn; later, it goes its way and nobody hears of it.

        Raises:
            BusframeError: the call failed as a whole.
        """
        waiting: _Entry[E, O] = _Entry(entry, self._size(entry) if self._size else 0)
        self._waiting.append(waiting)
        if self._calls == 0 or (self._calls < self._calls_max and len(self._waiting) >= self._entries_max):
            self._calls += 1
            self._tasks.start_soon(self._run)
        try:
            await waiting.done.wait()
        except BaseException:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            raise
        if waiting.error is not None:
            raise waiting.error
        return waiting.outcome  # type: ignore[return-value]  # set when there is no error; O itself may include None

    async def _run(self) -> None:
        """Make calls until nothing waits."""
        try:
            while self._waiting:
                batch = self._take()
                try:
                    outcomes = await self._call([waiting.entry for waiting in batch])
                except BusframeError as error:
                    for waiting in batch:
                        waiting.error = error
                else:
                    for waiting, outcome in zip(batch, outcomes, strict=True):
                        waiting.outcome = outcome
                for waiting in batch:
                    waiting.done.set()
        finally:
            self._calls -= 1

    def _take(self) -> list[_Entry[E, O]]:
        batch = [self._waiting.popleft()]
        room = self._bytes_max - batch[0].size
        while (
            self._waiting and len(batch) < self._entries_max and (not self._bytes_max or self._waiting[0].size <= room)
        ):
            room -= self._waiting[0].size
            batch.append(self._waiting.popleft())
        return batch
