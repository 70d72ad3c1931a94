from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from busframe.backend import DeadLetters, Plan, QueueSpec
from busframe.message import QueueName
from busframe_sqlite.clock import ManualClock
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from busframe_sqlite.backend import SqliteBackend


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queues.db"


@pytest.fixture
async def backend(path: Path, clock: ManualClock) -> AsyncGenerator[SqliteBackend]:
    """A backend on a fresh file, with two queues and their dead-letter queues (after three receives)."""
    async with open_backend(Settings(path=path, busy_timeout_s=0), clock) as backend:
        queues: list[QueueSpec] = []
        for suffix in ("", ".fifo"):
            dead = QueueName(f"dead{suffix}")
            dead_letters = DeadLetters(queue=dead, max_receive_count=3)
            queues += [QueueSpec(name=dead), QueueSpec(name=QueueName(f"work{suffix}"), dead_letters=dead_letters)]
        await backend.provision(Plan(queues=tuple(queues)))
        yield backend
