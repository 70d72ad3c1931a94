"""Workers killed without warning at random moments, several at once, under load: what each was promised holds."""

from __future__ import annotations

import random  # noqa: TID251 - says how far each worker gets
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from busframe.backend import Plan, QueueSpec
from busframe.message import Acknowledge, QueueName
from busframe_sqlite.clock import ManualClock
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from busframe_sqlite.transaction import Transaction

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

WORK, ORDERED = QueueName("work"), QueueName("work.fifo")
LONG_AFTER_S = 2_500_000_000.0
"""When every lease of a worker, which goes by the wall clock, has ended."""

WORKERS, LIVES = 3, 6


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class _Log:
    """What the workers of all lives have written down: by what and queue, the times at which each body was named."""

    def __init__(self) -> None:
        self._times_ns: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))

    def read(self, line: str) -> None:
        time_ns, what, queue, body = line.split()
        self._times_ns[what, queue][body].append(int(time_ns))

    def said(self, what: str, queue: QueueName) -> dict[str, list[int]]:
        return self._times_ns[what, queue]


def _live_and_die(path: Path, name: str, lines: int) -> list[str]:
    """Let a worker write so many lines, kill it, and return all that it wrote. A last line cut short was never said."""
    script = Path(__file__).with_name("worker.py")
    said: list[str] = []
    with subprocess.Popen([sys.executable, script, path, name], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            said.append(line)
            if len(said) == lines:
                worker.kill()
    assert len(said) >= lines, "the worker ended by itself"
    return [line for line in said if line.endswith("\n")]


async def _rest(path: Path, queue: QueueName) -> list[str]:
    """Take all that is there when all leases have ended."""
    bodies: list[str] = []
    async with open_backend(Settings(path=path), ManualClock(LONG_AFTER_S)) as backend:
        while received := await backend.receive(queue, limit=1_000, wait_s=0, lease_s=600):
            bodies.extend(message.body for message in received)
            await backend.settle(queue, [Acknowledge(receipt=message.receipt) for message in received])
    return bodies


def _check_all_is_there(log: _Log, queue: QueueName, rest: list[str]) -> None:
    left = set(rest)
    sent, acknowledged = log.said("sent", queue).keys(), log.said("acknowledged", queue).keys()
    # Of the calls that the kill cut off, nobody can know; of all others the logs tell.
    maybe_sent, maybe_gone = log.said("sending", queue).keys(), log.said("acknowledging", queue).keys()
    assert len(rest) == len(left), "a message is there twice"
    assert not left & acknowledged, "an acknowledged message came back"
    assert sent <= left | maybe_gone, "a sent message is lost"
    assert left <= maybe_sent, "there is a message that nobody sent"
    assert log.said("received", queue).keys() <= maybe_sent


def _check_order(log: _Log) -> None:
    """A message of a group was not seen before somebody set out to acknowledge the one before it."""
    begun, received = log.said("acknowledging", ORDERED), log.said("received", ORDERED)
    for body, times_ns in received.items():
        group, _, number = body.partition(":")
        before = f"{group}:{int(number) - 1}"
        first_ns = min(times_ns)
        if number != "0" and first_ns not in received.get(before, ()):  # else they came together
            assert min(begun.get(before, [sys.maxsize])) < first_ns, f"{body} overtook {before}"


async def test_workers_killed_at_random_moments_lose_nothing_and_bring_nothing_back(path: Path) -> None:
    def keep_for_ever(transaction: Transaction) -> None:
        transaction.execute("UPDATE queue SET retention_us = 1 << 60")

    async with open_backend(Settings(path=path)) as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=WORK), QueueSpec(name=ORDERED))))
        await backend.committer.run(keep_for_ever)
    log = _Log()
    moments = random.Random(20_260_101)  # noqa: S311 - how far each worker gets

    async def work(worker: int, lives: list[int]) -> None:
        for life, lines in enumerate(lives):
            said = await anyio.to_thread.run_sync(_live_and_die, path, f"{worker}.{life}", lines)
            for line in said:
                log.read(line)

    async with anyio.create_task_group() as tasks:
        for worker in range(WORKERS):
            tasks.start_soon(work, worker, [moments.randint(1, 3_000) for _ in range(LIVES)])

    for queue in (WORK, ORDERED):
        assert len(log.said("acknowledged", queue)) > 100, "too little was done to prove anything"
        _check_all_is_there(log, queue, await _rest(path, queue))
    _check_order(log)
