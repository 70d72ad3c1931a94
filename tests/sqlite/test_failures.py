"""Each caller has its own fate: among neighbours in a transaction, with a locked file, with a full disk."""

from __future__ import annotations

import sqlite3
import threading
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from busframe.backend import Plan, QueueSpec
from busframe.errors import BackendError, ClosedError, QueueNotFoundError, StorageError, UnavailableError
from busframe.message import Outgoing, QueueName, Sent
from busframe_sqlite.clock import ManualClock
from busframe_sqlite.errors import is_mapped, translate
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from busframe_sqlite.backend import SqliteBackend
    from busframe_sqlite.transaction import Transaction

pytestmark = pytest.mark.anyio

WORK = QueueName("work")

# https://www.sqlite.org/rescode.html: the primary result codes that are errors.
ERRORS = [
    "SQLITE_ABORT",
    "SQLITE_AUTH",
    "SQLITE_BUSY",
    "SQLITE_CANTOPEN",
    "SQLITE_CONSTRAINT",
    "SQLITE_CORRUPT",
    "SQLITE_EMPTY",
    "SQLITE_ERROR",
    "SQLITE_FORMAT",
    "SQLITE_FULL",
    "SQLITE_INTERNAL",
    "SQLITE_INTERRUPT",
    "SQLITE_IOERR",
    "SQLITE_LOCKED",
    "SQLITE_MISMATCH",
    "SQLITE_MISUSE",
    "SQLITE_NOLFS",
    "SQLITE_NOMEM",
    "SQLITE_NOTADB",
    "SQLITE_NOTFOUND",
    "SQLITE_PERM",
    "SQLITE_PROTOCOL",
    "SQLITE_RANGE",
    "SQLITE_READONLY",
    "SQLITE_SCHEMA",
    "SQLITE_TOOBIG",
]


@pytest.fixture
async def backend(path: Path) -> AsyncGenerator[SqliteBackend]:
    async with open_backend(Settings(path=path, busy_timeout_s=0), ManualClock()) as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=WORK),)))
        yield backend


async def _bodies(backend: SqliteBackend) -> list[str]:
    received = await backend.receive(WORK, limit=100, wait_s=0, lease_s=0)
    return sorted(message.body for message in received)


async def _fates(*calls: Callable[[], Awaitable[object]]) -> list[object]:
    """Make the calls at once, so that they share a transaction; a fate is a result or an error."""
    fates: list[object] = [None] * len(calls)

    async def call(place: int) -> None:
        try:
            fates[place] = await calls[place]()
        except (BackendError, ArithmeticError) as error:
            fates[place] = error

    async with anyio.create_task_group() as tasks:
        for place in range(len(calls)):
            tasks.start_soon(call, place)
    return fates


def _holding(gate: threading.Event) -> Callable[[Transaction], bool]:
    """An operation that holds its transaction open."""

    def hold(_: Transaction) -> bool:
        return gate.wait()

    return hold


def _pages(connection: sqlite3.Connection) -> int:
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    return pages


def _limit_pages(connection: sqlite3.Connection, pages: int) -> None:
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()


def _fail_after_a_change(transaction: Transaction) -> None:
    transaction.execute("DELETE FROM message")
    raise ZeroDivisionError


def _be_refused_after_a_change(transaction: Transaction) -> None:
    transaction.execute("DELETE FROM message")
    raise QueueNotFoundError("too late")


def _break_a_rule_of_the_file(transaction: Transaction) -> None:
    transaction.execute("INSERT INTO store VALUES (2, x'', 1, 0)")


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (_fail_after_a_change, ZeroDivisionError),
        (_be_refused_after_a_change, QueueNotFoundError),
        (_break_a_rule_of_the_file, StorageError),
    ],
)
async def test_a_failing_operation_does_not_fail_its_neighbours(
    backend: SqliteBackend, failing: Callable[[Transaction], None], error: type[Exception]
) -> None:
    fates = await _fates(
        lambda: backend.send(WORK, [Outgoing(body="before")]),
        lambda: backend.send(QueueName("nowhere"), [Outgoing(body="x")]),
        lambda: backend.committer.run(failing),
        lambda: backend.send(WORK, [Outgoing(body="after")]),
    )
    assert [type(fate) for fate in fates] == [list, QueueNotFoundError, error, list]
    assert await _bodies(backend) == ["after", "before"]


async def test_a_locked_file_loses_nothing_and_says_try_again(backend: SqliteBackend, path: Path) -> None:
    await backend.send(WORK, [Outgoing(body="before")])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    send = lambda: backend.send(WORK, [Outgoing(body="locked out")])  # noqa: E731 - said twice
    fates = await _fates(send, send, lambda: backend.receive(WORK, limit=1, wait_s=0, lease_s=30))
    for fate in fates:
        assert isinstance(fate, UnavailableError)
        assert (fate.retryable, str(fate.effect)) == (True, "none")
        assert str(path) in str(fate)
    assert await backend.describe(WORK) is not None  # reading needs no lock
    other.execute("ROLLBACK")
    other.close()
    await backend.send(WORK, [Outgoing(body="after")])
    assert await _bodies(backend) == ["after", "before"]


