"""Nodes: programs that are started, stopped, killed and started again.

A node that is *stopped* is cancelled: its clean-up runs, and reaches the broker. One that is *killed* is cut off from
the broker first, and then cancelled, without regard to its shields: no handler goes on behind one, and whatever its
clean-up tries has no effect, as after a power cut. A node whose program raises is started again, as a supervisor would.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import anyio
from anyio._core._eventloop import get_async_backend

from busframe import runtime
from busframe.simulation.edge import NodeBackend
from busframe.simulation.greenlets import run_program
from busframe.simulation.world import acting

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from busframe.simulation.world import World

    Program = Callable[["Incarnation"], object]

End = Literal["killed", "stopped", "failed", "ended"]

RESTART_US: Final = 1_000_000
_SECOND_US: Final = 1_000_000


class Incarnation:
    """One life of a node; what its program is handed.

    Attributes:
        name: of the node.
        number: which of its lives, from 1.
        is_scenario: it is no node, but the scenario itself. The broker is never out for it: what it sends with a bus
            gets there in the end, so that it may be written without regard to that.
        backend: its way to the broker.
        severed: it was killed: nothing it does has any effect.
    """

    def __init__(self, world: World, name: str, number: int, *, is_scenario: bool = False) -> None:
        self.name = name
        self.is_scenario = is_scenario
        self.number = number
        self.severed = False
        self.backend = NodeBackend(world, self)
        self.scope = anyio.CancelScope()
        self.end: End = "ended"
        self.shields: list[anyio.CancelScope] = []

    def sever(self) -> None:
        """Cut it off from the world, and take away its shields."""
        self.severed = True
        for scope in self.shields:
            scope.shield = False


class Node:
    """A program that is kept alive.

    Args:
        world: where it lives.
        name: such as `worker[0]`.
        program: is run again whenever it was killed, stopped or failed, until the node is retired.
        mortal: the adversary may kill and stop it.

    Attributes:
        finished: its program came to its end by itself.
    """

    def __init__(self, world: World, name: str, program: Program, *, mortal: bool = True) -> None:
        self.name = name
        self.failures: list[BaseException] = []
        self._world = world
        self._program = program
        self._mortal = mortal
        self._lives = 0
        self._lives_now = False
        self._current: Incarnation | None = None
        self._retired = False
        self._restart_now = anyio.Event()
        self.ended = anyio.Event()
        self.finished = False

    async def run(self) -> None:
        """Live, and live again."""
        try:
            while not self._retired:
                self._lives += 1
                await self._live(Incarnation(self._world, self.name, self._lives))
                if self._current is not None and self._current.end == "ended":
                    self.finished = True
                    return
                await self._lie_dead()
        finally:
            self.ended.set()

    def hear(self, kind: str, nth: int) -> None:
        """Something happened somewhere: the adversary may kill or stop it for that, at once or a while later."""
        for site, fate in (("node.crash_on", self.kill), ("node.stop_on", self.stop)):
            current = self._current
            if not self._mortal or not self._lives_now or current is None or current.scope.cancel_called:
                return
            after_us = self._world.choose(site, (self.name, kind, nth))
            if after_us is None:
                continue
            if after_us > 0:
                self._world.tasks.start_soon(_at, after_us, current, fate)
            else:
                fate()

    def kill(self) -> None:
        """Cut the power."""
        if self._current is not None:
            self._current.sever()
            self._finish("killed")

    def stop(self) -> None:
        """Ask it to end; it is started again."""
        self._finish("stopped")

    def retire(self) -> None:
        """Stop it for good."""
        self._retired = True
        self._restart_now.set()
        self._finish("stopped")

    def revive(self) -> None:
        """If it lies dead, start it now."""
        self._restart_now.set()

    def _finish(self, end: End) -> None:
        current = self._current
        if current is not None and not current.scope.cancel_called:
            current.end = end
            current.scope.cancel()
            self._world.note(end, self.name)

    async def _live(self, incarnation: Incarnation) -> None:
        self._current = incarnation
        world = self._world
        world.note("started", self.name, text=f"life {incarnation.number}")
        token = acting.set(incarnation)
        self._lives_now = True
        try:
            async with anyio.create_task_group() as fates:
                if self._mortal:
                    key = (self.name, incarnation.number)
                    for site, fate in (("node.crash", self.kill), ("node.stop", self.stop)):
                        at_us = world.choose(site, key)
                        if at_us is not None:
                            fates.start_soon(_at, at_us, incarnation, fate)
                try:
                    with incarnation.scope:
                        await run_program(self._program, incarnation)
                except BaseException as error:
                    if incarnation.severed and not isinstance(error, anyio.get_cancelled_exc_class()):
                        pass  # Nobody is left to see it.
                    elif _is_its_own(error):
                        alone = _alone(error)
                        self.failures.append(alone)
                        incarnation.end = "failed"
                        world.note("failed", self.name, text=repr(alone))
                    else:
                        raise
                self._lives_now = False
                fates.cancel_scope.cancel()
        finally:
            self._lives_now = False
            acting.reset(token)

    async def _lie_dead(self) -> None:
        drawn = self._world.choose("node.restart", (self.name, self._lives))
        self._restart_now = anyio.Event()
        with anyio.move_on_after((RESTART_US if drawn is None else max(drawn, 0)) / _SECOND_US):
            await self._restart_now.wait()


def _alone(error: BaseException) -> BaseException:
    """An error without the groups around it that hold nothing else."""
    while isinstance(error, BaseExceptionGroup):
        first, *more = cast("BaseExceptionGroup[BaseException]", error).exceptions
        if more:
            return cast("BaseException", error)
        error = first
    return error


def _is_its_own(error: BaseException) -> bool:
    """Whether it ends this program and no other: SystemExit ends a process, and here a node is one."""
    if isinstance(error, BaseExceptionGroup):
        parts = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return all(_is_its_own(part) for part in parts)
    return isinstance(error, Exception | SystemExit)


@contextmanager
def breakable_shields() -> Generator[None, None, None]:
    """Know of the shields of programs, so that a power cut goes through them. Inside a running event loop."""
    backend: Any = get_async_backend()
    make = backend.create_cancel_scope

    def make_known(*, deadline: float = math.inf, shield: bool = False) -> anyio.CancelScope:
        incarnation = acting.get(None) if shield else None
        if incarnation is None:
            return cast("anyio.CancelScope", make(deadline=deadline, shield=shield))
        scope = cast("anyio.CancelScope", make(deadline=deadline, shield=not incarnation.severed))
        incarnation.shields.append(scope)
        return scope

    own = cast("object", vars(backend)["create_cancel_scope"])
    backend.create_cancel_scope = make_known
    try:
        yield
    finally:
        backend.create_cancel_scope = own


async def _at(at_us: int, incarnation: Incarnation, fate: Callable[[], None]) -> None:
    await runtime.sleep(max(at_us, 0) / _SECOND_US)
    if not incarnation.scope.cancel_called:
        fate()
