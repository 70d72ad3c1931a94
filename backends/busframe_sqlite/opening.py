"""Opening and closing: puts the parts together."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from busframe import runtime
from busframe.errors import MissingExtraError
from busframe.recipients import check_space
from busframe_sqlite.backend import SqliteBackend
from busframe_sqlite.clock import WallClock
from busframe_sqlite.committer import Committer
from busframe_sqlite.connection import open_thread
from busframe_sqlite.log_watch import open_log_watch
from busframe_sqlite.settings import Settings
from busframe_sqlite.transactor import Transactor
from busframe_sqlite.waiting import WaitingRoom, Watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from busframe.backend import Backend
    from busframe.config import BackendUrl
    from busframe.recipients import RecipientList
    from busframe_sqlite.clock import Clock


def open_sqlite(url: BackendUrl) -> AbstractAsyncContextManager[Backend]:
    """Open `sqlite:///path?synchronous=full&busy_timeout_s=5`. See `busframe.backend.BackendFactory`.

    Raises:
        InvalidArgumentError: see `Settings.from_url`.
        MissingExtraError: aiosqlite is not installed.
        StorageError: on entering: the folder is missing, or the file is not ours, newer, damaged or not writable.
        UnavailableError: on entering: another process holds the file.
    """
    return open_backend(_settings(url))


def open_sqlite_recipients(url: BackendUrl, *, space: str) -> AbstractAsyncContextManager[RecipientList]:
    """Open the recipient list of a space in that file, which may hold queues too. Raises what `open_sqlite` raises."""
    return _open_recipients(_settings(url), check_space(space))


def _settings(url: BackendUrl) -> Settings:
    settings = Settings.from_url(url)
    if find_spec("aiosqlite") is None:
        raise MissingExtraError(package="aiosqlite", extra="sqlite", needed_for="sqlite://")
    return settings


@asynccontextmanager
async def open_backend(settings: Settings, clock: Clock | None = None) -> AsyncGenerator[SqliteBackend]:
    """Open a file. At the end, what was accepted is committed.

    Args:
        settings: which file.
        clock: None: the machine's. It is read from other threads.
    """
    clock = clock or WallClock()
    async with open_thread(settings) as thread:
        transactor = await thread.run(lambda connection: Transactor(connection, settings, clock))
        room = WaitingRoom(clock)
        committer = Committer(thread, transactor, room)
        backend = SqliteBackend(committer, room)
        with open_log_watch(settings.path) as log:
            async with runtime.background_tasks() as tasks:
                tasks.start_soon(committer.serve)
                tasks.start_soon(Watch(room, log, backend.look, lambda: committer.transactions).run)
                try:
                    yield backend
                finally:
                    backend.close()  # the tasks are cancelled next: that ends the watch; the committer finishes first


@asynccontextmanager
async def _open_recipients(settings: Settings, space: str) -> AsyncGenerator[RecipientList]:
    async with open_backend(settings) as backend:
        yield backend.recipients.in_space(space)
