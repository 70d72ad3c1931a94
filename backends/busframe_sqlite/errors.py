"""What SQLite's errors mean, in one table.

An operation that fails is rolled back, so the effect is "none", with one exception: when the disk fails while a
transaction is being written, the last word may be on it or not.
"""

from __future__ import annotations

import sqlite3
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from busframe.errors import BackendError, MessageTooLargeError, StorageError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from busframe.errors import Effect

_BUG: Final = "SQLite refuses a statement of this package; the file was changed by another program, or this is a bug"

# https://www.sqlite.org/rescode.html, the primary result codes. The advice is what the reader of the error can do.
_ADVICE: Final[Mapping[int, tuple[type[BackendError], str]]] = MappingProxyType(
    {
        sqlite3.SQLITE_BUSY: (UnavailableError, "another process holds the file; try again, or raise busy_timeout_s"),
        sqlite3.SQLITE_LOCKED: (UnavailableError, "the file is in use; try again"),
        sqlite3.SQLITE_PROTOCOL: (UnavailableError, "another process holds the file; try again"),
        sqlite3.SQLITE_INTERRUPT: (UnavailableError, "the statement was interrupted; try again"),
        sqlite3.SQLITE_NOMEM: (UnavailableError, "there is no memory left; try again"),
        sqlite3.SQLITE_TOOBIG: (MessageTooLargeError, "a value is larger than SQLite takes"),
        sqlite3.SQLITE_FULL: (StorageError, "the disk is full, or the file has reached its largest size; make room"),
        sqlite3.SQLITE_IOERR: (StorageError, "the disk failed; look into the system's log"),
        sqlite3.SQLITE_READONLY: (StorageError, "the file cannot be written; check the rights of file and folder"),
        sqlite3.SQLITE_PERM: (StorageError, "the file may not be used; check the rights of file and folder"),
        sqlite3.SQLITE_AUTH: (StorageError, "the file may not be used; check the rights of file and folder"),
        sqlite3.SQLITE_CANTOPEN: (StorageError, "the file cannot be opened; check that its folder is there"),
        sqlite3.SQLITE_CORRUPT: (StorageError, "the file is damaged; move it away, or restore it from a backup"),
        sqlite3.SQLITE_NOTADB: (StorageError, "the file is not an SQLite database; name another path"),
        sqlite3.SQLITE_FORMAT: (StorageError, "the file is not an SQLite database; name another path"),
        sqlite3.SQLITE_NOLFS: (StorageError, "the system cannot hold a file that large"),
        sqlite3.SQLITE_ERROR: (StorageError, _BUG),
        sqlite3.SQLITE_INTERNAL: (StorageError, _BUG),
        sqlite3.SQLITE_ABORT: (StorageError, _BUG),
        sqlite3.SQLITE_NOTFOUND: (StorageError, _BUG),
        sqlite3.SQLITE_EMPTY: (StorageError, _BUG),
        sqlite3.SQLITE_SCHEMA: (StorageError, _BUG),
        sqlite3.SQLITE_CONSTRAINT: (StorageError, _BUG),
        sqlite3.SQLITE_MISMATCH: (StorageError, _BUG),
        sqlite3.SQLITE_MISUSE: (StorageError, _BUG),
        sqlite3.SQLITE_RANGE: (StorageError, _BUG),
    }
)

_PRIMARY: Final = 0xFF  # The low byte of an extended result code is the primary one.


def primary_code(error: sqlite3.Error) -> int:
    """Tell SQLite's primary result code. Errors raised by Python's module itself have none and count as misuse."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    return code & _PRIMARY


def is_mapped(code: int) -> bool:
    """Tell whether the table knows this primary result code."""
    return code in _ADVICE


def translate(error: sqlite3.Error, path: Path) -> BackendError:
    """Say in Busframe's words what went wrong with the file at `path`, with the error as its cause."""
    code = primary_code(error)
    kind, advice = _ADVICE.get(code, (StorageError, _BUG))
    effect: Effect = "unknown" if code == sqlite3.SQLITE_IOERR else "none"
    translated = kind(f"{path}: {advice} ({error})", effect=effect)
    translated.__cause__ = error
    return translated
