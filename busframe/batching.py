"""Turns single submissions into batches, without making anybody wait who need not.

When nothing is under way a submission goes out at once, alone. While a call is under way further submissions gather;
when it returns they go out together, or before, when they fill a batch or have waited for `LINGER_S`. So an idle line
adds no delay, and a busy one fills its batches by itself. Each submitter learns the fate of its own entry.

How many calls may be under way bounds what goes out to a broker that is some way off: four calls of ten entries, at
20 ms each, are 2,000 entries a second. So full batches may have more company there, `FULL_CALLS_MAX` calls in all. They
cost no more calls for that; batches that are not full would, and wait until one of the first `calls_max` returns.
"""

from __future__ import annotations

import copy
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from busframe import runtime
from busframe.crew import Crew
from busframe.errors import BackendError, BusframeError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import anyio
    from anyio.abc import TaskGroup

E = TypeVar("E")
O = TypeVar("O")  # noqa: E741 - outcome

LINGER_S: Final = 0.005
"""No entry waits longer for others to fill its batch, as long as a further call may be made."""

FULL_CALLS_MAX: Final = 10
"""Calls under way while batches are full; as many as a consumer has polls at most."""

_WITHDRAWN: Final = object()


class _Batch(Generic[E, O]):
    """Entries that go out together.

    Attributes:
        size: of all of them.
        withdrawn: some of the entries are `_WITHDRAWN`.
        full: nothing more goes in.
        aged: has waited through one look of the clock already.
        told: set when `outcomes` is, or `error`; made by the first submitter who waits for it.
    """

    __slots__ = ("aged", "entries", "error", "full", "outcomes", "size", "told", "withdrawn")

    def __init__(self) -> None:
        self.entries: list[E] = []
        self.size = 0
        self.withdrawn = False
        self.full = False
        self.aged = False
        self.told: runtime.Signal | anyio.Event | None = None
        self.outcomes: Sequence[O] = ()
        self.error: BusframeError | None = None

    def tell(self, outcomes: Sequence[O] = (), error: BusframeError | None = None) -> None:
        """Let the submitters know."""
        self.outcomes = outcomes
        self.error = error
        if self.told is not None:
            self.told.set()


Begun = tuple[_Batch[E, O], int]
"""An entry under way: its batch, and its place in it."""


