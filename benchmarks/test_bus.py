"""The bus: messages a second, published to handled and settled, beside the cost of the loop it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from busframe import Bus, event

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHERS = 100


@event("bench.happened")
@dataclass(frozen=True)
class Happened:
    number: int
    text: str


async def publish_and_handle(url: str, count: int) -> None:
    bus = Bus("bench")
    handled = 0
    done = anyio.Event()

    @bus.subscribe(Happened, group="all", concurrency=100)
    async def handle(_: Happened) -> None:
        nonlocal handled
        handled += 1
        if handled == count:
            done.set()

    async with bus.connect(url) as live, live.running():
        numbers = iter(range(count))

        async def publisher() -> None:
            for number in numbers:
                await live.publish(Happened(number, "x" * 80))

        async with anyio.create_task_group() as tasks:
            for _ in range(PUBLISHERS):
                tasks.start_soon(publisher)
        await done.wait()


async def one_task_a_message(count: int) -> None:
    """The floor: a task for each message and a memory stream between, with no lease, no redelivery, no typed body."""
    send, receive = anyio.create_memory_object_stream[Happened](1000)

    async def handle(_: Happened) -> None: ...

    async def produce() -> None:
        async with send:
            for number in range(count):
                await send.send(Happened(number, "x" * 80))

    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(produce)
        async for happened in receive:
            tasks.start_soon(handle, happened)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_floor(benchmark: Any, backend: str) -> None:
    benchmark.extra_info["messages"] = 10_000
    benchmark.pedantic(lambda: anyio.run(one_task_a_message, 10_000, backend=backend), rounds=3)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_memory(benchmark: Any, backend: str) -> None:
    benchmark.extra_info["messages"] = 10_000
    benchmark.pedantic(lambda: anyio.run(publish_and_handle, "memory://", 10_000, backend=backend), rounds=3)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sqlite(benchmark: Any, backend: str, tmp_path: Path) -> None:
    names = iter(range(10))

    def run() -> None:
        anyio.run(publish_and_handle, f"sqlite:///{tmp_path}/{next(names)}.db", 5_000, backend=backend)

    benchmark.extra_info["messages"] = 5_000
    benchmark.pedantic(run, rounds=3)
