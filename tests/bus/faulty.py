"""A backend that fails when it is told to, around one that works."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from busframe.backend import Immediate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Backend, Capabilities, Plan, QueueSpec, QueueStats
    from busframe.ledger import Ledger
    from busframe.message import (
        Extension,
        Outgoing,
        QueueName,
        Received,
        SendOutcome,
        Settlement,
        SettleOutcome,
    )


class FaultyBackend:
    """Raises the next of the errors planned for a method, until there are none; records the sizes of its batches."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.faults: dict[str, deque[Exception]] = {}
        self.batches: list[tuple[str, int]] = []

    def fail(self, method: str, *errors: Exception) -> None:
        self.faults.setdefault(method, deque()).extend(errors)

    def _meet(self, method: str, size: int = 0) -> None:
        self.batches.append((method, size))
        if self.faults.get(method):
            raise self.faults[method].popleft()

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    @property
    def ledger(self) -> Ledger:
        return self.inner.ledger

    async def provision(self, plan: Plan) -> None:
        await self.inner.provision(plan)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        self._meet(f"send {queue}", len(batch))
        self._meet("send", len(batch))
        return await self.inner.send(queue, batch)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        self._meet("receive", limit)
        return await self.inner.receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        self._meet("settle", len(batch))
        return await self.inner.settle(queue, batch)

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        self._meet("extend", len(batch))
        return await self.inner.extend(queue, batch)

    async def stats(self, queue: QueueName) -> QueueStats:
        return await self.inner.stats(queue)

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        return await self.inner.describe(queue)

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        return await self.inner.list_queues(prefix)

    async def purge(self, queue: QueueName) -> None:
        await self.inner.purge(queue)

    async def remove(self, queue: QueueName) -> None:
        await self.inner.remove(queue)


class FaultyAtOnce(FaultyBackend):
    """The same around a backend that answers without waiting, and one such itself."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        assert isinstance(inner, Immediate)
        self._immediate = inner

    def send_now(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        self._meet(f"send {queue}", len(batch))
        self._meet("send", len(batch))
        return self._immediate.send_now(queue, batch)

    def receive_now(self, queue: QueueName, *, limit: int, lease_s: float) -> Sequence[Received]:
        self._meet("receive", limit)
        return self._immediate.receive_now(queue, limit=limit, lease_s=lease_s)

    def settle_now(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        self._meet("settle", len(batch))
        return self._immediate.settle_now(queue, batch)