async def test_a_receiver_keeps_waiting_while_the_file_is_locked(backend: SqliteBackend, path: Path) -> None:
    bodies: list[str] = []

    async def wait() -> None:
        received = await backend.receive(WORK, limit=1, wait_s=3_600, lease_s=30)
        bodies.extend(message.body for message in received)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert await backend.describe(WORK) is not None  # comes after the receiver's first try
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(UnavailableError):
                await backend.send(WORK, [Outgoing(body="locked out")])
            other.execute("ROLLBACK")
            other.close()
            await backend.send(WORK, [Outgoing(body="after")])
    assert bodies == ["after"]


async def test_a_full_disk_loses_nothing_and_hurts_only_what_needs_room(backend: SqliteBackend) -> None:
    await backend.send(WORK, [Outgoing(body="before")])
    thread = backend.committer.thread
    await thread.run(partial(_limit_pages, pages=await thread.run(_pages) + 4))
    small, large = await _fates(
        lambda: backend.send(WORK, [Outgoing(body="small")]),
        lambda: backend.send(WORK, [Outgoing(body="x" * 1_000_000)]),
    )
    assert isinstance(small, list)
    assert isinstance(large, StorageError)
    assert large.effect == "none"
    assert "full" in str(large)
    assert await _bodies(backend) == ["before", "small"]
    await thread.run(partial(_limit_pages, pages=1_000_000))
    (outcome,) = await backend.send(WORK, [Outgoing(body="x" * 1_000_000)])
    assert isinstance(outcome, Sent)


async def test_a_receive_cancelled_during_its_transaction_gives_back_what_it_took_uncounted(
    backend: SqliteBackend,
) -> None:
    await backend.send(WORK, [Outgoing(body="x")])
    committer = backend.committer
    begun, gate = threading.Event(), threading.Event()

    def hold(_: Transaction) -> None:
        begun.set()
        gate.wait()

    receiver = anyio.CancelScope()

    async def receive() -> None:
        with receiver:
            await backend.receive(WORK, limit=1, wait_s=3_600, lease_s=600)

    await anyio.wait_all_tasks_blocked()  # what carries out transactions looks for the next one a little longer
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        tasks.start_soon(committer.run, hold)  # the same transaction
        await anyio.to_thread.run_sync(begun.wait)
        receiver.cancel()
        await anyio.wait_all_tasks_blocked()
        gate.set()
    (received,) = await backend.receive(WORK, limit=1, wait_s=0, lease_s=30)
    assert received.receive_count == 1


async def test_a_call_cancelled_before_its_transaction_has_no_effect(backend: SqliteBackend) -> None:
    committer = backend.committer
    gate = threading.Event()
    sender = anyio.CancelScope()

    async def send() -> None:
        with sender:
            await backend.send(WORK, [Outgoing(body="x")])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(committer.run, _holding(gate))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        sender.cancel()
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert await _bodies(backend) == []


async def test_closing_finishes_what_was_accepted_and_refuses_what_comes_later(path: Path) -> None:
    fates: list[object] = []
    gate = threading.Event()

    async def note(call: Callable[[], Awaitable[object]]) -> None:
        try:
            fates.append(await call())
        except ClosedError as error:
            fates.append(type(error))

    settings = Settings(path=path)
    async with anyio.create_task_group() as tasks, open_backend(settings, ManualClock()) as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=WORK), QueueSpec(name=QueueName("other")))))
        tasks.start_soon(backend.committer.run, _holding(gate))
        tasks.start_soon(note, lambda: backend.receive(WORK, limit=1, wait_s=3_600, lease_s=30))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(note, lambda: backend.send(QueueName("other"), [Outgoing(body="accepted")]))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(anyio.to_thread.run_sync, gate.set)
    assert fates[0] is ClosedError or fates[1] is ClosedError
    assert any(isinstance(fate, list) for fate in fates)
    with pytest.raises(ClosedError):
        await backend.send(WORK, [Outgoing(body="late")])
    names = [thread.name for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]
    assert names == []


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_of_sqlite_is_mapped(name: str, path: Path) -> None:
    code: int = getattr(sqlite3, name)
    assert is_mapped(code)
    error = sqlite3.OperationalError("said SQLite")
    error.sqlite_errorcode = code | 0x300  # extended codes count as their primary ones
    translated = translate(error, path)
    assert translated.__cause__ is error
    assert translated.effect == ("unknown" if name == "SQLITE_IOERR" else "none")
