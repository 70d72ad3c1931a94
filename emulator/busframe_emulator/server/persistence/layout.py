"""The file's layout, and the check that a file is one of ours, and whole, before anything in it is touched.

Times are microseconds since 1970 on the engine's clock. Only messages may be many, so only for them it matters what a
change costs: a row is found by its number, which is made of the queue's and the message's (`rows`), and all that ever
changes stands in one column of fixed length, before the body: SQLite then overwrites those few bytes in place. There is
no index to keep besides: whoever loads the file wants all of it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from busframe_emulator.server.persistence.errors import DataDirectoryError

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID: Final = 0x42757345
"""'BusE': what `file` and PRAGMA application_id show."""

VERSION: Final = 1

_SQLITE_VERSION_MIN: Final = (3, 37, 0)  # STRICT tables

_TABLES: Final = """
CREATE TABLE engine (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    salt BLOB NOT NULL,                     -- of identifiers and receipts
    now_us INTEGER NOT NULL,                -- no commit was made later than that
    queues_made INTEGER NOT NULL,
    moves_made INTEGER NOT NULL
) STRICT;

CREATE TABLE queue (
    number INTEGER PRIMARY KEY,
    region TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,                 -- JSON, by the fields of QueueSettings
    tags TEXT NOT NULL,                     -- JSON
    created_us INTEGER NOT NULL,
    modified_us INTEGER NOT NULL,
    purged_us INTEGER,
    last_ordinal INTEGER NOT NULL,          -- of the last message there ever was, unless a greater one is there
    UNIQUE (region, account, name)
) STRICT;

CREATE TABLE deleted_queue (
    region TEXT NOT NULL,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    until_us INTEGER NOT NULL,              -- the name is refused until then
    PRIMARY KEY (region, account, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    number INTEGER PRIMARY KEY,
    state BLOB NOT NULL,                    -- see rows
    sent_us INTEGER NOT NULL,
    body TEXT NOT NULL,
    rare BLOB                               -- MessagePack; what most messages do not have
) STRICT;

CREATE TABLE message_group (
    queue INTEGER NOT NULL,
    name TEXT NOT NULL,
    served INTEGER NOT NULL,
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE tenant (
    queue INTEGER NOT NULL,
    name TEXT NOT NULL,
    until_us INTEGER NOT NULL,              -- until then it is remembered that it sent a message
    PRIMARY KEY (queue, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE deduplication (
    number INTEGER PRIMARY KEY,             -- in the order of until_us: what is forgotten first stands first
    queue INTEGER NOT NULL,                 -- perhaps of one that is not there any more
    until_us INTEGER NOT NULL,
    scope TEXT NOT NULL,
    deduplication_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL
) STRICT;

CREATE TABLE receive_attempt (
    queue INTEGER NOT NULL,
    attempt_id TEXT NOT NULL,
    until_us INTEGER NOT NULL,
    hidden TEXT NOT NULL,                   -- JSON
    PRIMARY KEY (queue, attempt_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE move_tasks (
    queue INTEGER PRIMARY KEY,
    tasks TEXT NOT NULL                     -- JSON
) STRICT;
"""

TABLES: Final = (
    "queue",
    "deleted_queue",
    "message",
    "message_group",
    "tenant",
    "deduplication",
    "receive_attempt",
    "move_tasks",
)
"""All that are emptied when all is reset; `engine` keeps its one row."""


def open_file(connection: sqlite3.Connection, path: Path, salt: bytes, *, flush: bool) -> None:
    """Make the file ready for use, and keep everybody else out of it.

    Args:
        connection: to the file.
        path: of the file.
        salt: of a new one.
        flush: have each commit on the disk itself; if not, it is with the operating system.

    Raises:
        DataDirectoryError: it is not ours, damaged, newer than this program, or in use; it was not changed.
    """
    if sqlite3.sqlite_version_info < _SQLITE_VERSION_MIN:
        least = ".".join(map(str, _SQLITE_VERSION_MIN))
        raise DataDirectoryError(f"{path} needs SQLite {least}; this Python has {sqlite3.sqlite_version}")
    try:
        # From the first look until the connection or the process ends. A second process finds it locked.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        try:
            version = _check_whose(connection, path)
            if version:
                _check_whole(connection, path)
        finally:
            connection.execute("ROLLBACK")
        _set_up(connection, path, flush=flush)
        if not version:
            _make(connection, salt)
    except sqlite3.Error as error:
        raise translate(error, path) from error


def translate(error: sqlite3.Error, path: Path) -> DataDirectoryError:
    """Say in our words what SQLite says."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DataDirectoryError(f"{path} is in use: another emulator has this directory")
        case sqlite3.SQLITE_NOTADB:
            return DataDirectoryError(f"{path} is not a file of this program, or is damaged: {error}")
        case sqlite3.SQLITE_CORRUPT:
            return DataDirectoryError(f"{path} is damaged: {error}")
        case _:
            return DataDirectoryError(f"{path} cannot be used: {error}")


def _check_whose(connection: sqlite3.Connection, path: Path) -> int:
    """Tell the file's version; 0 for an empty file."""
    application_id = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id == APPLICATION_ID and version:
        if version > VERSION:
            raise DataDirectoryError(
                f"{path} was written by a newer version of this program (layout {version}, this one knows {VERSION})"
            )
        return version
    if application_id or version or objects:
        raise DataDirectoryError(f"{path} is the SQLite file of another program")
    return 0


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DataDirectoryError(f"{path} is damaged: {found}")


def _set_up(connection: sqlite3.Connection, path: Path, *, flush: bool) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise DataDirectoryError(f"{path}: SQLite's write-ahead log cannot be used there; name a local disk")
    # NORMAL: a commit outlives the process, however that ends. FULL: and a loss of power.
    connection.execute(f"PRAGMA synchronous = {'FULL' if flush else 'NORMAL'}")
    # Some systems build SQLite to overwrite deleted rows with zeros, which writes each message's page twice.
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA cache_size = -16000")
    connection.execute("PRAGMA temp_store = MEMORY")
    # A queue touches the same few pages again and again; a longer log writes them to the file less often.
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _make(connection: sqlite3.Connection, salt: bytes) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)
    connection.execute("INSERT INTO engine VALUES (1, ?, 0, 0, 0)", (salt,))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
