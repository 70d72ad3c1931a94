"""The SQLite backend at work: in one process, between two, and idle."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from busframe.backend import Plan, QueueSpec
from busframe.message import Acknowledge, Outgoing, QueueName
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from busframe_sqlite.backend import SqliteBackend

WORK = QueueName("work")
BODY = "x" * 200
PAUSE_S = 0.05


async def one_process(folder: Path, count: int, callers: int, batch: int) -> tuple[float, float]:
    """Sends alone, and then cycles with as many consumers as producers beside each other; messages a second."""
    messages = [Outgoing(body=BODY)] * batch
    async with open_backend(Settings(path=folder / "busframe.db")) as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=WORK),)))

        async def produce(calls: int) -> None:
            for _ in range(calls):
                await backend.send(WORK, messages)

        left = count

        async def consume() -> None:
            nonlocal left
            while left > 0:
                received = await backend.receive(WORK, limit=batch, wait_s=0.05, lease_s=60)
                if received:
                    await backend.settle(WORK, [Acknowledge(receipt=message.receipt) for message in received])
                    left -= len(received)

        calls = count // callers // batch
        start = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(callers):
                tasks.start_soon(produce, calls)
        sends = count / (time.perf_counter() - start)
        await backend.purge(WORK)

        start = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(callers):
                tasks.start_soon(produce, calls)
                tasks.start_soon(consume)
        return sends, count / (time.perf_counter() - start)


async def consume_what_another_sends(backend: SqliteBackend, count: int) -> float:
    """Cycles a second from the first message on."""
    start, left = 0.0, count

    async def consume() -> None:
        nonlocal start, left
        while left > 0:
            received = await backend.receive(WORK, limit=100, wait_s=0.5, lease_s=60)
            if received:
                start = start or time.perf_counter()
                await backend.settle(WORK, [Acknowledge(receipt=message.receipt) for message in received])
                left -= len(received)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(consume)
    return count / (time.perf_counter() - start)


async def wait_for_single_messages(backend: SqliteBackend, count: int) -> list[float]:
    """When each message, sent one at a time by another process, was received here."""
    times_s: list[float] = []
    while len(times_s) < count:
        for message in await backend.receive(WORK, limit=1, wait_s=10, lease_s=60):
            times_s.append(time.monotonic())
            await backend.settle(WORK, [Acknowledge(receipt=message.receipt)])
    return times_s


async def wait_in_vain(backend: SqliteBackend, receivers: int, seconds: float) -> float:
    """The share of a processor that waiting receivers cost."""
    share = 0.0
    async with anyio.create_task_group() as tasks:
        for _ in range(receivers):
            tasks.start_soon(lambda: backend.receive(WORK, limit=1, wait_s=60, lease_s=60))
        await anyio.sleep(1)  # the looks after the last commit become rare
        start, cpu = time.perf_counter(), time.process_time()
        await anyio.sleep(seconds)
        share = (time.process_time() - cpu) / (time.perf_counter() - start)
        tasks.cancel_scope.cancel()
    return share


async def send_many(backend: SqliteBackend, count: int) -> None:
    async def send(calls: int) -> None:
        for _ in range(calls):
            await backend.send(WORK, [Outgoing(body=BODY)] * 100)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(send, count // 400)


async def send_single_messages(backend: SqliteBackend, count: int) -> None:
    """Print when each was sent: when the call returned, with the message safe on the disk."""
    for _ in range(count):
        await anyio.sleep(PAUSE_S)
        await backend.send(WORK, [Outgoing(body=BODY)])
        print(time.monotonic(), flush=True)


async def _other_process(path: Path, what: str, count: int) -> None:
    async with open_backend(Settings(path=path)) as backend:
        await {"many": send_many, "single": send_single_messages}[what](backend, count)


if __name__ == "__main__":
    anyio.run(_other_process, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
