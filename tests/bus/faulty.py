"""A backend that fails when it is told to, around one that works."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from busframe.backend import Immediate
from busframe.forwarding import ForwardingBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Backend
    from busframe.message import (
        Extension,
        Outgoing,
        QueueName,
        Received,
        SendOutcome,
        Settlement,
        SettleOutcome,
    )


class FaultyBackend(ForwardingBackend):
    """Raises the next of the errors planned for a method, until there are none; records the sizes of its batches."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.faults: dict[str, deque[Exception]] = {}
        self.batches: list[tuple[str, int]] = []

    def fail(self, method: str, *errors: Exception) -> None:
        self.faults.setdefault(method, deque()).extend(errors)

    def _meet(self, method: str, size: int = 0) -> None:
        self.batches.append((method, size))
        if self.faults.get(method):
            raise self.faults[method].popleft()

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
