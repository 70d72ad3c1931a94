"""Queues on SQLite that others made, each as its documentation says, with every write flushed to the disk.

One thread does everything, first all sends, then all receives: several threads only wait for each other's lock, so this
is the fastest way to use each of them. Each returns messages a second: sent, and through a whole cycle.
"""

from __future__ import annotations

import os
import sqlite3
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BODY = "x" * 200


def _measure(count: int, send: Callable[[], object], cycle: Callable[[], object]) -> tuple[float, float]:
    start = time.perf_counter()
    for _ in range(count):
        send()
    sent = time.perf_counter()
    for _ in range(count):
        cycle()
    end = time.perf_counter()
    return count / (sent - start), count / (end - start)


def huey(folder: Path, count: int) -> tuple[float, float]:
    """`fsync=True` makes it durable. Taking a task removes it: there is no acknowledgement to pay for, and no lease."""
    storage = _class("huey.storage", "SqliteStorage")(filename=str(folder / "huey.db"), fsync=True)
    return _measure(count, lambda: storage.enqueue(BODY.encode()), lambda: _there(storage.dequeue()))


def litequeue(folder: Path, count: int) -> tuple[float, float]:
    """It sets `synchronous = NORMAL`; its connection is public, so this is changed here. `pop`, then `done`."""
    queue = _class("litequeue", "LiteQueue")(str(folder / "litequeue.db"))
    queue.conn.execute("PRAGMA synchronous = FULL")
    return _measure(count, lambda: queue.put(BODY), lambda: queue.done(_there(queue.pop()).message_id))


def persist_queue(folder: Path, count: int) -> tuple[float, float]:
    """`SQLiteAckQueue`, which is the one with acknowledgements; it leaves SQLite's default, which is FULL."""
    queue = _class("persistqueue", "SQLiteAckQueue")(str(folder / "persistqueue"))
    return _measure(count, lambda: queue.put(BODY), lambda: queue.ack(_there(queue.get(block=False))))


def floor(folder: Path, count: int) -> tuple[float, float]:
    """What SQLite itself can do: a table, an index, a hundred messages in each transaction, no wishes beyond that."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, visible_at INTEGER, body TEXT)")
    connection.execute("CREATE INDEX message_by_visibility ON message (visible_at)")

    def insert() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO message (visible_at, body) VALUES (0, ?)", [(BODY,)] * 100)
        connection.execute("COMMIT")

    def take_and_remove() -> None:
        connection.execute("BEGIN IMMEDIATE")
        taken = connection.execute(
            "UPDATE message SET visible_at = 1 WHERE id IN"
            " (SELECT id FROM message WHERE visible_at = 0 ORDER BY visible_at LIMIT 100) RETURNING id, body"
        ).fetchall()
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM message WHERE id = ?", [(number,) for number, _ in taken])
        connection.execute("COMMIT")

    sends, cycles = _measure(count // 100, insert, take_and_remove)
    connection.close()
    return sends * 100, cycles * 100


def flushes(folder: Path, count: int) -> float:
    """How many writes a second the disk makes durable, one after the other."""
    file = os.open(folder / "flushed", os.O_RDWR | os.O_CREAT)
    start = time.perf_counter()
    for number in range(count):
        os.pwrite(file, BODY.encode(), number * len(BODY))
        os.fdatasync(file)
    rate = count / (time.perf_counter() - start)
    os.close(file)
    return rate


def _class(module: str, name: str) -> Any:
    """A class of a package that may not be installed, and that type checkers know nothing of."""
    return getattr(import_module(module), name)


def _there(taken: Any) -> Any:
    assert taken is not None
    return taken
