"""The one connection to the file, and the one way to run something with it off the event loop.

A call through aiosqlite costs about 130 microseconds, most of it two hops between threads. So a whole transaction, with
all the statements of many callers, is one Python function that makes the hop once. aiosqlite has no public way to run a
function on its thread, but two public facts make one: `connect` takes a connection class of ours, and `commit` calls
that class's `commit` there.

aiosqlite needs asyncio. On trio the function runs on one of trio's own worker threads, one at a time: SQLite does not
mind which thread it is, as long as there is one.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections import deque
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import anyio

from busframe import runtime
from busframe.errors import StorageError
from busframe_sqlite.errors import translate
from busframe_sqlite.schema import open_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    import aiosqlite

    from busframe_sqlite.settings import Settings

R = TypeVar("R")

_CACHED_STATEMENTS: Final = 256


class SqliteThread(Protocol):
    """Runs functions with the connection, one after the other, on a thread that is not the event loop's."""

    async def run(self, function: Callable[[sqlite3.Connection], R]) -> R:
        """Run one function there, after those handed in before. Cancelled, it runs all the same."""
        ...


@asynccontextmanager
async def open_thread(settings: Settings) -> AsyncGenerator[SqliteThread]:
    """Open the file for the event loop that runs here; at the end it is closed.

    Raises:
        StorageError, UnavailableError: see `busframe_sqlite.schema.open_file`.
    """
    path = settings.path
    if not path.parent.is_dir():
        raise StorageError(f"{path}: the folder {path.parent} is not there; make it first")
    async with _connect(path) as thread:
        await thread.run(partial(open_file, settings=settings))
        yield thread


def _connect(path: Path) -> AbstractAsyncContextManager[SqliteThread]:
    trio = sys.modules.get("trio")
    on_trio = trio is not None and bool(trio.lowlevel.in_trio_task())
    return _connect_on_trio(path) if on_trio else _connect_on_asyncio(path)


# --- trio -----------------------------------------------------------------------------------------------------------


class _WorkerThread:
    """Runs functions on the event loop's worker threads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._one_at_a_time = anyio.CapacityLimiter(1)

    async def run(self, function: Callable[[sqlite3.Connection], R]) -> R:
        """See `SqliteThread`."""
        return await runtime.run_blocking(lambda: function(self._connection), limiter=self._one_at_a_time)


@asynccontextmanager
async def _connect_on_trio(path: Path) -> AsyncGenerator[SqliteThread]:
    connect = partial(
        sqlite3.connect, path, isolation_level=None, cached_statements=_CACHED_STATEMENTS, check_same_thread=False
    )
    try:
        connection = await runtime.run_blocking(connect)
    except sqlite3.Error as error:
        raise translate(error, path) from error
    try:
        yield _WorkerThread(connection)
    finally:
        with anyio.CancelScope(shield=True):
            await runtime.run_blocking(connection.close)


# --- asyncio --------------------------------------------------------------------------------------------------------


class _Connection(sqlite3.Connection):
    """A connection whose `commit` does the work that was handed in; transactions are written out in SQL."""

    work: deque[Callable[[], None]]

    def commit(self) -> None:
        self.work.popleft()()


class _OwnThread:
    """Runs functions on aiosqlite's thread."""

    def __init__(self, outer: aiosqlite.Connection, inner: _Connection) -> None:
        self._outer = outer
        self._inner = inner

    async def run(self, function: Callable[[sqlite3.Connection], R]) -> R:
        """See `SqliteThread`."""
        answers: list[R] = []
        self._inner.work.append(lambda: answers.append(function(self._inner)))
        await self._outer.commit()
        return answers[0]


@asynccontextmanager
async def _connect_on_asyncio(path: Path) -> AsyncGenerator[SqliteThread]:
    """Open the file on a thread of its own; at the end, the thread has ended."""
    failures: list[sqlite3.Error] = []
    made: list[_Connection] = []
    threads: list[threading.Thread] = []

    def make(*arguments: Any, **keywords: Any) -> _Connection:
        try:
            connection = _Connection(*arguments, **keywords)
        except sqlite3.Error as error:
            # Where connecting fails, aiosqlite leaves its thread to end some time later, perhaps after the event
            # loop, which the thread then trips over. So it gets a connection to nothing, and closes it in order.
            failures.append(error)
            connection = _Connection(":memory:")
        connection.work = deque()
        made.append(connection)
        threads.append(threading.current_thread())
        return connection

    outer = await _start_aiosqlite(path, make)
    try:
        if failures:
            raise translate(failures[0], path)
        yield _OwnThread(outer, made[0])
    finally:
        with anyio.CancelScope(shield=True):
            await outer.close()
        threads[0].join()  # It has answered already, and is on its last lines.


async def _start_aiosqlite(path: Path, factory: Callable[..., _Connection]) -> aiosqlite.Connection:
    import aiosqlite  # an extra: `opening` has looked for it by now

    with anyio.CancelScope(shield=True):  # The thread that is being started must be met, or nobody ends it.
        return await aiosqlite.connect(
            path, factory=factory, isolation_level=None, cached_statements=_CACHED_STATEMENTS
        )
    raise AssertionError  # A type checker cannot know that a scope nobody cancels swallows nothing.
