"""What a call costs does not grow with the length of the queue. Counted in SQLite's own steps, not in time.

A statement that looks through a queue is found out by no other test: it is only slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from busframe.backend import Plan, QueueSpec
from busframe.message import Acknowledge, Extension, Outgoing, QueueName, Release
from busframe_sqlite.clock import ManualClock
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from busframe.message import Received
    from busframe_sqlite.backend import SqliteBackend

pytestmark = pytest.mark.anyio

WORK, ORDERED = QueueName("work"), QueueName("work.fifo")
SHORT, LONG = 100, 3_000
STEP = 10
"""Instructions between two counts."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class _Effort:
    """Counts the instructions of SQLite's virtual machine."""

    def __init__(self, backend: SqliteBackend) -> None:
        self._backend = backend
        self._count = 0

    async def watch(self) -> None:
        def start(connection: sqlite3.Connection) -> None:
            connection.set_progress_handler(self._note, STEP)

        await self._backend.committer.thread.run(start)

    async def of(self, call: Awaitable[object]) -> int:
        before = self._count
        await call
        return self._count - before

    def _note(self) -> int:
        self._count += 1
        return 0


def _messages(queue: QueueName, start: int, count: int) -> list[Outgoing]:
    """On an ordered queue: ten to a group, each with an id."""
    if queue == WORK:
        return [Outgoing(body="x")] * count
    return [
        Outgoing(body="x", group=f"g{number // 10}", deduplication_id=f"d{number}")
        for number in range(start, start + count)
    ]


async def _efforts(path: Path, queue: QueueName, length: int) -> dict[str, int]:
    """What each call costs on a queue of this length, half of it in flight."""
    async with open_backend(Settings(path=path), ManualClock()) as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=queue),)))
        for start in range(0, length, SHORT):
            await backend.send(queue, _messages(queue, start, SHORT))
        taken: list[Received] = []
        while len(taken) < length // 2:
            taken += await backend.receive(queue, limit=SHORT, wait_s=0, lease_s=600)
        effort = _Effort(backend)
        await effort.watch()

        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "send": lambda: backend.send(queue, _messages(queue, length, 10)),
            "send again": lambda: backend.send(queue, _messages(queue, length, 10)),
            "receive": lambda: backend.receive(queue, limit=10, wait_s=0, lease_s=30),
            "extend": lambda: backend.extend(queue, [Extension(receipt=m.receipt, lease_s=600) for m in taken[-10:]]),
            "release": lambda: backend.settle(queue, [Release(receipt=m.receipt) for m in taken[-10:]]),
            "acknowledge": lambda: backend.settle(queue, [Acknowledge(receipt=m.receipt) for m in taken[:10]]),
            "acknowledge and release": lambda: backend.settle(
                queue, [Acknowledge(receipt=taken[10].receipt), Release(receipt=taken[11].receipt)]
            ),
            "peek": lambda: backend.peek(queue, limit=10),
        }
        return {name: await effort.of(call()) for name, call in calls.items()}


@pytest.mark.parametrize("queue", [WORK, ORDERED])
async def test_no_call_costs_more_on_a_long_queue(path: Path, queue: QueueName) -> None:
    short = await _efforts(path, queue, SHORT)
    long = await _efforts(path.with_name("long.db"), queue, LONG)
    assert all(steps > 0 for steps in short.values())
    grown = {name: (steps, long[name]) for name, steps in short.items() if long[name] > 2 * steps + 100}
    assert grown == {}
