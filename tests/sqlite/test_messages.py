"""What this backend promises beyond the contract: exact receipts, dead letters, retention, waiting in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from busframe.backend import DeadLetters, Plan, QueueSpec, TopicSpec
from busframe.errors import (
    BackendError,
    InvalidArgumentError,
    LeaseLostError,
    QueueNotFoundError,
    ReceiptInvalidError,
    UnsupportedError,
)
from busframe.message import Acknowledge, Extension, Failed, Outgoing, QueueName, Receipt, Release, Settled

if TYPE_CHECKING:
    from busframe.message import Received, SettleOutcome
    from busframe_sqlite.backend import SqliteBackend
    from busframe_sqlite.clock import ManualClock
    from busframe_sqlite.transaction import Transaction

pytestmark = pytest.mark.anyio

WORK = QueueName("work")
DEAD = QueueName("dead")


async def _take(backend: SqliteBackend, queue: QueueName = WORK, lease_s: float = 30) -> Received:
    (received,) = await backend.receive(queue, limit=1, wait_s=0, lease_s=lease_s)
    return received


def _error(outcome: SettleOutcome) -> type[BackendError] | None:
    return type(outcome.error) if isinstance(outcome, Failed) else None


async def test_an_old_receipt_does_not_acknowledge_a_newer_delivery_on_any_queue(
    backend: SqliteBackend, clock: ManualClock
) -> None:
    await backend.send(WORK, [Outgoing(body="x")])
    first = await _take(backend)
    clock.advance(31)
    second = await _take(backend)
    (old,) = await backend.settle(WORK, [Acknowledge(receipt=first.receipt)])
    (new,) = await backend.settle(WORK, [Acknowledge(receipt=second.receipt)])
    assert _error(old) is LeaseLostError
    assert new == Settled()


async def test_a_lost_lease_is_neither_released_nor_extended(backend: SqliteBackend, clock: ManualClock) -> None:
    await backend.send(WORK, [Outgoing(body="x")])
    first = await _take(backend)
    clock.advance(30)
    (released,) = await backend.settle(WORK, [Release(receipt=first.receipt)])
    (extended,) = await backend.extend(WORK, [Extension(receipt=first.receipt, lease_s=60)])
    assert _error(released) is LeaseLostError
    assert _error(extended) is LeaseLostError


async def test_entries_of_one_batch_see_each_other(backend: SqliteBackend) -> None:
    await backend.send(WORK, [Outgoing(body="x")])
    receipt = (await _take(backend)).receipt
    outcomes = await backend.settle(
        WORK,
        [
            Release(receipt=receipt, delay_s=5),
            Release(receipt=receipt),
            Acknowledge(receipt=receipt),
            Acknowledge(receipt=receipt),
        ],
    )
    assert [_error(outcome) for outcome in outcomes] == [None, LeaseLostError, None, None]
    assert (await backend.stats(WORK)).oldest_age_s is None


@pytest.mark.parametrize("change", ["queue", "message", "delivery", "mark"])
async def test_a_forged_receipt_is_invalid(backend: SqliteBackend, change: str) -> None:
    await backend.send(WORK, [Outgoing(body="x")])
    parts = (await _take(backend)).receipt.split("-")
    place = ["queue", "message", "delivery", "mark"].index(change)
    parts[place] = f"{int(parts[place], 16) ^ 1:0{len(parts[place])}x}"
    (outcome,) = await backend.settle(WORK, [Acknowledge(receipt=Receipt("-".join(parts)))])
    assert _error(outcome) is ReceiptInvalidError


async def test_a_receipt_of_another_queue_is_invalid(backend: SqliteBackend) -> None:
    await backend.send(WORK, [Outgoing(body="x")])
    received = await _take(backend)
    (outcome,) = await backend.settle(DEAD, [Acknowledge(receipt=received.receipt)])
    assert _error(outcome) is ReceiptInvalidError


async def test_a_receipt_does_not_outlive_its_queue(backend: SqliteBackend) -> None:
    await backend.send(WORK, [Outgoing(body="x")])
    received = await _take(backend)
    await backend.remove(WORK)
    await backend.provision(Plan(queues=(QueueSpec(name=WORK),)))
    await backend.send(WORK, [Outgoing(body="y")])
    await _take(backend)
    (outcome,) = await backend.settle(WORK, [Acknowledge(receipt=received.receipt)])
    assert _error(outcome) is ReceiptInvalidError


async def test_a_dead_letter_keeps_its_identity_and_its_age(backend: SqliteBackend, clock: ManualClock) -> None:
    await backend.send(WORK, [Outgoing(body="x", attributes={"a": b"\x00", "b": "c"}, group="tenant")])
    for _ in range(2):
        await _take(backend, lease_s=10)
        clock.advance(10)
    received = await _take(backend, lease_s=10)
    clock.advance(10)
    assert await backend.receive(WORK, limit=1, wait_s=0, lease_s=30) == []
    (late,) = await backend.settle(WORK, [Acknowledge(receipt=received.receipt)])
    dead = await _take(backend, DEAD)
    assert _error(late) is LeaseLostError
    assert dead.message_id == received.message_id
    assert dead.attributes == {"a": b"\x00", "b": "c"}
    assert dead.group == "tenant"
    assert dead.sent_at_s == received.sent_at_s
    assert dead.receive_count == 4
    assert ((await backend.stats(WORK)).arrived, (await backend.stats(DEAD)).arrived) == (1, 1)


async def test_a_message_stays_where_its_dead_letter_queue_is_gone(backend: SqliteBackend) -> None:
    await backend.remove(DEAD)
    await backend.send(WORK, [Outgoing(body="x")])
    counts = [(await _take(backend, lease_s=0)).receive_count for _ in range(5)]
    assert counts == [1, 2, 3, 4, 5]


async def test_a_receiver_of_the_dead_letter_queue_is_woken_by_the_move(backend: SqliteBackend) -> None:
    await backend.send(WORK, [Outgoing(body="x")])
    for _ in range(3):
        await _take(backend, lease_s=0)
    bodies: list[str] = []

    async def wait() -> None:
        received = await backend.receive(DEAD, limit=1, wait_s=3_600, lease_s=30)
        bodies.extend(message.body for message in received)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert await backend.receive(WORK, limit=1, wait_s=0, lease_s=30) == []
    assert bodies == ["x"]


async def test_a_message_in_flight_ends_with_its_retention(backend: SqliteBackend, clock: ManualClock) -> None:
    await backend.provision(Plan(queues=(QueueSpec(name=WORK, retention_s=60),)))
    await backend.send(WORK, [Outgoing(body="x")])
    received = await _take(backend, lease_s=600)
    clock.advance(60)
    stats = await backend.stats(WORK)
    assert (stats.visible, stats.in_flight, stats.delayed, stats.oldest_age_s) == (0, 0, 0, None)
    (extended,) = await backend.extend(WORK, [Extension(receipt=received.receipt, lease_s=60)])
    assert _error(extended) is LeaseLostError


async def test_a_delay_longer_than_the_retention_does_not_lose_the_message(
    backend: SqliteBackend, clock: ManualClock
) -> None:
    await backend.provision(Plan(queues=(QueueSpec(name=WORK, retention_s=60),)))
    await backend.send(WORK, [Outgoing(body="x", delay_s=backend.capabilities.delay_s_max)])
    clock.advance(backend.capabilities.delay_s_max)
    received = await _take(backend)
    await backend.settle(WORK, [Release(receipt=received.receipt, delay_s=600)])
    clock.advance(600)
    assert (await _take(backend)).body == "x"
    clock.advance(60)
    assert await backend.receive(WORK, limit=1, wait_s=0, lease_s=30) == []


async def test_more_than_a_step_is_swept_and_purged(backend: SqliteBackend, clock: ManualClock) -> None:
    for _ in range(25):
        await backend.send(WORK, [Outgoing(body="x")] * 100)
    clock.advance(345_600)
    await backend.send(WORK, [Outgoing(body="young")])
    assert (await _take(backend)).body == "young"
    for _ in range(25):
        await backend.send(WORK, [Outgoing(body="x")] * 100)
    await backend.purge(WORK)
    assert (await backend.stats(WORK)).oldest_age_s is None


async def test_every_waiting_receiver_gets_one_of_as_many_messages(backend: SqliteBackend) -> None:
    bodies: list[str] = []

    async def wait() -> None:
        received = await backend.receive(WORK, limit=1, wait_s=3_600, lease_s=30)
        bodies.extend(message.body for message in received)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await backend.send(WORK, [Outgoing(body=str(n)) for n in range(20)])
    assert sorted(map(int, bodies)) == list(range(20))


async def test_removing_a_queue_ends_the_wait_for_its_messages(backend: SqliteBackend) -> None:
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with pytest.raises(QueueNotFoundError):
                    await backend.receive(WORK, limit=1, wait_s=3_600, lease_s=30)

            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await backend.remove(WORK)


async def test_a_batch_with_too_many_bytes_is_refused(backend: SqliteBackend) -> None:
    largest = Outgoing(body="x" * backend.capabilities.message_bytes_max)
    count = backend.capabilities.batch_bytes_max // backend.capabilities.message_bytes_max
    with pytest.raises(InvalidArgumentError, match="batch"):
        await backend.send(WORK, [largest] * (count + 1))
    assert len(await backend.send(WORK, [largest] * count)) == count


async def test_what_the_file_cannot_do_is_refused_by_name(backend: SqliteBackend) -> None:
    with pytest.raises(UnsupportedError, match="topic"):
        await backend.provision(Plan(topics=(TopicSpec(name="t"),)))
    with pytest.raises(QueueNotFoundError, match="nowhere"):
        await backend.provision(
            Plan(queues=(QueueSpec(name=QueueName("new")), _with_dead_letters(QueueName("nowhere"))))
        )
    assert await backend.list_queues("new") == []


def _with_dead_letters(dead: QueueName) -> QueueSpec:
    return QueueSpec(name=QueueName("newer"), dead_letters=DeadLetters(queue=dead, max_receive_count=1))


async def test_a_queue_nobody_receives_from_does_not_keep_what_is_beyond_its_retention(
    backend: SqliteBackend, clock: ManualClock
) -> None:
    def count(transaction: Transaction) -> int:
        ((messages,),) = transaction.fetch("SELECT count(*) FROM message")
        return int(messages)

    await backend.provision(Plan(queues=(QueueSpec(name=DEAD, retention_s=60),)))
    await backend.send(DEAD, [Outgoing(body="old")] * 5)
    clock.advance(60)
    await backend.send(DEAD, [Outgoing(body="new")])
    assert await backend.committer.run(count) == 1
    await backend.send(WORK, [Outgoing(body="poison")])
    for _ in range(3):
        await backend.settle(WORK, [Release(receipt=(await _take(backend)).receipt)])
    clock.advance(60)
    assert await backend.receive(WORK, limit=1, wait_s=0, lease_s=30) == []
    assert await backend.committer.run(count) == 1
