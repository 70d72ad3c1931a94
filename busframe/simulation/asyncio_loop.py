"""An asyncio event loop in virtual time whose every step follows from its schedule.

*Time.* When no callback is ready the clock jumps to the next timer. Nothing is waited for, so a virtual week takes as
long as its steps.

*Order.* asyncio promises that callbacks run in the order in which they were scheduled, and anyio's cancellation counts
on it. But who schedules first is often left to chance: anyio keeps tasks and scopes in sets, which Python orders by
address. So what is ready at one moment is taken as a list in which the steps of tasks and other callbacks alternate;
other callbacks keep their places, and within each unbroken run of task steps the tasks are put in the order of their
birth, from which the `Schedule` may deviate. Permuting more than that breaks programs that are correct: anyio's own
test suite, run on this loop, is what draws the line.

*Escapes.* What this loop cannot simulate (sockets, processes, signals, threads) is refused by name.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - this is an asyncio event loop
import threading
import weakref
from asyncio import base_events, events, futures  # noqa: TID251 - the same
from contextvars import Context, copy_context
from functools import partial
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVarTuple, cast

from busframe.simulation.errors import DeadlockError, LivelockError
from busframe.simulation.escapes import escape
from busframe.simulation.places import place_of
from busframe.simulation.schedule import Schedule, Trace

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Coroutine, Iterator

Ts = TypeVarTuple("Ts")

STEPS_MAX: Final = 100_000
"""Steps at one instant after which a program counts as livelocked: a thousand tasks may each take a hundred."""

_SWEEP_MIN: Final = 256

_wake: Final = cast("Callable[..., None]", vars(futures)["_set_result_unless_cancelled"])
"""How asyncio itself ends a sleep."""


class SimTask(asyncio.Task[Any]):
    """A task that knows how many were born before it; sets of tasks are in the order of that number."""

    birth = 0

    def __hash__(self) -> int:
        return self.birth

    # Defining __hash__ alone is not enough: a class with one of the two loses the other.
    __eq__ = object.__eq__

    def __str__(self) -> str:
        # anyio writes the canceller down with every scope it cancels. asyncio's own words look up a source line.
        return f"task {self.get_name()}"


class _Handle(events.Handle):
    """A handle that does not remember where it was made, which asking for takes as long as making it."""

    __slots__ = ()

    def __init__(
        self: Any, callback: Callable[..., object], args: tuple[Any, ...], loop: SimLoop, context: Context | None
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = self._source_traceback = None


class _Timer(events.TimerHandle):
    """The same for a timer, which is among its loop's timers, and so tells it when it is cancelled."""

    __slots__ = ()

    def __init__(
        self: Any,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: SimLoop,
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = self._source_traceback = None
        self._when = when
        self._scheduled = True


class _Base(base_events.BaseEventLoop):
    """What the stubs leave out: this loop is made of its base's private parts."""

    _ready: deque[Any]
    _stopping: bool
    _thread_id: int | None
    _timer_cancelled_count: int


class SimLoop(_Base):
    """See the head of this file.

    Args:
        schedule: who goes first; None: the canonical order.
        trace: is told every step; None: nobody is.
        steps_max: steps at one instant before `LivelockError`.

    Attributes:
        failure: what the loop itself found: a deadlock, a livelock, a call from a foreign thread. It cancels all tasks
            when it finds it, so that the program ends; whoever runs the loop raises this instead of what comes out.
        steps: taken so far.
        jumps: of the clock, so far.
    """

    def __init__(
        self, schedule: Schedule | None = None, trace: Trace | None = None, *, steps_max: int = STEPS_MAX
    ) -> None:
        super().__init__()
        self.failure: BaseException | None = None
        self.steps = 0
        self.jumps = 0
        self._schedule = schedule or Schedule()
        self._trace = trace
        self._steps_max = steps_max
        self._steps_at_instant = 0
        self._now_s = 0.0
        self._births = 0
        self._timers: list[tuple[float, int, events.TimerHandle]] = []
        self._timer_number = 0
        self._foreign: list[BaseException] = []
        # A WeakSet is ordered by address; closing the generators at the end is part of the run.
        self._asyncgens: Any = _OrderedWeakSet()
        self.set_task_factory(cast("Any", self._make_task))

    # --- time -------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.TimerHandle:
        """See asyncio. Timers are kept as tuples: comparing the handles themselves costs more than all the rest."""
        timer = _Timer(when, callback, args, self, context)
        self._timer_number += 1
        heappush(self._timers, (when, self._timer_number, timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.TimerHandle:
        """See asyncio."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> events.Handle:
        """See asyncio; without its checks for debugging, which cost more than the rest."""
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    async def sleep(self, delay_s: float) -> None:
        """What `asyncio.sleep` does, with less asking around."""
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        future = self.create_future()
        timer = self.call_at(self._now_s + delay_s, _wake, future, None)
        try:
            await future
        finally:
            timer.cancel()

    def _timer_handle_cancelled(self, handle: Any) -> None:
        if not handle._scheduled:  # noqa: SLF001 - as asyncio's own loop does
            return  # It has fired: whoever slept takes it back all the same.
        self._timer_cancelled_count += 1
        if self._timer_cancelled_count > _SWEEP_MIN and self._timer_cancelled_count * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
            heapify(self._timers)
            self._timer_cancelled_count = 0

    # --- steps ------------------------------------------------------------------------------------------------------

    def _run_once(self) -> None:  # noqa: C901, PLR0912 - a call more for each step would be a tenth of its time
        """Run what is ready, after a jump of the clock if that is nothing; and again, until the loop is to stop.

        asyncio asks for one round at a time; most have one step, and a call for each is dear.
        """
        ready = self._ready
        while True:
            if self._foreign:
                self._fail(self._foreign.pop(0))
            if self._timers and (not ready or self._timers[0][0] <= self._now_s):
                self._make_due(jump=not ready and not self._stopping)
            if not ready:
                if self._stopping:
                    return
                self._fail(DeadlockError(self._now_s, self._where_tasks_wait()))
                continue
            batch = list(ready)
            ready.clear()
            if len(batch) > 1:
                self._put_in_order(batch)
            for handle in batch:
                if not handle._cancelled:  # noqa: SLF001 - as asyncio's own loop does
                    if self._trace is not None:
                        self._trace.note(round(self._now_s * 1e6), self._name(handle))
                    try:
                        handle._context.run(handle._callback, *handle._args)  # noqa: SLF001 - as a handle's own _run
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:  # noqa: BLE001 - the same
                        what = {"message": f"Exception in callback {handle}", "exception": error, "handle": handle}
                        self.call_exception_handler(what)
            self.steps += len(batch)
            self._steps_at_instant += len(batch)
            if self._steps_at_instant > self._steps_max:
                steps, self._steps_at_instant = self._steps_at_instant, 0
                self._fail(LivelockError(self._now_s, steps, self._where_tasks_wait()))
            if self._stopping:
                return

    def _make_due(self, *, jump: bool) -> None:
        """Make ready what is due, in the order of its times."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:  # noqa: SLF001 - as asyncio's own loop does
            heappop(timers)
            self._timer_cancelled_count -= 1
        if jump and timers and timers[0][0] > self._now_s:
            self._now_s = timers[0][0]
            self.jumps += 1
            self._steps_at_instant = 0
        while timers and timers[0][0] <= self._now_s:
            timer: Any = heappop(timers)[2]
            if timer._cancelled:  # noqa: SLF001 - the same
                self._timer_cancelled_count -= 1
            else:
                timer._scheduled = False  # noqa: SLF001 - the same
                self._ready.append(timer)

    def _put_in_order(self, batch: list[Any]) -> None:
        """Sort each run of task steps by birth, and let the schedule say who goes first."""
        births = [_birth(handle) for handle in batch]
        start = 0
        while start < len(batch):
            if not births[start]:
                start += 1
                continue
            end = start + 1
            while end < len(batch) and births[end]:
                end += 1
            if end - start > 1:
                run = sorted(batch[start:end], key=_birth)
                self._schedule.arrange(run, _birth)
                batch[start:end] = run
            start = end

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> SimTask:
        task = SimTask.__new__(SimTask)
        self._births += 1
        # Before anything looks at its hash: making a task puts it into a set.
        task.birth = self._births
        task.__init__(coroutine, loop=loop, **options)  # type: ignore[misc]
        return task

    def _name(self, handle: Any) -> str:
        birth = _birth(handle)
        if birth:
            return f"task {birth}"
        callback = _callback(handle)
        return str(getattr(callback, "__qualname__", type(callback).__qualname__))

    # --- when it goes wrong -----------------------------------------------------------------------------------------

    def _fail(self, failure: BaseException) -> None:
        """End the program. If it does not end, end the loop."""
        if self.failure is not None:
            raise failure
        self.failure = failure
        for task in sorted(asyncio.all_tasks(self), key=_birth_of_task):
            task.cancel()

    def _where_tasks_wait(self) -> list[str]:
        tasks = sorted(asyncio.all_tasks(self), key=_birth_of_task)
        return [f"{task.get_name()}: {place_of(task.get_coro())}" for task in tasks]

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.Handle:
        """See asyncio. From another thread it is refused, in the loop: raised in that thread it would be lost."""
        if self._thread_id not in (None, threading.get_ident()):
            self._foreign.append(
                escape("loop.call_soon_threadsafe from another thread", "no thread may take part in a simulation")
            )
            return events.Handle(callback, args, self, context)
        return self.call_soon(callback, *args, context=context)

    def _write_to_self(self) -> None:
        pass

    def _process_events(self, event_list: Any) -> None:
        pass

    def run_in_executor(self, *_args: Any, **_options: Any) -> NoReturn:  # type: ignore[override]
        """Refused."""
        raise escape("loop.run_in_executor", "threads do not know virtual time; await instead")


def _escape(name: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(self: SimLoop, *_args: Any, **_options: Any) -> NoReturn:  # noqa: ARG001 - a method
        raise escape(f"loop.{name}", instead)

    return refuse


_NETWORK: Final = "there is no network in virtual time; use memory://, or hand in a fake"
_SYSTEM: Final = "there is no operating system in virtual time; hand in a fake"
_REFUSED: Final = (
    (
        _NETWORK,
        """add_reader add_writer remove_reader remove_writer sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into
        sock_sendall sock_sendto sock_connect sock_accept sock_sendfile create_connection create_server
        create_datagram_endpoint create_unix_connection create_unix_server connect_accepted_socket sendfile start_tls
        getaddrinfo getnameinfo""",
    ),
    (
        _SYSTEM,
        """subprocess_exec subprocess_shell connect_read_pipe connect_write_pipe add_signal_handler
        remove_signal_handler""",
    ),
)
for _instead, _names in _REFUSED:
    for _method in _names.split():
        setattr(SimLoop, _method, _escape(_method, _instead))


class _OrderedWeakSet:
    """As much of a WeakSet as asyncio uses, in the order in which things were added."""

    def __init__(self) -> None:
        self._things: dict[int, weakref.ref[Any]] = {}

    def add(self, thing: Any) -> None:
        key = id(thing)
        self._things[key] = weakref.ref(thing, lambda _: self._things.pop(key, None))

    def discard(self, thing: Any) -> None:
        self._things.pop(id(thing), None)

    def clear(self) -> None:
        self._things.clear()

    def __iter__(self) -> Iterator[Any]:
        return iter([thing for reference in list(self._things.values()) if (thing := reference()) is not None])

    def __len__(self) -> int:
        return len(self._things)


def _callback(handle: Any) -> Any:
    callback = handle._callback  # noqa: SLF001 - asyncio has no public name for it
    while isinstance(callback, partial):
        callback = callback.func
    return callback


def _birth(handle: Any) -> int:
    """The birth number of the task whose step this is; 0 if it is no task's."""
    owner = getattr(handle._callback, "__self__", None)  # noqa: SLF001 - the same
    return owner.birth if type(owner) is SimTask else 0


def _birth_of_task(task: asyncio.Task[Any]) -> int:
    return task.birth if isinstance(task, SimTask) else 0
