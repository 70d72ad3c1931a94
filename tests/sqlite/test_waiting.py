"""Receivers in line: a wake that one of them does not use is the next one's, without anybody looking at the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import pytest

from busframe.message import MessageId, QueueName, Receipt, Received
from busframe_sqlite.backend import SqliteBackend
from busframe_sqlite.claiming import Claim
from busframe_sqlite.clock import ManualClock
from busframe_sqlite.transactor import Look
from busframe_sqlite.waiting import WaitingRoom

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio

WORK = QueueName("work")
ONE = Received(message_id=MessageId("m"), receipt=Receipt("r"), body="x", attributes={}, receive_count=1, sent_at_s=0.0)


class _Store:
    """A committer whose answers are given by hand: a try finds what is there when it is let through."""

    def __init__(self) -> None:
        self.messages: list[Received] = []
        self.way = anyio.Event()
        self.way.set()
        self.tries = 0

    async def share(self, *_: object, **__: object) -> Claim:
        self.tries += 1
        await self.way.wait()
        return Claim([self.messages.pop()] if self.messages else [], unfinished=False)


class _Line:
    """Two receivers that sleep, the first of them first."""

    def __init__(self) -> None:
        self.room = WaitingRoom(ManualClock())
        self.store = _Store()
        self.backend = SqliteBackend(cast("Any", self.store), self.room)
        self.answers: dict[str, Sequence[Received]] = {}
        self.first = anyio.CancelScope()

    async def receive(self, name: str, scope: anyio.CancelScope) -> None:
        with scope:
            self.answers[name] = await self.backend.receive(WORK, limit=1, wait_s=60, lease_s=30)

    def tell(self, ready: int) -> None:
        self.room.tell({WORK: Look(ready=ready, due_at_us=None)})


async def test_a_woken_receiver_that_is_cancelled_in_its_try_wakes_the_next() -> None:
    line = _Line()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.receive, "first", line.first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(line.receive, "second", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        line.store.way = anyio.Event()
        line.tell(ready=1)
        await anyio.wait_all_tasks_blocked()
        assert line.store.tries == 3  # the first one's second
        line.first.cancel()
        line.store.messages.append(ONE)
        line.store.way.set()
    assert line.answers == {"second": [ONE]}
    assert line.room.watched() == {}


async def test_a_woken_receiver_that_is_cancelled_before_its_try_wakes_the_next() -> None:
    line = _Line()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.receive, "first", line.first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(line.receive, "second", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        line.store.messages.append(ONE)
        line.tell(ready=1)
        line.first.cancel()
    assert line.answers == {"second": [ONE]}


async def test_news_during_a_try_that_finds_nothing_is_tried_for_again() -> None:
    line = _Line()
    line.store.way = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.receive, "first", line.first)
        await anyio.wait_all_tasks_blocked()
        line.tell(ready=1)  # of a transaction after the one that the try is in
        line.store.way.set()
        while line.store.tries < 2:
            await anyio.lowlevel.checkpoint()
        line.store.messages.append(ONE)
        line.tell(ready=1)
    assert line.answers == {"first": [ONE]}


async def test_a_receiver_in_its_try_takes_no_wake_from_one_that_sleeps() -> None:
    line = _Line()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.receive, "sleeps", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        way, line.store.way = line.store.way, anyio.Event()
        tasks.start_soon(line.receive, "tries", line.first)
        await anyio.wait_all_tasks_blocked()
        line.store.messages.append(ONE)
        stuck, line.store.way = line.store.way, way
        line.tell(ready=1)
        await anyio.wait_all_tasks_blocked()
        assert line.answers == {"sleeps": [ONE]}
        line.first.cancel()
        stuck.set()
