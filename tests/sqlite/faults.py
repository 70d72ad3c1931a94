"""A connection one of whose statements fails, as on a disk that cannot be read or written."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from busframe_sqlite.backend import SqliteBackend


class FailingStatements:
    """Stands before a backend's connection, and lets the `n`-th statement fail, COMMIT included."""

    def __init__(self, backend: SqliteBackend) -> None:
        transactor: Any = vars(backend.committer)["_transactor"]
        self._connection: sqlite3.Connection = transactor._connection
        self._left = 0
        transactor._connection = self

    def fail(self, nth: int) -> bool:
        """0: none. Tells whether the one before has failed."""
        came_up, self._left = self._left == 0, nth
        return came_up

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        self._meet(statement)
        return self._connection.execute(statement, *parameters)

    def executemany(self, statement: str, rows: Any) -> sqlite3.Cursor:
        self._meet(statement)
        return self._connection.executemany(statement, rows)

    def _meet(self, statement: str) -> None:
        if statement == "ROLLBACK" or not self._left:
            return
        self._left -= 1
        if not self._left:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            error.sqlite_errorname = "SQLITE_IOERR"
            raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
