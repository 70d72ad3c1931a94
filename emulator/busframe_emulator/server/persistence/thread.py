"""The one thread that touches the file, and the one way to run something there.

A call through aiosqlite costs two hops between threads, so a whole commit is one function that makes them once.
aiosqlite has no public way to run a function on its thread, but two public facts make one: `connect` takes a connection
class of ours, and `commit` calls that class's `commit` there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from busframe_emulator.server.persistence.errors import DataDirectoryError
from busframe_emulator.server.persistence.layout import translate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import aiosqlite

R = TypeVar("R")


class _Connection(sqlite3.Connection):
    """A connection whose `commit` does the work that was handed in; transactions are written out in SQL."""

    work: deque[Callable[[], None]]
    thread: threading.Thread

    def commit(self) -> None:
        self.work.popleft()()


class SqliteThread:
    """Runs functions on the thread that owns the connection."""

    def __init__(self, outer: aiosqlite.Connection, inner: _Connection) -> None:
        self._outer = outer
        self._inner = inner

    async def run(self, function: Callable[[sqlite3.Connection], R]) -> R:
        """Run one function there, after those handed in before."""
        answers: list[R] = []
        self._inner.work.append(lambda: answers.append(function(self._inner)))
        await self._outer.commit()
        return answers[0]

    async def aclose(self) -> None:
        """Close the file; the thread has ended then."""
        await self._outer.close()
        self._inner.thread.join()  # it has answered already, and is on its last lines


async def open_thread(path: Path) -> SqliteThread:
    """Open a file on a thread of its own.

    Raises:
        DataDirectoryError: aiosqlite is not installed, or the file cannot be opened.
    """
    try:
        import aiosqlite  # an extra
    except ImportError:
        raise DataDirectoryError(
            "keeping data needs aiosqlite, which is not installed: pip install 'busframe[emulator-data]'"
        ) from None
    made: list[_Connection] = []
    failures: list[sqlite3.Error] = []

    def make(*arguments: Any, **keywords: Any) -> _Connection:
        try:
            connection = _Connection(*arguments, **keywords)
        except sqlite3.Error as error:
            # Where connecting fails, aiosqlite leaves its thread to end some time later, perhaps after the event loop,
            # which the thread then trips over. So it gets a connection to nothing, and closes it in order.
            failures.append(error)
            connection = _Connection(":memory:")
        connection.work = deque()
        connection.thread = threading.current_thread()
        made.append(connection)
        return connection

    # Nobody to wait for: whoever has the file has it for as long as it runs.
    outer = await aiosqlite.connect(path, factory=make, isolation_level=None, cached_statements=256, timeout=0)
    thread = SqliteThread(outer, made[0])
    if failures:
        await thread.aclose()
        raise translate(failures[0], path)
    return thread
