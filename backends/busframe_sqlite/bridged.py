"""The contract as seen from trio: each method is the backend's own, called across the bridge."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from busframe.backend import Capabilities, Plan, QueueSpec, QueueStats
    from busframe.ledger import Ledger
    from busframe.message import (
        Extension,
        Outgoing,
        Peeked,
        QueueName,
        Received,
        SendOutcome,
        Settlement,
        SettleOutcome,
    )
    from busframe.recipients import Change, ChangedTopics, Edit, Recipients
    from busframe_sqlite.backend import SqliteBackend
    from busframe_sqlite.portal import Bridge
    from busframe_sqlite.recipients import SqliteRecipients


class BridgedBackend:
    """See `busframe_sqlite.backend.SqliteBackend`, of which each method is documented there."""

    def __init__(self, bridge: Bridge, backend: SqliteBackend) -> None:
        self._call = bridge.call
        self._backend = backend
        self._recipients = BridgedRecipients(bridge, backend.recipients)

    @property
    def capabilities(self) -> Capabilities:
        """Across."""
        return self._backend.capabilities

    @property
    def ledger(self) -> Ledger:
        """Across."""
        return self._backend.ledger

    @property
    def recipients(self) -> BridgedRecipients:
        """Across."""
        return self._recipients

    async def provision(self, plan: Plan) -> None:
        """Across."""
        await self._call(partial(self._backend.provision, plan))

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """Across."""
        return await self._call(partial(self._backend.send, queue, batch))

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """Across."""
        return await self._call(partial(self._backend.receive, queue, limit=limit, wait_s=wait_s, lease_s=lease_s))

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """Across."""
        return await self._call(partial(self._backend.settle, queue, batch))

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """Across."""
        return await self._call(partial(self._backend.extend, queue, batch))

    async def stats(self, queue: QueueName) -> QueueStats:
        """Across."""
        return await self._call(partial(self._backend.stats, queue))

    async def peek(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        """Across."""
        return await self._call(partial(self._backend.peek, queue, limit=limit, after=after))

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """Across."""
        return await self._call(partial(self._backend.describe, queue))

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        """Across."""
        return await self._call(partial(self._backend.list_queues, prefix))

    async def purge(self, queue: QueueName) -> None:
        """Across."""
        await self._call(partial(self._backend.purge, queue))

    async def remove(self, queue: QueueName) -> None:
        """Across."""
        await self._call(partial(self._backend.remove, queue))

    async def look(self) -> None:
        """Across."""
        await self._call(self._backend.look)


class BridgedRecipients:
    """See `busframe.recipients.RecipientList`."""

    def __init__(self, bridge: Bridge, recipients: SqliteRecipients) -> None:
        self.fresh_s: Final = recipients.fresh_s
        self._bridge = bridge
        self._recipients = recipients
        self._listeners: list[Callable[[Collection[str]], None]] = []

    def in_space(self, space: str) -> BridgedRecipients:
        """Across."""
        return BridgedRecipients(self._bridge, self._recipients.in_space(space))

    def listen(self, changed: Callable[[Collection[str]], None]) -> None:
        """On this side: the listener belongs to the program's own event loop."""
        self._listeners.append(changed)

    async def load(self, topics: Collection[str] | None = None) -> Recipients:
        """Across."""
        return await self._bridge.call(partial(self._recipients.load, topics))

    async def changed_since(self, version: int) -> ChangedTopics:
        """Across."""
        return await self._bridge.call(partial(self._recipients.changed_since, version))

    async def change(self, edit: Edit, *, by: str, topics: Collection[str] | None = None) -> Sequence[Change]:
        """Across."""
        changes = await self._bridge.call(partial(self._recipients.change, edit, by=by, topics=topics))
        if changes:
            for changed in self._listeners:
                changed({change.topic for change in changes})
        return changes

    async def history(self, *, limit: int) -> Sequence[Change]:
        """Across."""
        return await self._bridge.call(partial(self._recipients.history, limit=limit))
