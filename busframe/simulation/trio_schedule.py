"""trio in virtual time, its every step following from a schedule.

The clock is trio's own `MockClock` with an autojump. The order comes through two private names of trio's: a flag that
makes it sort what is ready by the tasks' age, and the random generator that then shuffles the sorted list. In place of
the generator stands an object whose `shuffle` asks the `Schedule`. trio has both for its users' tests (its Hypothesis
support sets the flag), but no public way to say more than a seed; so the first use checks that they are there, and
says which version of trio it does not know.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from busframe.errors import MissingExtraError
from busframe.simulation.errors import DeadlockError, LivelockError, SimulationError
from busframe.simulation.places import place_of

if TYPE_CHECKING:
    from collections.abc import Generator

    import anyio

    from busframe.simulation.schedule import Schedule, Trace

_FLAG = "_ALLOW_DETERMINISTIC_SCHEDULING"
_GENERATOR = "_r"
_IDLE_MAX = 2


@contextmanager
def scheduled(schedule: Schedule, trace: Trace | None) -> Generator[tuple[Any, list[Any]], None, None]:
    """Let trio run by a schedule; gives the clock and the instruments with which to start it.

    Raises:
        MissingExtraError: trio is not installed.
        SimulationError: this version of trio has no such place to put a schedule.
    """
    try:
        run: Any = import_module("trio._core._run")
        testing: Any = import_module("trio.testing")
    except ImportError as error:
        raise MissingExtraError(package="trio", extra="trio", needed_for="backend='trio'") from error
    _require_known(run)
    births = _Births()
    before = getattr(run, _FLAG), getattr(run, _GENERATOR)
    setattr(run, _FLAG, True)
    setattr(run, _GENERATOR, _Order(schedule, births))
    try:
        clock = testing.MockClock(autojump_threshold=0)
        yield clock, [births] if trace is None else [births, _Steps(trace, births, clock)]
    finally:
        setattr(run, _FLAG, before[0])
        setattr(run, _GENERATOR, before[1])


def _require_known(run: Any) -> None:
    if not isinstance(getattr(run, _FLAG, None), bool) or not hasattr(getattr(run, _GENERATOR, None), "shuffle"):
        version = import_module("trio").__version__
        raise SimulationError(
            f"trio {version} cannot be scheduled: its {_FLAG} and {_GENERATOR} are gone; use backend='asyncio', or an "
            "older trio (0.35 is known to work)"
        )


class _Births:
    """A trio instrument that numbers tasks from 1 in each run: trio's own numbers go on from one run to the next."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def task_spawned(self, task: Any) -> None:
        """Number a task."""
        self._numbers[task._counter] = len(self._numbers) + 1  # noqa: SLF001 - trio has no other name for it

    def of(self, task: Any) -> int:
        """Its number; 0 for trio's own first tasks, which come before any instrument."""
        return self._numbers.get(task._counter, 0)  # noqa: SLF001 - the same


class _Order:
    """What trio takes for its random generator."""

    def __init__(self, schedule: Schedule, births: _Births) -> None:
        self._schedule = schedule
        self._births = births

    def shuffle(self, batch: list[Any]) -> None:
        """Deviate from the order of age, in which the tasks are."""
        self._schedule.arrange(batch, self._births.of)

    def random(self) -> float:
        """Whether trio turns a batch around, which it does not ask while the flag is set."""
        return 1.0

    def uniform(self, low: float, high: float) -> float:  # noqa: ARG002 - as a random generator's
        """Where trio's own clock starts."""
        return low


class TrioWatch:
    """A trio instrument that finds deadlocks and livelocks, and ends the program for them.

    Args:
        clock: of the run.
        steps_max: steps at one instant before it counts as a livelock.

    Attributes:
        scope: what to cancel: the program.
        failure: what was found.
    """

    def __init__(self, clock: Any, *, steps_max: int) -> None:
        self.scope: anyio.CancelScope
        self.failure: BaseException | None = None
        self._clock = clock
        self._steps_max = steps_max
        self._steps = 0
        self._at_s = 0.0
        self._idle = 0
        self._lowlevel: Any = import_module("trio").lowlevel

    def before_task_step(self, task: Any) -> None:  # noqa: ARG002 - trio calls it so
        """Count steps at one instant."""
        self._idle = 0
        now_s = self._clock.current_time()
        if now_s != self._at_s:
            self._at_s, self._steps = now_s, 0
        self._steps += 1
        if self._steps == self._steps_max:
            self._fail(LivelockError(now_s, self._steps, self._where_tasks_wait()))

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio calls it so
        """Notice that nothing is left to run and nothing left to wait for.

        Twice in a row: the clock jumps after the first time, if there is anything to jump to.
        """
        self._idle += 1
        if self._idle > _IDLE_MAX and self._lowlevel.current_statistics().seconds_to_next_deadline == float("inf"):
            self._idle = 0
            self._fail(DeadlockError(self._clock.current_time(), self._where_tasks_wait()))

    def _fail(self, failure: BaseException) -> None:
        if self.failure is None:
            self.failure = failure
            self.scope.cancel()

    def _where_tasks_wait(self) -> list[str]:
        lines: list[str] = []
        tasks = [self._lowlevel.current_root_task()]
        while tasks:
            task = tasks.pop()
            for nursery in reversed(task.child_nurseries):
                tasks += sorted(nursery.child_tasks, key=lambda child: -child._counter)  # noqa: SLF001 - as above
            if "site-packages/trio" not in getattr(task.coro, "cr_code", task.coro).co_filename:
                lines.append(f"{task.name}: {place_of(task.coro)}")
        return lines


class _Steps:
    """A trio instrument that traces."""

    def __init__(self, trace: Trace, births: _Births, clock: Any) -> None:
        self._trace = trace
        self._births = births
        self._clock = clock

    def before_task_step(self, task: Any) -> None:
        self._trace.note(round(self._clock.current_time() * 1e6), f"task {self._births.of(task)}")
