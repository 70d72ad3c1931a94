"""A backend that hands every call on to another: what stands between a bus and its backend begins here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Backend, Capabilities, Plan, QueueSpec, QueueStats
    from busframe.ledger import Ledger
    from busframe.message import Extension, Outgoing, QueueName, Received, SendOutcome, Settlement, SettleOutcome


class ForwardingBackend:
    """Implements `busframe.backend.Backend`, and does what another does. What is to be different is overridden.

    Attributes:
        inner: the other.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    @property
    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return self.inner.capabilities

    @property
    def ledger(self) -> Ledger:
        """See `Backend.ledger`."""
        return self.inner.ledger

    async def provision(self, plan: Plan) -> None:
        """See `Backend.provision`."""
        await self.inner.provision(plan)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """See `Backend.send`."""
        return await self.inner.send(queue, batch)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """See `Backend.receive`."""
        return await self.inner.receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `Backend.settle`."""
        return await self.inner.settle(queue, batch)

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """See `Backend.extend`."""
        return await self.inner.extend(queue, batch)

    async def stats(self, queue: QueueName) -> QueueStats:
        """See `Backend.stats`."""
        return await self.inner.stats(queue)

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """See `Backend.describe`."""
        return await self.inner.describe(queue)

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        """See `Backend.list_queues`."""
        return await self.inner.list_queues(prefix)

    async def purge(self, queue: QueueName) -> None:
        """See `Backend.purge`."""
        await self.inner.purge(queue)

    async def remove(self, queue: QueueName) -> None:
        """See `Backend.remove`."""
        await self.inner.remove(queue)
