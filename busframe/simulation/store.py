"""A small database that all nodes share and that outlives them: for programs on trial that keep something.

    accounts = sim.store("accounts")
    async with accounts.transaction() as changes:
        if changes.get("o1") is None:
            changes.put("o1", 700)
            changes.effect("o1")

It is reached over the network: a call may be late, may fail before it has done anything, or after it has done
everything. What was not committed is gone when its node dies.
"""

from __future__ import annotations

import copy
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio

from busframe.simulation.world import acting

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Hashable, Mapping

    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.world import World

_MISSING: Final = object()
_TOLD: Final = {"read": "found", "wrote": "now"}


class Changes:
    """A transaction under way: sees what it has written itself, and nobody else does before its end."""

    def __init__(self, rows: Mapping[Hashable, Any], tell: Callable[[str, Hashable, Any], None]) -> None:
        self._rows = rows
        self._tell = tell
        self._written: dict[Hashable, Any] = {}
        self._effects: list[tuple[Hashable, str]] = []

    def get(self, key: Hashable, default: Any = None) -> Any:
        """What is kept under a key."""
        value = self._written.get(key, _MISSING)
        if value is _MISSING:
            value = copy.deepcopy(self._rows.get(key))
        self._tell("read", key, value)
        return default if value is None else value

    def put(self, key: Hashable, value: Any) -> None:
        """Keep something under a key; None removes it."""
        self._written[key] = value

    def effect(self, key: Hashable, text: str = "") -> None:
        """As `Sim.effect`, if and when the transaction is committed."""
        self._effects.append((key, text))

    @property
    def written(self) -> Mapping[Hashable, Any]:
        """What is to be kept."""
        return self._written

    @property
    def effects(self) -> list[tuple[Hashable, str]]:
        """What is to be noted."""
        return self._effects


class Store:
    """Made by `Sim.store`. Errors of its calls are `busframe.errors.BackendError`s, as a broker's."""

    def __init__(self, world: World, name: str, outside: Incarnation, *, effects: bool) -> None:
        self.name: Final = name
        self._effects = effects
        self._world = world
        self._outside = outside
        self._rows: dict[Hashable, Any] = {}
        self._turn = anyio.Lock()

    @property
    def contents(self) -> dict[Hashable, Any]:
        """What is in it, for a scenario to look at: a copy."""
        return copy.deepcopy(self._rows)

    async def get(self, key: Hashable, default: Any = None) -> Any:
        """Read what is kept under a key."""

        async def read() -> Any:
            await anyio.lowlevel.checkpoint()
            value = copy.deepcopy(self._rows.get(key))
            self._tell("read", key, value)
            return default if value is None else value

        return await self._node().backend.call("get", self.name, read)

    async def put(self, key: Hashable, value: Any) -> None:
        """Keep something under a key, in a transaction of its own; None removes it."""
        changes = Changes(self._rows, self._tell)
        changes.put(key, value)
        await self._commit("put", changes)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Changes, None]:
        """Read and write with nobody in between: transactions take turns. Leaving it commits, an exception does not."""
        async with self._turn:
            changes = Changes(self._rows, self._tell)
            yield changes
            await self._commit("commit", changes)

    async def _commit(self, operation: str, changes: Changes) -> None:
        node = self._node()

        async def write() -> None:
            await anyio.lowlevel.checkpoint()
            for key, value in changes.written.items():
                if value is None:
                    self._rows.pop(key, None)
                else:
                    self._rows[key] = copy.deepcopy(value)
                self._tell("wrote", key, value)
                if self._effects:
                    self._world.note("effect", node.name, key=key)
            for key, text in changes.effects:
                self._world.note("effect", node.name, key=key, text=text)

        await node.backend.call(operation, self.name, write)

    def _tell(self, kind: str, key: Hashable, value: Any) -> None:
        what = "nothing" if value is None else repr(value)
        self._world.note(kind, self._node().name, queue=self.name, key=key, text=f"{_TOLD[kind]} {what}")

    def _node(self) -> Incarnation:
        return acting.get(self._outside)
