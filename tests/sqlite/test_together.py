"""Many callers at once, whose calls are done with the same statements: each gets its own answer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.lowlevel
import pytest

from busframe.errors import LeaseLostError, QueueNotFoundError, ReceiptInvalidError
from busframe.message import Acknowledge, Failed, Outgoing, QueueName, Receipt, Release, Sent, Settled
from busframe_sqlite.backend import CAPABILITIES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.message import Received
    from busframe_sqlite.backend import SqliteBackend
    from busframe_sqlite.clock import ManualClock
    from busframe_sqlite.transaction import Transaction

R = TypeVar("R")

pytestmark = pytest.mark.anyio

WORK, ORDERED = QueueName("work"), QueueName("work.fifo")


async def _at_once(backend: SqliteBackend, *calls: Callable[[], Awaitable[R]]) -> list[R]:
    """Make the calls, in their order, while a transaction runs, so that the next one takes all of them."""
    gate = threading.Event()
    before = backend.committer.transactions
    answers: dict[int, R] = {}

    def hold(_: Transaction) -> None:
        gate.wait()

    async def make(place: int) -> None:
        answers[place] = await calls[place]()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(backend.committer.run, hold)
        await anyio.wait_all_tasks_blocked()
        for place in range(len(calls)):
            tasks.start_soon(make, place)
            await anyio.wait_all_tasks_blocked()
        gate.set()
    assert backend.committer.transactions == before + 2
    return [answers[place] for place in range(len(calls))]


def _receiving(backend: SqliteBackend, queue: QueueName, limit: int) -> Callable[[], Awaitable[Sequence[Received]]]:
    return lambda: backend.receive(queue, limit=limit, wait_s=0, lease_s=30)


def _bodies(answers: Sequence[Sequence[Received]]) -> list[list[str]]:
    return [[message.body for message in answer] for answer in answers]


async def test_receivers_at_once_share_the_messages_first_come_first_served(backend: SqliteBackend) -> None:
    await backend.send(WORK, [Outgoing(body=str(number)) for number in range(5)])
    answers = await _at_once(backend, *(_receiving(backend, WORK, limit) for limit in (2, 2, 2, 2)))
    assert _bodies(answers) == [["0", "1"], ["2", "3"], ["4"], []]
    receipts = [message.receipt for answer in answers for message in answer]
    outcomes = await backend.settle(WORK, [Acknowledge(receipt=receipt) for receipt in receipts])
    assert outcomes == [Settled()] * 5


async def test_receivers_at_once_never_share_a_group(backend: SqliteBackend) -> None:
    messages = [Outgoing(body=f"{group}{number}", group=group) for group in "ab" for number in range(3)]
    await backend.send(ORDERED, messages)
    answers = await _at_once(backend, *(_receiving(backend, ORDERED, 2) for _ in range(3)))
    assert _bodies(answers) == [["a0", "a1"], ["b0", "b1"], []]
    await backend.settle(ORDERED, [Release(receipt=message.receipt) for message in answers[0]])
    assert _bodies([await _receiving(backend, ORDERED, 10)()]) == [["a0", "a1", "a2"]]


async def test_a_receive_in_the_same_transaction_sees_what_others_sent_and_released(backend: SqliteBackend) -> None:
    await backend.send(ORDERED, [Outgoing(body="a0", group="a")])
    (out,) = await _receiving(backend, ORDERED, 1)()
    received: list[str] = []

    async def receive() -> None:
        received.extend(message.body for message in await _receiving(backend, ORDERED, 10)())

    async def release() -> None:
        await backend.settle(ORDERED, [Release(receipt=out.receipt)])

    async def send() -> None:
        await backend.send(ORDERED, [Outgoing(body="a1", group="a")])

    await _at_once(backend, receive, release, send)
    assert received == ["a0", "a1"]


async def test_acknowledgements_at_once_have_fates_of_their_own(backend: SqliteBackend, clock: ManualClock) -> None:
    await backend.send(WORK, [Outgoing(body=str(number)) for number in range(4)])
    (stale,) = await backend.receive(WORK, limit=1, wait_s=0, lease_s=1)
    clock.advance(1)
    fresh = await _receiving(backend, WORK, 10)()
    await backend.settle(WORK, [Acknowledge(receipt=fresh[0].receipt)])
    receipts = [fresh[0].receipt, fresh[1].receipt, stale.receipt, Receipt("unknown"), fresh[1].receipt]
    answers = await _at_once(
        backend,
        *(lambda receipt=receipt: backend.settle(WORK, [Acknowledge(receipt=receipt)]) for receipt in receipts),
        lambda: backend.settle(WORK, [Release(receipt=fresh[2].receipt), Acknowledge(receipt=fresh[3].receipt)]),
    )
    fates = [
        type(outcome.error) if isinstance(outcome, Failed) else Settled for answer in answers for outcome in answer
    ]
    assert fates == [Settled, Settled, LeaseLostError, ReceiptInvalidError, Settled, Settled, Settled]
    # The stale receipt's message was delivered again as one of the fresh ones, and is theirs.
    assert len(_bodies([await _receiving(backend, WORK, 10)()])[0]) == 1


async def test_a_duplicate_in_the_same_transaction_is_one(backend: SqliteBackend) -> None:
    twin = Outgoing(body="x", group="a", deduplication_id="d")
    answers = await _at_once(backend, *(lambda: backend.send(ORDERED, [twin, twin]) for _ in range(3)))
    outcomes = [outcome for answer in answers for outcome in answer]
    assert len({outcome.message_id for outcome in outcomes if isinstance(outcome, Sent)}) == 1
    assert _bodies([await _receiving(backend, ORDERED, 10)()]) == [["x"]]


async def test_callers_refused_together_each_have_an_error_of_their_own(backend: SqliteBackend) -> None:
    nowhere = QueueName("nowhere")

    async def fail() -> QueueNotFoundError:
        with pytest.raises(QueueNotFoundError) as refused:
            await backend.send(nowhere, [Outgoing(body="x")])
        return refused.value

    errors = await _at_once(backend, fail, fail)
    assert errors[0] is not errors[1]


async def test_more_than_one_transaction_holds_is_received_all_the_same(backend: SqliteBackend) -> None:
    full = [Outgoing(body="x")] * CAPABILITIES.batch_entries_max
    for _ in range(6):
        await backend.send(WORK, full)
    received: list[Received] = []

    async def receive() -> None:
        received.extend(await _receiving(backend, WORK, CAPABILITIES.receive_entries_max)())

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(receive)
    assert len({message.message_id for message in received}) == len(received) == 6 * len(full)


async def test_callers_out_of_step_come_to_share_their_transactions(backend: SqliteBackend) -> None:
    calls = 20
    before = backend.committer.transactions

    async def keep_sending() -> None:
        for _ in range(calls):
            await backend.send(WORK, [Outgoing(body="x")])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_sending)
        while backend.committer.transactions == before:
            await anyio.lowlevel.checkpoint()
        # The first has begun: the other comes too late for its transaction.
        tasks.start_soon(keep_sending)
    assert backend.committer.transactions - before < 1.5 * calls
