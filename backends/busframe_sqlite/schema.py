"""The file's layout, and the check that a file is one of ours before anything in it is touched.

All times are microseconds since 1970. Every question a call asks is one range of one index: what can be received and
when the next message will be (`message_by_visibility`), what is too old (`message_by_age`), the head of a group
(`message_by_group`), whose turn it is among the groups (`ordered_group_by_turn`), what to forget
(`deduplication_by_age`).
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from busframe import runtime
from busframe.errors import StorageError, UnsupportedError
from busframe_sqlite.errors import primary_code, translate

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from busframe_sqlite.settings import Settings

APPLICATION_ID: Final = 0x42757346  # "BusF": what `file` and PRAGMA application_id show.
_SQLITE_VERSION_MIN: Final = (3, 38, 0)  # STRICT tables, RETURNING, json_each always built in.

# Rows change size as seldom as possible, and what changes stands before the body: SQLite then overwrites those few
# bytes in place, where it would otherwise write a body of a megabyte again at every receive.
_VERSION_1: Final = """
CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    secret BLOB NOT NULL,                  -- marks the receipts
    next_number INTEGER NOT NULL,          -- of messages, sequences and turns; never given out twice
    recipients_version INTEGER NOT NULL
) STRICT;

CREATE TABLE queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given out twice: receipts of a removed queue stay void
    name TEXT NOT NULL UNIQUE,
    lease_us INTEGER NOT NULL,
    delay_us INTEGER NOT NULL,
    retention_us INTEGER NOT NULL,
    dead_letter_queue TEXT,
    max_receive_count INTEGER,
    labels TEXT NOT NULL                   -- a JSON object
) STRICT;

CREATE TABLE message (
    number INTEGER PRIMARY KEY,
    queue_id INTEGER NOT NULL,
    visible_at_us INTEGER NOT NULL,        -- end of the delay or lease
    leased INTEGER NOT NULL,               -- 1: hidden by a delivery, 0: by a delay; says nothing once visible
    received_at_us INTEGER NOT NULL,       -- start of the last lease; before the first receive, the send
    receive_count INTEGER NOT NULL,        -- also the number of the last delivery
    sent_at_us INTEGER NOT NULL,
    kept_from_us INTEGER NOT NULL,         -- retention counts from here: the send, or the end of the last delay
    sequence INTEGER,                      -- the place in its group, on ordered queues only
    message_group TEXT,
    message_id TEXT NOT NULL,
    deduplication_id TEXT,
    dead_letter_source TEXT,
    attributes BLOB,                       -- a MessagePack map
    body TEXT NOT NULL
) STRICT;
CREATE INDEX message_by_visibility ON message (queue_id, visible_at_us);
CREATE INDEX message_by_age ON message (queue_id, kept_from_us);
CREATE INDEX message_by_group ON message (queue_id, message_group, sequence) WHERE sequence IS NOT NULL;

