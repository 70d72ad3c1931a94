"""One run of a program in virtual time, on asyncio or trio."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import anyio

from busframe.errors import InvalidArgumentError
from busframe.simulation.asyncio_loop import STEPS_MAX, SimLoop
from busframe.simulation.schedule import Schedule, Trace
from busframe.simulation.sealing import sealed
from busframe.simulation.trio_schedule import TrioWatch, scheduled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from busframe.simulation.schedule import Ask
    from busframe.simulation.sealing import Threads

R = TypeVar("R")

Backend = Literal["asyncio", "trio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under what a program runs.

    Attributes:
        backend: the event loop.
        ask: a chooser's `ask`, for the schedule; None: the canonical one.
        seed: of what is random to the program itself: `random`, `uuid`, `secrets`.
        threads: what becomes of functions that are to run in threads.
        steps_max: steps at one instant before the program counts as livelocked.
    """

    backend: Backend = "asyncio"
    ask: Ask | None = None
    seed: int = 0
    threads: Threads = "forbid"
    steps_max: int = STEPS_MAX

    def __post_init__(self) -> None:
        if self.backend not in ("asyncio", "trio"):
            raise InvalidArgumentError("backend", self.backend, "'asyncio' or 'trio'")
        if self.threads not in ("forbid", "inline"):
            raise InvalidArgumentError("threads", self.threads, "'forbid' or 'inline'")


CALM: Final = Conditions()


def run_in_virtual_time(
    program: Callable[[], Awaitable[R]], conditions: Conditions = CALM, *, trace: Trace | None = None
) -> R:
    """Run a program to its end; its clock starts at 0 and jumps wherever nothing is left to do.

    Must be called outside any event loop. No garbage is collected during the run, since it would be at other points in
    every run.

    Args:
        program: an async function without arguments.
        conditions: under what.
        trace: is told every step.

    Raises:
        DeadlockError: every task waits and no timer is set.
        LivelockError: no time passes.
        SimulationEscapeError: the program asked for what is not simulated, and did not catch this.
        BaseException: whatever the program raises.
    """
    with _without_garbage_collection():
        if conditions.backend == "asyncio":
            return _run_on_asyncio(program, conditions, trace)
        return _run_on_trio(program, conditions, trace)


def _run_on_asyncio(program: Callable[[], Awaitable[R]], conditions: Conditions, trace: Trace | None) -> R:
    loop = SimLoop(Schedule(conditions.ask), trace, steps_max=conditions.steps_max)
    with sealed(loop.time, seed=conditions.seed, threads=conditions.threads, sleep=loop.sleep):
        try:
            result = anyio.run(program, backend_options={"loop_factory": lambda: loop})
        except BaseException:
            if loop.failure is not None:
                raise loop.failure from None
            raise
    if loop.failure is not None:
        raise loop.failure
    return result


def _run_on_trio(program: Callable[[], Awaitable[R]], conditions: Conditions, trace: Trace | None) -> R:
    with scheduled(Schedule(conditions.ask), trace) as (clock, instruments):
        watch = TrioWatch(clock, steps_max=conditions.steps_max)
        results: list[R] = []

        async def watched() -> None:
            with anyio.CancelScope() as watch.scope:
                results.append(await program())

        options: dict[str, Any] = {"clock": clock, "instruments": [watch, *instruments]}
        with sealed(clock.current_time, seed=conditions.seed, threads=conditions.threads):
            try:
                anyio.run(watched, backend="trio", backend_options=options)
            except BaseException:
                if watch.failure is not None:
                    raise watch.failure from None
                raise
    if watch.failure is not None:
        raise watch.failure
    return results[0]


@contextmanager
def many_runs() -> Generator[None, None, None]:
    """Make collecting before each run cheap: what is there now is not looked at again before the end.

    A program that has been running for a while has millions of objects, a run makes a few thousand.
    """
    if gc.get_freeze_count():
        yield  # Somebody else's business, who will want to thaw it himself.
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


RUNS_PER_COLLECTION: Final = 20
_runs = 0


@contextmanager
def _without_garbage_collection() -> Generator[None, None, None]:
    """Collect nothing during a run, and before it only now and then: it does not see what others left."""
    global _runs  # noqa: PLW0603 - garbage is the process's
    was_on = gc.isenabled()
    if _runs % RUNS_PER_COLLECTION == 0:
        gc.collect()
    _runs += 1
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
