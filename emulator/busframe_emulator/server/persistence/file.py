"""What is in the file: all of it is read at the start, then what changed is written, one transaction at a time.

On SQLite's thread.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from busframe_emulator.engine.records import Saved
from busframe_emulator.server.persistence import rows
from busframe_emulator.server.persistence.layout import TABLES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from busframe_emulator.engine.records import Delta, SeenRecord, TenantRecord
    from busframe_emulator.server.persistence.rows import Row

_ROWS_MAX: Final = 256
"""In one statement."""

_TENANTS_US: Final = 60_000_000
"""How often those are looked for that are forgotten by now."""

R = TypeVar("R")


class Beginning(NamedTuple):
    """What a file says of its engine besides the records.

    Attributes:
        now_us: no commit was made later than that; 0 if none ever was.
    """

    salt: bytes
    now_us: int


class DataFile:
    """The contents of a file that `layout.open_file` has opened."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._until_us = 0
        self._tenants_looked_at_us = 0
        self._seen_last = 0
        self._seen: deque[tuple[int, int]] = deque()  # until when the rows up to this number are remembered

    def load(self, read: Callable[[Beginning, Saved], R]) -> R:
        """Hand all there is to `read`: it may be more than fits into memory twice."""
        connection = self._connection
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
            tenants=map(rows.read_tenant, connection.execute("SELECT * FROM tenant ORDER BY until_us")),
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

    def write(self, delta: Delta, now_us: int, until_us: int, erase: bytes | None) -> None:
        """Write what changed, all of it or nothing. See `store.Store.write`."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            if erase is not None:
                self._erase(erase)
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
            if delta.tenants:
                self._write_tenants(delta.tenants, now_us)
            self._write_seen(delta.seen, now_us)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self._until_us = until_us

    def _erase(self, salt: bytes) -> None:
        connection = self._connection
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of ours
        connection.execute("UPDATE engine SET salt = ?, queues_made = 0, moves_made = 0", (salt,))
        self._seen.clear()

    def _write_tenants(self, tenants: Sequence[TenantRecord], now_us: int) -> None:
        _insert(self._connection, "tenant", 3, tenants, verb="REPLACE")
        if now_us >= self._tenants_looked_at_us + _TENANTS_US:
            self._tenants_looked_at_us = now_us
            self._connection.execute("DELETE FROM tenant WHERE until_us <= ?", (now_us,))

    def _write_seen(self, seen: Sequence[SeenRecord], now_us: int) -> None:
        connection = self._connection
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


def _write_queues(connection: sqlite3.Connection, delta: Delta, now_us: int) -> None:
    for number in delta.removed:
        _empty(connection, number, rows.last_message_number(number))
        connection.execute("DELETE FROM move_tasks WHERE queue = ?", (number,))
        connection.execute("DELETE FROM tenant WHERE queue = ?", (number,))
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
        _insert(connection, "message", 5, rows.write_messages(delta.added))
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