class Batcher(Generic[E, O]):
    """Collects entries for one batch call.

    Args:
        tasks: runs the calls; has to live until the batcher is closed.
        call: takes 1 to `entries_max` entries and returns one outcome for each, in order.
        entries_max: most entries in one call.
        bytes_max: largest sum of `size` over one call, where `size` is given; an entry larger than that goes alone.
        size: what an entry counts toward `bytes_max`; None counts nothing.
        calls_max: how many calls may be under way. A further one starts for a full batch, or one that has waited. Where
            calls take longer than `LINGER_S`, full batches may have `FULL_CALLS_MAX`, unless this is 1.
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
        self._full_calls_max = max(calls_max, FULL_CALLS_MAX) if calls_max > 1 else 1
        self._distant = False  # the last call took longer than `LINGER_S`
        self._now_s = runtime.clock()
        self._calls = 0
        self._coming = 0  # of these, called for and not yet at work
        self._waiting: deque[_Batch[E, O]] = deque()
        self._callers = Crew(tasks, self._make_calls, members_max=self._full_calls_max)
        self._clock_runs = False
        self._closed = False

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is under way."""
        return not self._waiting and not self._calls

    def post(self, entry: E) -> None:
        """Have `entry` sent; `call` is all that hears of its outcome."""
        self._join(entry)

    async def submit(self, entry: E) -> O:
        """Have `entry` sent, and return its outcome.

        Cancelled before its call began, the entry is withdrawn; later, it may have gone its way or not.

        Raises:
            BusframeError: the call failed as a whole.
        """
        if self._closed:
            raise _closed()
        if not self._calls and not self._waiting:
            return await self._submit_alone(entry)
        batch, index = self._join(entry)
        if batch.told is None:
            batch.told = runtime.signal()
        try:
            await batch.told.wait()
        except BaseException:
            self._withdraw(batch, index)
            raise
        if batch.error is not None:
            raise _own(batch.error)
        return batch.outcomes[index]

    def begin(self, entry: E) -> Begun[E, O]:
        """Have `entry` sent, for `finish` to tell its outcome.

        So that a task with entries for many lines can begin them all before it waits for the first.
        """
        batch, index = self._join(entry)
        if batch.told is None:
            batch.told = runtime.signal()
            if batch.error is not None:  # Refused at once: the batcher is closed.
                batch.told.set()
        return batch, index

    async def finish(self, begun: Begun[E, O]) -> O:
        """Wait for the outcome of an entry. Cancellation and errors as `submit`."""
        batch, index = begun
        if batch.told is not None and not batch.told.is_set():
            try:
                await batch.told.wait()
            except BaseException:
                self._withdraw(batch, index)
                raise
        if batch.error is not None:
            raise _own(batch.error)
        return batch.outcomes[index]

    def close(self) -> None:
        """Refuse what waits and what comes; let calls under way end."""
        self._closed = True
        self._refuse_waiting()
        self._callers.dismiss()

    # --- gathering --------------------------------------------------------------------------------------------------

    def _join(self, entry: E) -> tuple[_Batch[E, O], int]:
        waiting = self._waiting
        size = 0 if self._size is None else self._size(entry)
        last = waiting[-1] if waiting else None
        batch: _Batch[E, O]
        if last is not None and not last.full and last.size + size <= self._bytes_max:
            batch = last
        else:
            if last is not None:
                last.full = True
            batch = _Batch()
            waiting.append(batch)
        index = len(batch.entries)
        batch.entries.append(entry)
        batch.size += size
        if index + 1 == self._entries_max:
            batch.full = True
        if self._closed:
            self._refuse_waiting()
        elif not self._calls:
            self._start()
        elif self._calls < self._calls_max:
            if self._full_waiting() > self._coming:
                self._start()
            elif not self._clock_runs:
                self._clock_runs = True
                self._tasks.start_soon(self._run_clock)
        elif batch.full and self._may_have_company() and self._full_waiting() > self._coming:
            self._start()
        return batch, index

    def _may_have_company(self) -> bool:
        """Tell whether a full batch may go out beside `calls_max` others."""
        return self._distant and self._calls < self._full_calls_max

    def _full_waiting(self) -> int:
        """How many full batches wait: all, or all but the last."""
        return len(self._waiting) - (not self._waiting[-1].full)

    async def _run_clock(self) -> None:
        """See to it that nobody waits for `LINGER_S`; runs while somebody waits.

        One task looks twice in that time, where a timer for each batch would cost more than the batch.
        """
        while self._waiting:
            await runtime.sleep(LINGER_S / 2)
            if self._waiting and self._waiting[0].aged and self._calls < self._calls_max:
                self._start()
            for batch in self._waiting:
                batch.aged = True
        self._clock_runs = False

    def _withdraw(self, batch: _Batch[E, O], index: int) -> None:
        """Take an entry out, if its call has not begun."""
        if batch in self._waiting:
            batch.entries[index] = cast("E", _WITHDRAWN)
            batch.withdrawn = True

    def _refuse_waiting(self) -> None:
        while self._waiting:
            self._waiting.popleft().tell(error=_closed())

    # --- calling ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._calls += 1
        self._coming += 1
        self._callers.call()

    async def _submit_alone(self, entry: E) -> O:
        """Make the call in the submitter's own task: nobody else depends on it."""
        self._calls += 1
        try:
            outcomes, error = await self._try([entry])
        finally:
            self._calls -= 1
            if self._waiting and not self._calls:
                self._start()
        if error is not None:
            raise error
        return outcomes[0]

    async def _make_calls(self) -> bool:
        """Make calls until nothing waits."""
        self._coming -= 1
        batch: _Batch[E, O] | None = None
        try:
            while self._waiting and (self._calls <= self._calls_max or self._waiting[0].full):
                batch = self._waiting.popleft()
                if batch.withdrawn:
                    await self._make_call_without_withdrawn(batch)
                else:
                    batch.tell(*await self._try(batch.entries))
                # One more with each call that returns, beside the one that this task goes on with.
                if self._waiting and self._may_have_company() and self._full_waiting() > self._coming + 1:
                    self._start()
        except BaseException:
            # The program is being torn down. Whoever waits outside of what is torn down must not wait for ever.
            if batch is not None:
                batch.tell(error=BackendError("the connection was closed while this was sent", effect="unknown"))
            if self._calls == 1:
                self._refuse_waiting()
            raise
        finally:
            self._calls -= 1
        return True

    async def _make_call_without_withdrawn(self, batch: _Batch[E, O]) -> None:
        kept = [index for index, entry in enumerate(batch.entries) if entry is not _WITHDRAWN]
        if not kept:
            return
        outcomes, error = await self._try([batch.entries[index] for index in kept])
        by_index = dict(zip(kept, outcomes, strict=False))
        batch.tell([by_index.get(index) for index in range(len(batch.entries))], error)  # type: ignore[misc]  # None is for the withdrawn

    async def _try(self, entries: list[E]) -> tuple[Sequence[O], BusframeError | None]:
        """Make one call; whatever comes of it is an answer to the submitters, not to the task."""
        begun_s = self._now_s()
        try:
            outcomes = await self._call(entries)
            self._distant = self._now_s() - begun_s >= LINGER_S
        except BusframeError as error:
            self._distant = False  # a broker that fails, or throttles, is not to be asked for more at once
            return (), error
        except Exception as error:  # noqa: BLE001 - a bug in a backend must not end the line for everybody
            return (), unforeseen(error)
        if len(outcomes) != len(entries):
            return (), unaccounted(len(outcomes), len(entries))
        return outcomes, None


def unforeseen(error: Exception) -> BackendError:
    """What the callers of a backend are told that raised something that its contract does not have."""
    broken = BackendError(f"the backend failed in an unforeseen way: {error!r}", effect="unknown")
    broken.__cause__ = error
    return broken


def unaccounted(outcomes: int, entries: int) -> BackendError:
    """What they are told if a backend has not told the fate of each entry."""
    return UnavailableError(f"the backend answered for {outcomes} of {entries} entries", effect="unknown")


def _closed() -> BackendError:
    return BackendError("the connection was closed before this was sent")


def _own(error: BusframeError) -> BusframeError:
    """Give each submitter an error of its own: who catches it may write to it, and raising it gives it a traceback."""
    if not isinstance(error, BackendError):
        return error
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    return own
