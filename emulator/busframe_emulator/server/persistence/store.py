"""The file as the event loop sees it: opened, loaded once, written to, and closed, on a thread of its own."""

from __future__ import annotations

import os
import sqlite3
import struct
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from busframe_emulator.server.persistence.errors import DataDirectoryError
from busframe_emulator.server.persistence.file import DataFile
from busframe_emulator.server.persistence.layout import open_file, translate
from busframe_emulator.server.persistence.thread import open_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from busframe_emulator.engine.records import Delta, Saved
    from busframe_emulator.server.persistence.file import Beginning
    from busframe_emulator.server.persistence.thread import SqliteThread

FILE_NAME: Final = "emulator.sqlite3"

SALT_BYTES: Final = 8

R = TypeVar("R")


class Store:
    """A file, open and locked. One call at a time."""

    def __init__(self, path: Path, thread: SqliteThread, file: DataFile) -> None:
        self._path = path
        self._thread = thread
        self._file = file

    async def load(self, read: Callable[[Beginning, Saved], R]) -> R:
        """Hand all there is to `read`, on SQLite's thread: it may be more than fits into memory twice.

        Raises:
            DataDirectoryError: it cannot be read.
        """
        try:
            return await self._thread.run(lambda _: self._file.load(read))
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
            await self._thread.run(lambda _: self._file.write(delta, now_us, until_us, erase))
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    async def aclose(self) -> None:
        """Let go of the file."""
        await self._thread.aclose()


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
        file = await thread.run(partial(_open_file, path=path, salt=salt, flush=flush))
        _sync_directory(directory)
    except BaseException:
        await thread.aclose()
        raise
    return Store(path, thread, file)


def _open_file(connection: sqlite3.Connection, *, path: Path, salt: bytes, flush: bool) -> DataFile:
    open_file(connection, path, salt, flush=flush)
    return DataFile(connection)


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
