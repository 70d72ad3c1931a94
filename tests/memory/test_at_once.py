"""memory:// keeps the backend contract in its plain functions too, which the bus calls in place of the others."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from busframe.config import BackendUrl
from busframe.message import Outgoing, QueueName
from busframe.testing import BackendConformance, Trial
from busframe_memory import MemoryBackend, open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from busframe.message import Received, SendOutcome, Settlement, SettleOutcome

ORDERS = QueueName("orders")


class AtOnce(MemoryBackend):
    """What the plain functions can do is done by them."""

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        await anyio.lowlevel.checkpoint()
        return self.send_now(queue, batch)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        if wait_s:
            return await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        await anyio.lowlevel.checkpoint()
        return self.receive_now(queue, limit=limit, lease_s=lease_s)

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        await anyio.lowlevel.checkpoint()
        return self.settle_now(queue, batch)


class TestAtOnceConformance(BackendConformance):
    @asynccontextmanager
    async def open_trial(self) -> AsyncGenerator[Trial, None]:
        async with open_memory(BackendUrl.parse("memory://")) as backend:
            backend.__class__ = AtOnce

            async def advance(seconds: float) -> None:
                backend.advance(seconds)

            yield Trial(backend=backend, advance=advance)