CREATE TABLE ordered_group (               -- one row for each group with messages: its first message
    queue_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    head_visible_at_us INTEGER NOT NULL,
    served INTEGER NOT NULL,               -- grows with each receive that took from the group; 0: not yet
    head_sequence INTEGER NOT NULL,
    PRIMARY KEY (queue_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX ordered_group_by_turn ON ordered_group (queue_id, head_visible_at_us, served, head_sequence);

CREATE TABLE deduplication (
    queue_id INTEGER NOT NULL,
    deduplication_id TEXT NOT NULL,
    first_sent_at_us INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (queue_id, deduplication_id)
) STRICT;
CREATE INDEX deduplication_by_age ON deduplication (first_sent_at_us);

CREATE TABLE recipient (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    queue TEXT NOT NULL,
    UNIQUE (topic, queue)
) STRICT;
"""

# Subscriptions with a space, a group, a filter, a state and a history, out of the pairs of topic and queue that
# version 1 had. `store.recipients_version` is not used any more.
_VERSION_2: Final = """
CREATE TABLE subscription (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    space TEXT NOT NULL,
    topic TEXT NOT NULL,
    queue TEXT NOT NULL,
    subscriber TEXT NOT NULL,              -- the group: a word that SQL has taken
    filter TEXT,                           -- a JSON object
    filter_on TEXT NOT NULL,               -- headers or payload
    state TEXT NOT NULL CHECK (state IN ('active', 'paused', 'draining')),
    created_at_us INTEGER NOT NULL,        -- 0: not known
    changed_at_us INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    UNIQUE (space, topic, queue)
) STRICT;

CREATE TABLE subscription_space (
    space TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription_log (
    id INTEGER PRIMARY KEY,
    space TEXT NOT NULL,
    version INTEGER NOT NULL,              -- of the space, after the change
    at_us INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    topic TEXT NOT NULL,
    queue TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    what TEXT NOT NULL
) STRICT;
CREATE INDEX subscription_log_by_version ON subscription_log (space, version);

INSERT INTO subscription SELECT id, '*', topic, queue, '', NULL, 'headers', 'active', 0, 0, '' FROM recipient;
DROP TABLE recipient;
"""

# How many messages have come onto the queue: their numbers do not tell, since they are the file's.
_VERSION_3: Final = """
ALTER TABLE queue ADD COLUMN arrived INTEGER NOT NULL DEFAULT 0;
"""

_SWITCH_PAUSE_S: Final = 0.005

# The n-th script makes version n out of version n - 1. Scripts are never changed once released: append.
MIGRATIONS: Final[Sequence[str]] = (_VERSION_1, _VERSION_2, _VERSION_3)


def open_file(connection: sqlite3.Connection, settings: Settings) -> None:
    """Make the file ready for use: check whose it is, bring it to the present version, set the connection's ways.

    Runs on SQLite's thread. Several processes may open a new file at once.

    Raises:
        StorageError: the file is not ours, damaged, newer than this program, or cannot be used. It was not changed.
        UnavailableError: another process holds it.
    """
    if sqlite3.sqlite_version_info < _SQLITE_VERSION_MIN:
        least = ".".join(map(str, _SQLITE_VERSION_MIN))
        raise UnsupportedError(f"sqlite:// needs SQLite {least}; this Python has {sqlite3.sqlite_version}")
    path = settings.path
    try:
        connection.execute(f"PRAGMA busy_timeout = {round(settings.busy_timeout_s * 1000)}")
        with _transaction(connection, "BEGIN"):
            version = _check_whose(connection, path)
        _switch_to_write_ahead_log(connection, settings)
        connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
        # macOS flushes no further than to the drive's own memory unless told to; elsewhere this means nothing.
        connection.execute(f"PRAGMA fullfsync = {settings.synchronous == 'full':d}")
        if version < len(MIGRATIONS):
            with _transaction(connection, "BEGIN IMMEDIATE"):
                _migrate(connection, path)
        _tune(connection)
    except sqlite3.Error as error:
        raise translate(error, path) from error


def _check_whose(connection: sqlite3.Connection, path: Path) -> int:
    """Tell the file's version, 0 for an empty file. Inside a transaction, or another process may change it half-way."""
    application_id = _pragma(connection, "application_id")
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id == APPLICATION_ID:
        return check_version(connection, path)
    if application_id or objects or _pragma(connection, "user_version"):
        raise StorageError(f"{path} is the SQLite file of another program: name another path")
    return 0


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """Tell the version of a file of ours. Asked again whenever others have changed it: they may be newer than we are.

    Raises:
        StorageError: it is newer than this program.
    """
    version = _pragma(connection, "user_version")
    if version > len(MIGRATIONS):
        raise StorageError(
            f"{path} was written by a newer version of this program (layout {version}, this one knows "
            f"{len(MIGRATIONS)}): update busframe, or name another path"
        )
    return version


def _switch_to_write_ahead_log(connection: sqlite3.Connection, settings: Settings) -> None:
    if _log_mode(connection, settings) != "wal":
        place = settings.path
        raise StorageError(f"{place}: SQLite's write-ahead log cannot be used there; name a path on a local disk")


def _log_mode(connection: sqlite3.Connection, settings: Settings) -> str:
    """Ask for the log, again and again while others hold the file: SQLite does not always wait by itself here."""
    attempts_left = settings.busy_timeout_s / _SWITCH_PAUSE_S
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            attempts_left -= 1
            if attempts_left < 0 or primary_code(error) != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(_SWITCH_PAUSE_S)  # noqa: TID251 - SQLite's thread waits here, not the event loop
        else:
            return str(mode)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    # Looked at again under the lock: another process may have been quicker.
    version = _check_whose(connection, path)
    for script in MIGRATIONS[version:]:
        for statement in script.split(";\n"):
            connection.execute(statement)
    if version == 0:
        secret = bytes.fromhex(runtime.new_id())
        connection.execute("INSERT INTO store VALUES (1, ?, 1, 0)", (secret,))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Generator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _tune(connection: sqlite3.Connection) -> None:
    # From here on the transactor waits for locks itself: SQLite's own waiting sleeps up to 100 ms at a time, and a
    # process that sleeps that long never gets its turn beside a busy one.
    connection.execute("PRAGMA busy_timeout = 0")
    # Some systems build SQLite to overwrite deleted rows with zeros, which writes each message's page twice.
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA cache_size = -16000")
    connection.execute("PRAGMA temp_store = MEMORY")
    # A queue touches the same few pages again and again; a longer log writes them to the file less often.
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
