"""The file: load all of it at the start, then write what changed, one transaction at a time."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections import deque
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from busframe_emulator.engine.records import Saved
from busframe_emulator.server.persistence import rows
from busframe_emulator.server.persistence.errors import DataDirectoryError
from busframe_emulator.server.persistence.layout import TABLES, open_file, translate
from busframe_emulator.server.persistence.thread import open_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from busframe_emulator.engine.records import Delta, SeenRecord
    from busframe_emulator.server.persistence.rows import Row
    from busframe_emulator.server.persistence.thread import SqliteThread

FILE_NAME: Final = "emulator.sqlite3"

SALT_BYTES: Final = 8

_ROWS_MAX: Final = 256
"""In one statement."""

R = TypeVar("R")


class Beginning(NamedTuple):
    """What a file says of its engine besides the records.

    Attributes:
        now_us: no commit was made later than that; 0 if none ever was.
    """

    salt: bytes
    now_us: int


class Store:
    """A file, open and locked. One call at a time."""

    def __init__(self, path: Path, thread: SqliteThread) -> None:
        self._path = path
        self._thread = thread
        self._until_us = 0
        self._seen_last = 0
        self._seen: deque[tuple[int, int]] = deque()  # until when the rows up to this number are remembered

    async def load(self, read: Callable[[Beginning, Saved], R]) -> R:
        """Hand all there is to `read`, on SQLite's thread: it may be more than fits into memory twice.

        Raises:
            DataDirectoryError: it cannot be read.
        """
        try:
            return await self._thread.run(partial(self._load, read=read))
        except sqlite3.Error as error:
            raise translate(error, self._path) from error
        except (ValueError, TypeError, LookupError, struct.error, msgspec.MsgspecError) as error:
            raise DataDirectoryError(f"{self._path} is damaged: {error}") from error

    async def write(self, delta: Delta, now_us: int, until_us: int, erase: bytes | None = None) -> None:
        """Write what changed; when this returns it is durable.

        Args:
            delta: what changed.
            now_us: on the engine's clock.
            until_us: no commit will be made later than that before another such time is given.
            erase: the salt to begin anew with: nothing that was written before counts any more.

        Raises:
            DataDirectoryError: it could not be written, and nothing was. The store is of no more use.
        """
        try:
            await self._thread.run(partial(self._write, delta, now_us, until_us, erase))
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    async def aclose(self) -> None:
        """Let go of the file."""
        await self._thread.aclose()

    # --- on SQLite's thread -----------------------------------------------------------------------------------------

    def _load(self, connection: sqlite3.Connection, read: Callable[[Beginning, Saved], R]) -> R:
        salt, now_us, queues_made, moves_made = connection.execute(
            "SELECT salt, now_us, queues_made, moves_made FROM engine"
        ).fetchone()
        self._seen_last, seen_until_us = connection.execute(
            "SELECT coalesce(max(number), 0), coalesce(max(until_us), 0) FROM deduplication"
        ).fetchone()
        self._seen.append((seen_until_us, self._seen_last))
        queues = [rows.read_queue(row) for row in connection.execute("SELECT * FROM queue")]
        saved = Saved(
            queues_made=queues_made,
            moves_made=moves_made,
            queues=queues,
            deleted=map(rows.read_deleted_queue, connection.execute("SELECT * FROM deleted_queue")),
            messages=rows.read_messages(connection.execute("SELECT * FROM message ORDER BY number")),
            groups=map(rows.read_group, connection.execute("SELECT * FROM message_group")),
            seen=map(
                rows.read_seen,
                connection.execute(
                    "SELECT queue, until_us, scope, deduplication_id, ordinal FROM deduplication"
                    " WHERE queue IN (SELECT number FROM queue) ORDER BY number"
                ),
            ),
            attempts=map(
                rows.read_attempt, connection.execute("SELECT * FROM receive_attempt ORDER BY until_us, attempt_id")
            ),
            moves=map(rows.read_moves, connection.execute("SELECT * FROM move_tasks")),
        )
        return read(Beginning(salt, now_us), saved)

    def _write(
        self, delta: Delta, now_us: int, until_us: int, erase: bytes | None, connection: sqlite3.Connection
    ) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if erase is not None:
                self._erase(connection, erase)
            if until_us != self._until_us or delta.queues_made or delta.moves_made:
                connection.execute(
                    "UPDATE engine SET now_us = ?, queues_made = max(?, queues_made), moves_made = max(?, moves_made)",
                    (until_us, delta.queues_made, delta.moves_made),
                )
            if delta.removed or delta.purged or delta.queues or delta.moves or delta.attempts:
                _write_queues(connection, delta, now_us)
            for number, ordinal in delta.last_ordinals:
                connection.execute("UPDATE queue SET last_ordinal = ? WHERE number = ?", (ordinal, number))
            _write_messages(connection, delta)
            if delta.groups:
                _write_groups(connection, delta)
            self._write_seen(connection, delta.seen, now_us)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self._until_us = until_us

    def _erase(self, connection: sqlite3.Connection, salt: bytes) -> None:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of ours
        connection.execute("UPDATE engine SET salt = ?, queues_made = 0, moves_made = 0", (salt,))
        self._seen.clear()

    def _write_seen(self, connection: sqlite3.Connection, seen: Sequence[SeenRecord], now_us: int) -> None:
        if seen:
            first = self._seen_last + 1
            numbered = [(number, *record) for number, record in enumerate(seen, first)]
            _insert(connection, "deduplication", 6, numbered)
            self._seen_last += len(seen)
            self._seen.append((seen[-1].until_us, self._seen_last))
        outdated = 0
        while self._seen and self._seen[0][0] <= now_us:
            outdated = self._seen.popleft()[1]
        if outdated:
            connection.execute("DELETE FROM deduplication WHERE number <= ?", (outdated,))


async def open_store(directory: Path, salt: bytes, *, flush: bool) -> Store:
    """Open the file in a directory, which is made if it is not there.

    Args:
        directory: where.
        salt: a new file begins with.
        flush: have each commit on the disk itself before it counts as durable.

    Raises:
        DataDirectoryError: it cannot be used.
    """
    path = _make_directory(directory) / FILE_NAME
    thread = await open_thread(path)
    try:
        await thread.run(partial(open_file, path=path, salt=salt, flush=flush))
        _sync_directory(directory)
    except BaseException:
        await thread.aclose()
        raise
    return Store(path, thread)


def _make_directory(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise DataDirectoryError(f"{directory} is not a directory") from None
    except OSError as error:
        raise DataDirectoryError(f"{directory} cannot be made: {error.strerror}") from None
    return directory


def _sync_directory(directory: Path) -> None:
    """Have the names of new files on the disk, not only what is in them."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_queues(connection: sqlite3.Connection, delta: Delta, now_us: int) -> None:
    for number in delta.removed:
        _empty(connection, number, rows.last_message_number(number))
        connection.execute("DELETE FROM move_tasks WHERE queue = ?", (number,))
        connection.execute("DELETE FROM queue WHERE number = ?", (number,))
    if delta.deleted:
        connection.execute("DELETE FROM deleted_queue WHERE until_us <= ?", (now_us,))
        for address, until_us in delta.deleted:
            connection.execute("REPLACE INTO deleted_queue VALUES (?, ?, ?, ?)", (*address, until_us))
    for number, last_ordinal in delta.purged:
        _empty(connection, number, rows.message_number(number, last_ordinal))
        connection.execute("DELETE FROM deduplication WHERE queue = ?", (number,))
    for queue in delta.queues:
        connection.execute("REPLACE INTO queue VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows.write_queue(queue))
    for moves in delta.moves:
        connection.execute("REPLACE INTO move_tasks VALUES (?, ?)", rows.write_moves(moves))
    if delta.attempts:
        for attempt in delta.attempts:
            if attempt.hidden:
                connection.execute("REPLACE INTO receive_attempt VALUES (?, ?, ?, ?)", rows.write_attempt(attempt))
            else:
                key = (attempt.queue, attempt.attempt_id)
                connection.execute("DELETE FROM receive_attempt WHERE queue = ? AND attempt_id = ?", key)
        connection.execute("DELETE FROM receive_attempt WHERE until_us <= ?", (now_us,))


def _empty(connection: sqlite3.Connection, queue: int, last_number: int) -> None:
    """Remove a queue's messages up to that row, its groups and its attempts."""
    first_number = rows.message_number(queue, 0)
    connection.execute("DELETE FROM message WHERE number BETWEEN ? AND ?", (first_number, last_number))
    connection.execute("DELETE FROM message_group WHERE queue = ?", (queue,))
    connection.execute("DELETE FROM receive_attempt WHERE queue = ?", (queue,))


def _write_messages(connection: sqlite3.Connection, delta: Delta) -> None:
    if delta.gone:
        numbers = [(rows.message_number(queue, ordinal),) for queue, ordinal in delta.gone]
        _run(connection, "DELETE FROM message WHERE number IN (VALUES {})", 1, numbers)
    if delta.added:
        _insert(connection, "message", 5, [rows.write_message(record) for record in delta.added])
    if delta.changed:
        states = [rows.write_state(record) for record in delta.changed]
        update = "UPDATE message SET state = column2 FROM (VALUES {}) WHERE number = column1"
        _run(connection, update, 2, states)


def _write_groups(connection: sqlite3.Connection, delta: Delta) -> None:
    idle = [(record.queue, record.name) for record in delta.groups if not record.served]
    if idle:
        _run(connection, "DELETE FROM message_group WHERE (queue, name) IN (VALUES {})", 2, idle)
    served: list[Row] = [record for record in delta.groups if record.served]
    if served:
        _insert(connection, "message_group", 3, served, verb="REPLACE")


def _insert(
    connection: sqlite3.Connection, table: str, columns: int, values: Sequence[Row], *, verb: str = "INSERT"
) -> None:
    insert = f"{verb} INTO {table} SELECT * FROM (VALUES {{}}) WHERE column1 IS NOT NULL"  # noqa: S608 - names of ours
    _run(connection, insert, columns, values)


def _run(connection: sqlite3.Connection, template: str, columns: int, values: Sequence[Row]) -> None:
    """Run a statement over many rows of values at once.

    At once, because each step of a statement gives up the interpreter's lock, and it may take milliseconds to get it
    back from a busy event loop. Filled up with rows of nulls, which match nothing, to the next power of two, so that
    there are few statements and all of them are prepared.
    """
    for first in range(0, len(values), _ROWS_MAX):
        part = values[first : first + _ROWS_MAX]
        count = 1 << (len(part) - 1).bit_length()
        nulls = (None,) * (columns * (count - len(part)))
        connection.execute(_statement(template, columns, count), (*chain.from_iterable(part), *nulls))


@lru_cache(maxsize=128)
def _statement(template: str, columns: int, count: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return template.format(", ".join([row] * count))
