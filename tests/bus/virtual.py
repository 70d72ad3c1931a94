"""A bus on memory:// behind a backend that fails when it is told to, under virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio
from bus.faulty import FaultyBackend

from busframe import Live, runtime
from busframe.config import BackendUrl
from busframe.message import QueueName
from busframe.topology.plan import plan_for
from busframe.topology.registration import register, subscriptions_of
from busframe_memory import open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from busframe import Bus
    from busframe.backend import Backend

B = TypeVar("B", bound=FaultyBackend)

BILLING = QueueName("shop-billing")
DEAD = QueueName("shop-billing-dead")

wrapping: type[FaultyBackend] = FaultyBackend
"""What `connected` wraps the backend in; the fixture `either_form` sets it."""


@asynccontextmanager
async def connected(bus: Bus) -> AsyncGenerator[tuple[Live, FaultyBackend], None]:
    async with connected_by(bus, wrapping) as pair:
        yield pair


@asynccontextmanager
async def connected_by(bus: Bus, wrap: Callable[[Backend], B]) -> AsyncGenerator[tuple[Live, B], None]:
    async with open_memory(BackendUrl.parse("memory://")) as memory, runtime.background_tasks() as tasks:
        backend = wrap(memory)
        plan = plan_for(bus, backend.capabilities, mode="create")
        await register(backend, memory.recipients, plan, subscriptions_of(bus.groups.values()), by="test")
        live = Live(bus, backend, memory.recipients, tasks)
        yield live, backend
        await live.aclose()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(24 * 3600):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for: it looks from outside
            await anyio.sleep(0.5)
