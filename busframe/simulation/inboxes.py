"""`sim://` as an inbox: the one SQLite database that all nodes of a run share, over each node's own way to it.

The database is that of `memory://`. Its calls run in place: a thread would not know virtual time.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
from anyio import TASK_STATUS_IGNORED

from busframe.config import BackendUrl, inbox_factory

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskStatus

    from busframe.inbox import Claim, ClaimedElsewhere, Effect, HandledBefore, Inbox
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.world import World

R = TypeVar("R")

_PLACE = "the inbox"


class SharedInbox:
    """The database of one run, made when the first node asks for it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._inbox: Inbox | None = None
        self._turn = anyio.Lock()

    async def of(self, incarnation: Incarnation) -> Inbox:
        """A node's way to it."""
        async with self._turn:
            inbox = self._inbox
            if inbox is None:
                inbox = self._inbox = cast("Inbox", await self._world.tasks.start(_keep_open))
        return _NodeInbox(incarnation, inbox)


class _NodeInbox:
    """Implements `busframe.inbox.Inbox` for one incarnation of a node."""

    def __init__(self, incarnation: Incarnation, inbox: Inbox) -> None:
        self._backend = incarnation.backend
        self._inbox = inbox

    async def claim(self, key: str, *, lease_s: float, window_s: float) -> Claim | HandledBefore | ClaimedElsewhere:
        return await self._backend.call(
            "claim", _PLACE, lambda: self._inbox.claim(key, lease_s=lease_s, window_s=window_s)
        )

    async def extend(self, claims: Sequence[Claim], *, lease_s: float) -> Sequence[bool]:
        return await self._backend.call("extend_claims", _PLACE, lambda: self._inbox.extend(claims, lease_s=lease_s))

    async def finish(self, claim: Claim, effects: Sequence[Effect], *, window_s: float) -> bool:
        # Calls of several nodes may share a transaction, carried out by one of them. What is an effect of a node should
        # be its own all the same.
        own = [_in_this_context(effect) for effect in effects]
        return await self._backend.call("finish", _PLACE, lambda: self._inbox.finish(claim, own, window_s=window_s))

    async def release(self, claim: Claim) -> None:
        await self._backend.call("release", _PLACE, lambda: self._inbox.release(claim))

    async def run(self, function: Callable[[sqlite3.Connection], R]) -> R:
        # For making and reading tables around what is on trial.
        return await self._inbox.run(function)


def _in_this_context(effect: Effect) -> Effect:
    context = copy_context()
    return lambda connection: context.run(effect, connection)


async def _keep_open(*, task_status: TaskStatus[Inbox] = TASK_STATUS_IGNORED) -> None:
    async with inbox_factory("memory")(BackendUrl.parse("memory://")) as inbox:
        task_status.started(inbox)
        await anyio.sleep_forever()
