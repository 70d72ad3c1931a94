"""A program that shares a queue file with a test: `child.py path what`. It prints what it has been promised."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from busframe.errors import StorageError
from busframe.message import Acknowledge, Outgoing, QueueName, Sent
from busframe.recipients import Subscription
from busframe_sqlite.clock import WallClock
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from busframe_sqlite.backend import SqliteBackend
    from busframe_sqlite.transaction import Transaction

WORK = QueueName("work")
SENDERS = 10


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def send_without_end(backend: SqliteBackend) -> None:
    """Print the number of each message that was accepted."""

    async def send(first: int) -> None:
        for number in range(first, 1_000_000, SENDERS):
            (outcome,) = await backend.send(WORK, [Outgoing(body=str(number))])
            assert isinstance(outcome, Sent)
            _say(str(number))

    async with anyio.create_task_group() as tasks:
        for first in range(SENDERS):
            tasks.start_soon(send, first)


async def consume(backend: SqliteBackend) -> None:
    """Print each message whose acknowledgement was accepted, until nothing more comes."""
    while received := await backend.receive(WORK, limit=3, wait_s=2, lease_s=600):
        await backend.settle(WORK, [Acknowledge(receipt=message.receipt) for message in received])
        for message in received:
            _say(message.body)


async def send_one(backend: SqliteBackend) -> None:
    await backend.send(WORK, [Outgoing(body="from the child")])


async def hold(backend: SqliteBackend) -> None:
    """Change the file without committing, and hold it until killed."""

    def change_and_wait(transaction: Transaction) -> None:
        transaction.execute("DELETE FROM message")
        _say("held")
        sys.stdin.read()

    await backend.committer.run(change_and_wait)


async def fill(backend: SqliteBackend) -> None:
    """Send until the file may not grow any more, printing what was accepted, then what was not; and carry on."""
    size = Path(sys.argv[1]).stat().st_size  # noqa: ASYNC240 - nothing else runs
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write that would pass the limit fails instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1_000_000, resource.RLIM_INFINITY))
    for number in range(1_000):
        try:
            await backend.send(WORK, [Outgoing(body=f"{number}:{'x' * 10_000}")])
        except StorageError:
            _say(f"refused:{number}")
            break
        _say(str(number))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await backend.send(WORK, [Outgoing(body=f"after:{'x' * 10_000}")])
    _say("after")


async def add_recipient(backend: SqliteBackend) -> None:
    await backend.recipients.change(lambda rows: [*rows, Subscription(topic="t", queue=WORK)], by="child")


async def main(path: Path, what: str) -> None:
    programs = {
        "send_without_end": send_without_end,
        "consume": consume,
        "send_one": send_one,
        "hold": hold,
        "fill": fill,
        "add_recipient": add_recipient,
    }
    async with open_backend(Settings(path=path), WallClock()) as backend:
        await programs[what](backend)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2])
