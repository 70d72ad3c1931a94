"""The one thread that touches the file, and the one way to run something there.

A call through aiosqlite costs about 130 microseconds, most of it two hops between threads. So a whole transaction, with
all the statements of many operations, is one Python function that makes the hop once. aiosqlite has no public way to
run a function on its thread, but two public facts make one: `connect` takes a connection class of ours, and
`commit` calls that class's `commit` there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from busframe.errors import StorageError
from busframe_sqlite.errors import translate
from busframe_sqlite.schema import open_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    import aiosqlite

    from busframe_sqlite.settings import Settings

R = TypeVar("R")


class _Connection(sqlite3.Connection):
    """A connection whose `commit` does the work that was handed in; transactions are written out in SQL."""

    work: deque[Callable[[], None]]

    def commit(self) -> None:
        self.work.popleft()()


class SqliteThread:
    """Runs functions on the thread that owns the connection."""

    def __init__(self, outer: aiosqlite.Connection, inner: _Connection) -> None:
        self._outer = outer
        self._inner = inner

    async def run(self, function: Callable[[sqlite3.Connection], R]) -> R:
        """Run one function there, after those handed in before. Cancelled, it runs all the same."""
        answers: list[R] = []
        self._inner.work.append(lambda: answers.append(function(self._inner)))
        await self._outer.commit()
        return answers[0]


@asynccontextmanager
async def open_thread(settings: Settings) -> AsyncGenerator[SqliteThread]:
    """Open the file on a thread of its own; at the end, the thread has ended.

    Raises:
        StorageError, UnavailableError: see `busframe_sqlite.schema.open_file`.
    """
    path = settings.path
    if not path.parent.is_dir():
        raise StorageError(f"{path}: the folder {path.parent} is not there; make it first")
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

    outer = await _connect(path, make)
    try:
        if failures:
            raise translate(failures[0], path)
        thread = SqliteThread(outer, made[0])
        await thread.run(partial(open_file, settings=settings))
        yield thread
    finally:
        with anyio.CancelScope(shield=True):
            await outer.close()
        threads[0].join()  # It has answered already, and is on its last lines.


async def _connect(path: Path, factory: Callable[..., _Connection]) -> aiosqlite.Connection:
    import aiosqlite  # an extra: `opening` has looked for it by now

    with anyio.CancelScope(shield=True):  # The thread that is being started must be met, or nobody ends it.
        return await aiosqlite.connect(path, factory=factory, isolation_level=None, cached_statements=256)
    raise AssertionError  # A type checker cannot know that a scope nobody cancels swallows nothing.
