"""Files that older versions wrote, and programs that are older than their file."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import anyio
import pytest

from busframe.config import BackendUrl
from busframe.errors import StorageError
from busframe.message import Acknowledge, Outgoing, QueueName, Settled
from busframe_sqlite import open_sqlite, schema
from busframe_sqlite.clock import ManualClock
from busframe_sqlite.opening import open_backend
from busframe_sqlite.schema import APPLICATION_ID, MIGRATIONS
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from busframe.backend import Backend

pytestmark = pytest.mark.anyio

WORK, ORDERED = QueueName("work"), QueueName("work.fifo")
NOW_S = 1_700_000_000.0
NOW_US = int(NOW_S) * 1_000_000


def _write_old_file(path: Path, version: int) -> None:
    """Make a file as that version did, with two queues, a message out on lease, and two in a group."""
    with sqlite3.connect(path) as old:
        for script in MIGRATIONS[:version]:
            old.executescript(script)
        old.execute("INSERT INTO store (id, secret, next_number, recipients_version) VALUES (1, x'00', 100, 0)")
        old.executemany(
            "INSERT INTO queue (id, name, lease_us, delay_us, retention_us, labels)"
            "  VALUES (?, ?, 30000000, 0, 345600000000, '{}')",
            [(1, WORK), (2, ORDERED)],
        )
        message = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?)"
        old.execute(
            message, (1, 1, NOW_US + 1_000_000, 1, NOW_US, 1, NOW_US, NOW_US, None, None, "id-1", "out on lease")
        )
        for number in (2, 3):
            old.execute(
                message, (number, 2, NOW_US, 0, NOW_US, 0, NOW_US, NOW_US, number, "a", f"id-{number}", f"a{number}")
            )
        old.execute("INSERT INTO ordered_group VALUES (2, 'a', ?, 0, 2)", (NOW_US,))
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute(f"PRAGMA user_version = {version}")
    old.close()


def _layout(path: Path) -> tuple[object, ...]:
    """The version, and all tables and indexes."""
    with sqlite3.connect(path) as file:
        version = file.execute("PRAGMA user_version").fetchone()
        objects = file.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    file.close()
    return (*version, *objects)


async def _receive(backend: Backend, queue: QueueName) -> list[str]:
    received = await backend.receive(queue, limit=10, wait_s=0, lease_s=30)
    outcomes = await backend.settle(queue, [Acknowledge(receipt=message.receipt) for message in received])
    assert outcomes == [Settled()] * len(received)
    return [message.body for message in received]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_the_messages_of_an_older_file_are_worked_on_as_if_nothing_had_happened(path: Path, version: int) -> None:
    _write_old_file(path, version)
    clock = ManualClock(NOW_S)
    async with open_backend(Settings(path=path), clock) as backend:
        assert await backend.list_queues() == [WORK, ORDERED]
        stats = await backend.stats(WORK)
        assert (stats.visible, stats.in_flight) == (0, 1)
        assert await _receive(backend, ORDERED) == ["a2", "a3"]
        clock.advance(1)
        assert await _receive(backend, WORK) == ["out on lease"]
        (sent,) = await backend.send(ORDERED, [Outgoing(body="new", group="a")])
        assert int(getattr(sent, "sequence", 0)) >= 100


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
async def test_a_migrated_file_is_laid_out_like_a_new_one(path: Path, version: int) -> None:
    new = path.with_name("new.db")
    _write_old_file(path, version)
    for file in (path, new):
        async with open_backend(Settings(path=file)):
            pass
    assert _layout(path) == _layout(new)


async def test_many_may_migrate_a_file_at_once(path: Path) -> None:
    _write_old_file(path, 1)

    async def open_and_close() -> None:
        async with open_sqlite(BackendUrl.parse(f"sqlite:///{path}")) as backend:
            assert await backend.list_queues() == [WORK, ORDERED]

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(open_and_close)


async def test_a_migration_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_old_file(path, 1)
    before = _layout(path)
    broken = "CREATE TABLE half_way (a);\nINSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(StorageError, match="nowhere"):
        async with open_backend(Settings(path=path)):
            pytest.fail("the file was taken")
    assert _layout(path) == before


async def test_a_running_program_stops_using_a_file_that_a_newer_one_has_migrated(path: Path) -> None:
    async with open_backend(Settings(path=path), ManualClock(NOW_S)) as backend:
        assert await backend.list_queues() == []
        newer = sqlite3.connect(path, isolation_level=None)
        newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        newer.close()
        for _ in range(2):
            with pytest.raises(StorageError, match="newer version"):
                await backend.list_queues()
