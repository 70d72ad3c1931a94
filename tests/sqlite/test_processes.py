"""Several processes on one file, and what is left when one of them is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from busframe.backend import Plan, QueueSpec
from busframe.errors import UnavailableError
from busframe.message import Outgoing, QueueName
from busframe_sqlite.clock import ManualClock, WallClock
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from busframe.backend import Backend
    from busframe_sqlite.transaction import Transaction

pytestmark = pytest.mark.anyio

WORK = QueueName("work")
LONG_AFTER_S = 2_500_000_000.0
"""When every lease of a child, which goes by the wall clock, has ended."""


@pytest.fixture
async def settings(path: Path) -> Settings:
    """A file with one queue whose messages do not expire before `LONG_AFTER_S`."""
    settings = Settings(path=path)

    def keep_for_ever(transaction: Transaction) -> None:
        transaction.execute("UPDATE queue SET retention_us = 1 << 60")

    async with open_backend(settings, WallClock()) as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=WORK),)))
        await backend.committer.run(keep_for_ever)
    return settings


@pytest.fixture
def anyio_backend() -> str:
    """The file's side of things is the same on both loops, and starting programs takes its time."""
    return "asyncio"


def _give_no_watch(log: str) -> None:
    assert log.endswith("-wal")


def _child(settings: Settings, what: str) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("child.py")
    return subprocess.Popen(
        [sys.executable, script, settings.path, what], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _read(child: subprocess.Popen[str], lines: int | None = None) -> list[str]:
    """Read what it says: so many lines, or to its end."""
    assert child.stdout is not None
    if lines is None:
        return child.stdout.read().split()
    return [child.stdout.readline().strip() for _ in range(lines)]


def _kill(child: subprocess.Popen[str]) -> list[str]:
    """Kill it without warning, and read what it had said before. A last line cut short was never said."""
    child.kill()
    assert child.stdout is not None
    with child:
        return [line.strip() for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]


async def _rest(settings: Settings) -> list[str]:
    """Receive all that is there when all leases have ended."""
    bodies: list[str] = []
    async with open_backend(settings, ManualClock(LONG_AFTER_S)) as backend:
        while received := await backend.receive(WORK, limit=100, wait_s=0, lease_s=600):
            bodies.extend(message.body for message in received)
    return bodies


async def _send_numbers(backend: Backend, count: int) -> None:
    for first in range(0, count, 100):
        await backend.send(WORK, [Outgoing(body=str(number)) for number in range(first, first + 100)])


async def test_processes_share_the_messages_none_lost_none_twice(settings: Settings) -> None:
    async with open_backend(settings) as backend:
        await _send_numbers(backend, 600)
        with _child(settings, "consume") as one, _child(settings, "consume") as other:
            taken = [await anyio.to_thread.run_sync(_read, child) for child in (one, other)]
    assert sorted(map(int, taken[0] + taken[1])) == list(range(600))
    assert await _rest(settings) == []


@pytest.mark.parametrize("told_by", ["kernel", "polling"])
async def test_a_waiting_receiver_is_woken_by_another_process(
    settings: Settings, told_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told_by == "polling":
        monkeypatch.setattr("busframe_sqlite.log_watch._start_inotify", _give_no_watch)
    async with open_backend(settings) as backend:
        bodies: list[str] = []

        async def wait() -> None:
            received = await backend.receive(WORK, limit=1, wait_s=3_600, lease_s=30)
            bodies.extend(message.body for message in received)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                with _child(settings, "send_one"):
                    pass
    assert bodies == ["from the child"]


async def test_what_a_killed_process_was_told_is_sent_is_there(settings: Settings) -> None:
    child = _child(settings, "send_without_end")
    said = await anyio.to_thread.run_sync(_read, child, 300)
    said += _kill(child)
    there = await _rest(settings)
    assert set(said) <= set(there)
    assert len(there) == len(set(there))


async def test_what_a_killed_process_was_told_is_settled_does_not_come_back(settings: Settings) -> None:
    async with open_backend(settings) as backend:
        await _send_numbers(backend, 1_000)
    child = _child(settings, "consume")
    said = await anyio.to_thread.run_sync(_read, child, 300)
    said += _kill(child)
    left = await _rest(settings)
    assert not set(said) & set(left)
    assert len(left) == len(set(left))
    # At most one batch of three was settled and not told of.
    assert 1_000 - 3 <= len(said) + len(left) <= 1_000


async def test_a_process_killed_while_it_holds_the_file_leaves_it_as_it_was_and_free(settings: Settings) -> None:
    impatient = Settings(path=settings.path, busy_timeout_s=0)
    async with open_backend(impatient) as backend:
        await _send_numbers(backend, 100)
        child = _child(settings, "hold")
        assert await anyio.to_thread.run_sync(_read, child, 1) == ["held"]
        with pytest.raises(UnavailableError):
            await backend.send(WORK, [Outgoing(body="locked out")])
        _kill(child)
        await backend.send(WORK, [Outgoing(body="100")])
    assert sorted(map(int, await _rest(settings))) == list(range(101))


async def test_a_file_that_may_not_grow_loses_nothing_and_goes_on_when_it_may(settings: Settings) -> None:
    child = _child(settings, "fill")
    with child:
        *accepted, refused, after = await anyio.to_thread.run_sync(_read, child)
    assert len(accepted) > 10
    assert (refused, after) == (f"refused:{len(accepted)}", "after")
    there = [body.partition(":")[0] for body in await _rest(settings)]
    assert len(there) == len(set(there))
    # SQLite cannot tell whether the write that failed was the last of its transaction, so neither do we.
    assert set(there) - {str(len(accepted))} == {*accepted, "after"}


async def test_a_change_of_the_recipient_list_is_seen_by_other_processes(settings: Settings) -> None:
    async with open_backend(settings) as backend:
        before = await backend.recipients.load()
        with _child(settings, "add_recipient"):
            pass
        changed = await backend.recipients.changed_since(before.version)
        assert changed.version > before.version
        assert set(changed.topics) == {"t"}
        assert [row.name for row in (await backend.recipients.load()).subscriptions] == [("t", WORK)]
