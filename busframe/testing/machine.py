"""State machines of Hypothesis in virtual time: rules may be `async def`, and programs run between them.

    class Shop(SimMachine):
        @initialize()
        async def open(self) -> None:
            await self.sim.queue("orders")
            self.sim.node("worker", worker, count=2)

        @rule(order=st.integers(0, 3))
        async def order(self, order: int) -> None: ...

        @rule(seconds=st.integers(1, 60))
        def wait(self, seconds: int) -> None:
            self.advance(seconds)

        @invariant()
        def nobody_pays_twice(self) -> None: ...

    TestShop = Shop.TestCase

`rule`, `initialize` and `invariant` are Hypothesis's own, for functions with or without `async`. On asyncio only: a run
of trio cannot be entered again.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - owns a loop of asyncio
from contextvars import Context, copy_context
from functools import wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from hypothesis import stateful

from busframe import runtime
from busframe.errors import InvalidArgumentError
from busframe.simulation.asyncio_loop import SimLoop
from busframe.simulation.narrating import LINES_MAX, narrate, shortened, written
from busframe.simulation.schedule import Schedule
from busframe.simulation.sealing import sealed
from busframe.simulation.sim import Sim, entered
from busframe.simulation.world import World, open_world
from busframe_emulator.delivery.sites import SITES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.simulation.sealing import Threads
    from busframe.simulation.verdicts import Check, Violation
    from busframe_emulator.delivery.chooser import Key

R = TypeVar("R")

_hypothesis: Any = stateful
"""The same, for decorators whose types say less than they take."""


class SimMachine(stateful.RuleBasedStateMachine):
    """Owns a world that lives as long as the machine.

    Attributes:
        sim: queues, nodes, effects: see `busframe.simulation.Sim`. Anywhere in the machine and in what it starts
            `sim://` is this world.
        threads: "forbid" refuses what is to run in a thread, "inline" runs it in place.
    """

    threads: Threads = "forbid"
    sim: Sim

    def __init__(self) -> None:
        super().__init__()
        self._faults = _Faults()
        self._loop = SimLoop(Schedule(None))
        self._steps = 0
        self._context: Context | None = None
        self.run(self._open())

    def run(self, awaitable: Awaitable[R]) -> R:
        """Let an awaitable come to its end, and everything else go on meanwhile."""
        self._steps += 1
        with sealed(self._loop.time, seed=self._steps, threads=self.threads, sleep=self._loop.sleep):
            task = self._loop.create_task(_awaited(awaitable), context=self._context)
            try:
                return self._loop.run_until_complete(task)
            finally:
                if self._loop.failure is not None:
                    # What it made of the tasks explains nothing.
                    raise self._loop.failure from None

    def advance(self, seconds: float) -> None:
        """Let time pass: whatever is due meanwhile happens."""
        self.run(runtime.sleep(seconds))

    @property
    def now_s(self) -> float:
        """Virtual seconds since the start."""
        return self._loop.time()

    def disturb(self, site: str, key: Key, answer: int) -> None:
        """Have something happen: what `faults` draws. If its occasion is over, it never does."""
        if site not in SITES:
            raise InvalidArgumentError("site", site, f"one of {', '.join(SITES)}")
        self._faults.answers[site, key] = answer

    def check(self, *checks: Check) -> None:
        """Ask checks of what has happened until now.

        Raises:
            AssertionError: what they found, and what happened.
        """
        outcome = self.run(self.sim.outcome())
        found = [violation for check in checks for violation in check(outcome, None)]
        if found:
            raise AssertionError("\n".join([*(f"{one.check}: {one.text}" for one in found), *self._story(found)]))

    def teardown(self) -> None:
        """End the world, and then whatever is left, in the order of its birth."""
        try:
            if self._loop.failure is None:
                self.run(self._close())
        finally:
            with sealed(self._loop.time, seed=0, threads=self.threads):
                left = sorted(asyncio.all_tasks(self._loop), key=hash)
                for task in left:
                    task.cancel()
                if left:
                    self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        opened = anyio.Event()
        self._end = anyio.Event()
        self._world_task = asyncio.create_task(self._live(opened))
        await opened.wait()

    async def _live(self, opened: anyio.Event) -> None:
        async with open_world(self._faults, seed=0) as world, entered(Sim(world)) as self.sim:
            self._world: World = world
            # What runs later is to find this world too.
            self._context = copy_context()
            opened.set()
            await self._end.wait()

    async def _close(self) -> None:
        self._end.set()
        await self._world_task

    def _story(self, found: list[Violation]) -> list[str]:
        record = self._world.record.entries
        wrong = {id(entry): one.check for one in found for entry in one.entries}
        broken = {number: wrong[id(entry)] for number, entry in enumerate(record) if id(entry) in wrong}
        lines = written(shortened(narrate(record, {}, broken), most=LINES_MAX), self._world.bodies)
        return ["what happened (virtual seconds):", *(f"  {line}" for line in lines)]


def rule(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Hypothesis's `rule`, for functions with or without `async`."""
    return _for_both(_hypothesis.rule(**options))


def initialize(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Hypothesis's `initialize`, for functions with or without `async`."""
    return _for_both(_hypothesis.initialize(**options))


def invariant(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Hypothesis's `invariant`, for functions with or without `async`."""
    return _for_both(_hypothesis.invariant(**options))


def _for_both(decorate: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    def wrap(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def called(self: SimMachine, *args: Any, **values: Any) -> Any:
            result = function(self, *args, **values)
            return self.run(result) if isawaitable(result) else result

        return decorate(called)

    return wrap


class _Faults:
    """A chooser that does what it was told to so far."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, Key], int] = {}

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        return self.answers.get((site, key))


async def _awaited(awaitable: Awaitable[R]) -> R:
    return await awaitable
