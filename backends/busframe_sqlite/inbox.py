"""The inbox in an SQLite database: the file of the queues, a file of its own, the application's database, or memory.

One table, `busframe_inbox`, has a row for each message that is being handled or was. It is no part of the layout of the
queues, so that the database can be the application's: what a handler leaves to `delivery.transaction` has to be in the
same database as the mark. Nothing else is changed in a file that is there.

Calls that come together share a transaction; those that change more than one statement does are each behind a savepoint
of its own. They run in a thread, one batch after the other, on a connection apart from that of the queues: it needs
nothing but the standard library, on any event loop.
"""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar, cast

import anyio

from busframe import runtime
from busframe.batching import Batcher
from busframe.errors import InvalidArgumentError, StorageError
from busframe.inbox import Claim, ClaimedElsewhere, HandledBefore
from busframe_sqlite.errors import translate
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence
    from contextlib import AbstractAsyncContextManager

    from anyio.abc import TaskGroup

    from busframe.config import BackendUrl
    from busframe.inbox import Effect, Inbox

R = TypeVar("R")

BATCH_ENTRIES_MAX: Final = 100
FORGET_AT_ONCE_MAX: Final = 200
"""Old rows that a transaction removes at most, so that none takes long."""

_MEMORY: Final = ":memory:"

_LAYOUT: Final = (
    """CREATE TABLE IF NOT EXISTS busframe_inbox (
    key TEXT PRIMARY KEY,          -- the queue, and who sent the message under which id
    owner TEXT,                    -- of the claim; NULL: the message is done
    until_us INTEGER NOT NULL,     -- end of the claim; microseconds since 1970, as all times
    forget_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS busframe_inbox_by_age ON busframe_inbox (forget_at_us)",
)

# A claim can be had if nobody has it, if it has ended, or if the row is of a time that is not remembered any more.
_CLAIM: Final = """
INSERT INTO busframe_inbox (key, owner, until_us, forget_at_us) VALUES (:key, :owner, :until_us, :forget_at_us)
ON CONFLICT (key) DO UPDATE SET owner = :owner, until_us = :until_us, forget_at_us = :forget_at_us
WHERE (owner IS NOT NULL AND until_us <= :now_us) OR forget_at_us <= :now_us
"""
_LOOK: Final = "SELECT owner, until_us FROM busframe_inbox WHERE key = ?"
_EXTEND: Final = """
UPDATE busframe_inbox SET until_us = :until_us, forget_at_us = max(forget_at_us, :until_us)
WHERE key = :key AND owner = :owner
"""
_FINISH: Final = "UPDATE busframe_inbox SET owner = NULL, forget_at_us = ? WHERE key = ? AND owner = ?"
_RELEASE: Final = "DELETE FROM busframe_inbox WHERE key = ? AND owner = ?"
_FORGET: Final = """
DELETE FROM busframe_inbox WHERE key IN (
    SELECT key FROM busframe_inbox WHERE forget_at_us <= ? ORDER BY forget_at_us LIMIT ?
)
"""


class _Connection(sqlite3.Connection):
    """A connection that is handed to functions of the application, inside a transaction that is not theirs to end."""

    def __enter__(self) -> _Connection:  # noqa: PYI034 - nobody derives from it
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        """`with connection:` ends no transaction here: it is ended with the mark, or not at all."""
        return False

    def commit(self) -> None:
        """Nothing: for functions that know no better. It is done with the mark."""

    def rollback(self) -> None:
        """Refuse: raising an exception is how to undo all of it."""
        raise sqlite3.ProgrammingError("raise an exception to roll back: the transaction is the inbox's")

    @contextmanager
    def lent(self) -> Generator[None, None, None]:
        """Deny BEGIN, COMMIT and ROLLBACK in SQL."""
        self.set_authorizer(_no_transactions)
        try:
            yield
        finally:
            self.set_authorizer(None)


def _no_transactions(action: int, *_: object) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK


class SqliteInbox:
    """Implements `busframe.inbox.Inbox`. Make one with `open_sqlite_inbox` or `open_memory_inbox`."""

    def __init__(self, connection: _Connection, place: Path, tasks: TaskGroup) -> None:
        self._connection = connection
        self._place = place
        self._thread = anyio.CapacityLimiter(1)
        self._batcher = Batcher[_Operation, object](tasks, self._apply, entries_max=BATCH_ENTRIES_MAX)

    async def claim(self, key: str, *, lease_s: float, window_s: float) -> Claim | HandledBefore | ClaimedElsewhere:
        """See `busframe.inbox.Inbox`."""
        claim = Claim(key=key, owner=runtime.new_id())
        return await self._do(partial(_claim, claim=claim, lease_s=lease_s, window_s=window_s), changes_once=True)

    async def extend(self, claims: Sequence[Claim], *, lease_s: float) -> Sequence[bool]:
        """See `busframe.inbox.Inbox`."""
        return await self._do(partial(_extend, claims=claims, lease_s=lease_s))

    async def finish(self, claim: Claim, effects: Sequence[Effect], *, window_s: float) -> bool:
        """See `busframe.inbox.Inbox`."""
        finish = partial(_finish, claim=claim, effects=effects, window_s=window_s)
        return await self._do(finish, changes_once=not effects)

    async def release(self, claim: Claim) -> None:
        """See `busframe.inbox.Inbox`."""
        await self._do(lambda connection: connection.execute(_RELEASE, (claim.key, claim.owner)), changes_once=True)

    async def run(self, function: Callable[[sqlite3.Connection], R]) -> R:
        """See `busframe.inbox.Inbox`."""

        def lend(connection: _Connection) -> R:
            with connection.lent():
                return function(connection)

        return await self._do(lend)

    async def _do(self, function: Callable[[_Connection], R], *, changes_once: bool = False) -> R:
        """Run a function in a transaction it may share with others, and raise what it raised. See `_Operation`."""
        outcome = await self._batcher.submit(_Operation(function, changes_once))
        if isinstance(outcome, _Raised):
            raise outcome.error
        return cast("R", outcome)

    async def _apply(self, batch: Sequence[_Operation]) -> Sequence[object]:
        # A thread that still writes is not left behind: anyio waits for it, cancelled or not.
        return await runtime.run_blocking(partial(self._transact, batch), limiter=self._thread)

    def _transact(self, batch: Sequence[_Operation]) -> Sequence[object]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                outcomes = [_attempt(connection, operation) for operation in batch]
                connection.execute(_FORGET, (_now_us(), FORGET_AT_ONCE_MAX))
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise translate(error, self._place) from error
        return outcomes


class _Operation(NamedTuple):
    """Something to do in a transaction that others share.

    Attributes:
        function: does it.
        changes_once: it changes the database with one statement at most, and does nothing after it that can fail.
            SQLite undoes a statement that fails by itself: no savepoint is needed.
    """

    function: Callable[[_Connection], object]
    changes_once: bool


class _Raised:
    """What an operation raised, in place of what it returned."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _attempt(connection: _Connection, operation: _Operation) -> object:
    """Run one operation of a batch so that its failure undoes nothing but its own."""
    if not operation.changes_once:
        connection.execute("SAVEPOINT busframe_entry")
    try:
        outcome = operation.function(connection)
    except Exception as error:
        if not connection.in_transaction:
            raise  # SQLite itself has rolled everything back: disk full, or ON CONFLICT ROLLBACK
        if not operation.changes_once:
            connection.execute("ROLLBACK TO busframe_entry")
        outcome = _Raised(error)
    if not operation.changes_once:
        connection.execute("RELEASE busframe_entry")
    return outcome


def _claim(
    connection: _Connection, *, claim: Claim, lease_s: float, window_s: float
) -> Claim | HandledBefore | ClaimedElsewhere:
    now_us = _now_us()
    row = {
        "key": claim.key,
        "owner": claim.owner,
        "now_us": now_us,
        "until_us": now_us + _us(lease_s),
        "forget_at_us": now_us + _us(max(lease_s, window_s)),
    }
    if connection.execute(_CLAIM, row).rowcount:
        return claim
    owner, until_us = connection.execute(_LOOK, (claim.key,)).fetchone()
    return HandledBefore() if owner is None else ClaimedElsewhere(left_s=(until_us - now_us) / 1_000_000)


def _extend(connection: _Connection, *, claims: Sequence[Claim], lease_s: float) -> Sequence[bool]:
    until_us = _now_us() + _us(lease_s)
    rows = [{"until_us": until_us, "key": claim.key, "owner": claim.owner} for claim in claims]
    return [bool(connection.execute(_EXTEND, row).rowcount) for row in rows]


def _finish(connection: _Connection, *, claim: Claim, effects: Sequence[Effect], window_s: float) -> bool:
    # The mark first: whose claim is lost may not even try.
    if not connection.execute(_FINISH, (_now_us() + _us(window_s), claim.key, claim.owner)).rowcount:
        return False
    if effects:
        with connection.lent():
            for effect in effects:
                effect(connection)
    return True


def open_sqlite_inbox(url: BackendUrl) -> AbstractAsyncContextManager[Inbox]:
    """Open `sqlite:///path?synchronous=full&busy_timeout_s=5`. See `busframe.inbox.InboxFactory`.

    Raises:
        InvalidArgumentError: see `Settings.from_url`.
        StorageError: on entering: the folder is missing, or the file is no database, damaged or not writable.
        UnavailableError: on entering: another process holds the file.
    """
    return _open(Settings.from_url(url))


def open_memory_inbox(url: BackendUrl) -> AbstractAsyncContextManager[Inbox]:
    """Open an empty inbox, `memory://`, an SQLite database in memory. It ends with the context."""
    url.require_only(())
    if url.place:
        raise InvalidArgumentError("url", url.place, "memory:// names no place")
    return _open(Settings(path=Path(_MEMORY)))


@asynccontextmanager
async def _open(settings: Settings) -> AsyncGenerator[SqliteInbox]:
    connection = await runtime.run_blocking(partial(_connect, settings))
    try:
        async with runtime.background_tasks() as tasks:
            yield SqliteInbox(connection, settings.path, tasks)
    finally:
        with anyio.CancelScope(shield=True):
            await runtime.run_blocking(connection.close)


def _connect(settings: Settings) -> _Connection:
    path = settings.path
    in_memory = str(path) == _MEMORY
    if not in_memory and not path.parent.is_dir():
        raise StorageError(f"{path}: the folder {path.parent} is not there; make it first")
    try:
        # Worker threads take turns with it.
        connection = sqlite3.connect(path, factory=_Connection, check_same_thread=False, isolation_level=None)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    try:
        connection.execute(f"PRAGMA busy_timeout = {round(settings.busy_timeout_s * 1000)}")
        connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not objects and not in_memory:
            # A new file, and so ours to choose for. One that is there stays as its owner wants it.
            connection.execute("PRAGMA journal_mode = WAL")
        for statement in _LAYOUT:
            connection.execute(statement)
    except sqlite3.Error as error:
        connection.close()
        raise translate(error, path) from error
    return connection


def _now_us() -> int:
    return _us(runtime.wall_s())


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
