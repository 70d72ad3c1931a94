"""The backend contract (`busframe.backend`) as tests.

Subclass it in a test module and say how to open your backend:

    class TestMyBackend(BackendConformance):
        @asynccontextmanager
        async def open_trial(self) -> AsyncGenerator[Trial, None]:
            clock = ManualClock()
            async with open_my_backend(clock) as backend:
                yield Trial(backend=backend, advance=clock.advance)

Each test gets a fresh, empty backend. A capability that the backend declares selects the tests that try to break it;
what it does not declare is skipped by name. Tests never sleep: they call `Trial.advance`.

More than 400 lines, because it is one list of checks and is read as one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import anyio
import pytest

from busframe.backend import DeadLetters, Peeks, Plan, QueueSpec
from busframe.errors import (
    InvalidArgumentError,
    LeaseLostError,
    MessageTooLargeError,
    QueueMismatchError,
    QueueNotFoundError,
    ReceiptInvalidError,
)
from busframe.message import (
    Acknowledge,
    Extension,
    Failed,
    Outgoing,
    QueueName,
    Receipt,
    Received,
    Release,
    Sent,
    Settled,
    Settlement,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from busframe.backend import Backend

ORDERS: Final = QueueName("orders")
DEAD: Final = QueueName("orders-dead")
ORDERED: Final = QueueName("orders.fifo")
ORDERED_DEAD: Final = QueueName("orders-dead.fifo")

LEASE_S: Final = 30.0
PATIENCE_S: Final = 10.0
"""Real seconds after which a wait in a test counts as a hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A backend on trial.

    Attributes:
        backend: open and empty.
        advance: moves the backend's clock by so many seconds and returns when all that fell due has happened, waiting
            receivers included. Where there is no such clock it has to sleep.
    """

    backend: Backend
    advance: Callable[[float], Awaitable[None]]


@pytest.mark.anyio
class BackendConformance(ABC):
    """See the head of this file."""

    @abstractmethod
    def open_trial(self) -> AbstractAsyncContextManager[Trial]:
        """Open a fresh backend without queues."""

    @pytest.fixture
    async def trial(self) -> AsyncGenerator[Trial, None]:
        """A fresh backend with the queue `orders`, which has a dead-letter queue after three receives."""
        async with self.open_trial() as trial:
            await trial.backend.provision(Plan(queues=_queues(ORDERS, DEAD)))
            yield trial

    @pytest.fixture
    async def ordered(self, trial: Trial) -> Trial:
        """The same with the queue `orders.fifo`."""
        _require(trial, "ordered")
        await trial.backend.provision(Plan(queues=_queues(ORDERED, ORDERED_DEAD)))
        return trial

    # --- what goes in comes out -------------------------------------------------------------------------------------

    async def test_a_message_comes_out_as_it_went_in(self, trial: Trial) -> None:
        """Body, attributes, identifier, count."""
        attributes: dict[str, str | bytes] = {"busframe": '{"type":"x"}', "raw.bytes": b"\x00\xff", "text": "ø"}
        body = 'tab\t line\n "quotes" <&> ünïcödé 🚌 \U0010fffd'
        (outcome,) = await trial.backend.send(ORDERS, [Outgoing(body=body, attributes=attributes)])
        (received,) = await _receive(trial)
        assert isinstance(outcome, Sent)
        assert received.message_id == outcome.message_id
        assert received.body == body
        assert dict(received.attributes) == attributes
        assert received.receive_count == 1
        assert received.dead_letter_source is None

    async def test_a_body_of_the_largest_size_is_taken(self, trial: Trial) -> None:
        """Exactly the limit."""
        body = "x" * trial.backend.capabilities.message_bytes_max
        (outcome,) = await trial.backend.send(ORDERS, [Outgoing(body=body)])
        assert isinstance(outcome, Sent)
        (received,) = await _receive(trial)
        assert received.body == body

    async def test_a_body_over_the_largest_size_is_refused(self, trial: Trial) -> None:
        """One byte more."""
        body = "x" * (trial.backend.capabilities.message_bytes_max + 1)
        (outcome,) = await trial.backend.send(ORDERS, [Outgoing(body=body)])
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, MessageTooLargeError)
        assert outcome.error.effect == "none"
        assert await _receive(trial) == []

    async def test_each_entry_of_a_batch_has_its_own_fate_in_its_own_place(self, trial: Trial) -> None:
        """A bad entry in the middle hurts nobody else."""
        too_large = Outgoing(body="x" * (trial.backend.capabilities.message_bytes_max + 1))
        first, second, third = await trial.backend.send(ORDERS, [Outgoing(body="1"), too_large, Outgoing(body="3")])
        assert isinstance(first, Sent)
        assert isinstance(second, Failed)
        assert isinstance(third, Sent)
        received = await _receive_all(trial, 2)
        assert {(r.message_id, r.body) for r in received} == {(first.message_id, "1"), (third.message_id, "3")}

    async def test_a_full_batch_is_taken_and_every_message_has_an_identifier_of_its_own(self, trial: Trial) -> None:
        """As many entries as declared."""
        count = trial.backend.capabilities.batch_entries_max
        outcomes = await trial.backend.send(ORDERS, [Outgoing(body=str(n)) for n in range(count)])
        assert all(isinstance(outcome, Sent) for outcome in outcomes)
        received = await _receive_all(trial, count)
        assert sorted(int(r.body) for r in received) == list(range(count))
        assert len({r.message_id for r in received}) == count

    async def test_empty_and_oversized_batches_are_refused_before_anything_is_sent(self, trial: Trial) -> None:
        """The caller splits."""
        with pytest.raises(InvalidArgumentError):
            await trial.backend.send(ORDERS, [])
        too_many = [Outgoing(body="x")] * (trial.backend.capabilities.batch_entries_max + 1)
        with pytest.raises(InvalidArgumentError):
            await trial.backend.send(ORDERS, too_many)
        with pytest.raises(InvalidArgumentError):
            await trial.backend.settle(ORDERS, [])
        with pytest.raises(InvalidArgumentError):
            await trial.backend.extend(ORDERS, [])
        assert await _receive(trial) == []

    @pytest.mark.parametrize(
        ("limit", "wait_s", "lease_s"),
        [(0, 0.0, 30.0), (1_000_000, 0.0, 30.0), (1, -1.0, 30.0), (1, 1e9, 30.0), (1, 0.0, -1.0), (1, 0.0, 1e9)],
    )
    async def test_a_receive_out_of_range_is_refused(
        self, trial: Trial, limit: int, wait_s: float, lease_s: float
    ) -> None:
        """Each parameter has a range."""
        with pytest.raises(InvalidArgumentError):
            await trial.backend.receive(ORDERS, limit=limit, wait_s=wait_s, lease_s=lease_s)

    async def test_a_queue_that_is_not_there_is_named_in_the_error(self, trial: Trial) -> None:
        """By every method."""
        nowhere = QueueName("nowhere")
        backend = trial.backend
        receipt = Receipt("x")
        for call in (
            lambda: backend.send(nowhere, [Outgoing(body="x")]),
            lambda: backend.receive(nowhere, limit=1, wait_s=0, lease_s=LEASE_S),
            lambda: backend.settle(nowhere, [Acknowledge(receipt=receipt)]),
            lambda: backend.extend(nowhere, [Extension(receipt=receipt, lease_s=1)]),
            lambda: backend.stats(nowhere),
            lambda: backend.purge(nowhere),
        ):
            with pytest.raises(QueueNotFoundError, match="nowhere"):
                await call()

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def test_a_waiting_receive_is_answered_when_a_message_comes(self, trial: Trial) -> None:
        """At once, not at the end of the wait."""
        received = await self._received_by_waiter(trial, lambda: _send(trial, "late"))
        assert [r.body for r in received] == ["late"]

    async def test_a_waiting_receive_is_answered_when_a_lease_ends(self, trial: Trial) -> None:
        """Time makes a message visible too."""
        lease_s = trial.backend.capabilities.wait_s_max / 2
        await _send(trial, "again")
        await trial.backend.receive(ORDERS, limit=1, wait_s=1, lease_s=lease_s)
        received = await self._received_by_waiter(trial, lambda: trial.advance(lease_s))
        assert [(r.body, r.receive_count) for r in received] == [("again", 2)]

    async def test_a_waiting_receive_is_answered_when_a_message_is_released(self, trial: Trial) -> None:
        """So does giving it back."""
        await _send(trial, "back")
        (first,) = await _receive(trial)

        async def release() -> None:
            await trial.backend.settle(ORDERS, [Release(receipt=first.receipt)])

        received = await self._received_by_waiter(trial, release)
        assert [r.body for r in received] == ["back"]

    async def test_a_waiting_receive_ends_empty(self, trial: Trial) -> None:
        """When its time is over."""
        assert await trial.backend.receive(ORDERS, limit=1, wait_s=1, lease_s=LEASE_S) == []

    async def test_a_cancelled_receive_takes_nothing_with_it(self, trial: Trial) -> None:
        """A message sent after the cancellation is there for the next receiver."""
        for n in range(5):
            with anyio.move_on_after(0.05):
                await trial.backend.receive(ORDERS, limit=10, wait_s=trial.backend.capabilities.wait_s_max, lease_s=600)
            await _send(trial, f"kept {n}")
            (received,) = await _receive_all(trial, 1)
            assert received.body == f"kept {n}"
            await trial.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

    async def _received_by_waiter(self, trial: Trial, cause: Callable[[], Awaitable[None]]) -> Sequence[Received]:
        answers: list[Sequence[Received]] = []

        async def wait() -> None:
            wait_s = trial.backend.capabilities.wait_s_max
            answers.append(await trial.backend.receive(ORDERS, limit=10, wait_s=wait_s, lease_s=LEASE_S))

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await cause()
        return answers[0]

    # --- leases -----------------------------------------------------------------------------------------------------

    async def test_a_delivered_message_is_hidden_until_its_lease_ends(self, trial: Trial) -> None:
        """Not earlier, not much later."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        await trial.advance(LEASE_S - 5)
        assert await _receive(trial) == []
        await trial.advance(5)
        (second,) = await _receive_all(trial, 1)
        assert second.message_id == first.message_id
        assert second.receive_count == 2
        assert second.receipt != first.receipt
        assert second.sent_at_s == first.sent_at_s

    async def test_an_extended_lease_ends_at_its_new_time(self, trial: Trial) -> None:
        """Counted from the extension."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        await trial.advance(20)
        assert await trial.backend.extend(ORDERS, [Extension(receipt=first.receipt, lease_s=60)]) == [Settled()]
        await trial.advance(55)
        assert await _receive(trial) == []
        await trial.advance(5)
        assert len(await _receive_all(trial, 1)) == 1

    async def test_a_lease_can_be_shortened(self, trial: Trial) -> None:
        """An extension is a new end, not an addition."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        await trial.backend.extend(ORDERS, [Extension(receipt=first.receipt, lease_s=2)])
        await trial.advance(2)
        assert len(await _receive_all(trial, 1)) == 1

    async def test_a_lease_cannot_grow_beyond_the_longest(self, trial: Trial) -> None:
        """Counted from the receive."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        await trial.advance(10)
        longest = trial.backend.capabilities.lease_s_max
        (outcome,) = await trial.backend.extend(ORDERS, [Extension(receipt=first.receipt, lease_s=longest)])
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, LeaseLostError)

    async def test_a_lease_of_no_time_hides_nothing(self, trial: Trial) -> None:
        """A look."""
        await _send(trial, "x")
        looks = [await trial.backend.receive(ORDERS, limit=1, wait_s=0, lease_s=0) for _ in range(2)]
        assert [look[0].receive_count for look in looks] == [1, 2]

    async def test_a_released_message_comes_again_at_once(self, trial: Trial) -> None:
        """And counts."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        assert await trial.backend.settle(ORDERS, [Release(receipt=first.receipt)]) == [Settled()]
        (second,) = await _receive_all(trial, 1)
        assert second.receive_count == 2

    async def test_a_message_released_with_a_delay_comes_again_after_it(self, trial: Trial) -> None:
        """A retry with back-off costs no worker."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        await trial.backend.settle(ORDERS, [Release(receipt=first.receipt, delay_s=100)])
        await trial.advance(95)
        assert await _receive(trial) == []
        await trial.advance(5)
        assert len(await _receive_all(trial, 1)) == 1

    # --- settling ---------------------------------------------------------------------------------------------------

    async def test_an_acknowledged_message_is_gone(self, trial: Trial) -> None:
        """For good."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        assert await trial.backend.settle(ORDERS, [Acknowledge(receipt=first.receipt)]) == [Settled()]
        await trial.advance(LEASE_S + 1)
        assert await _receive(trial) == []

    async def test_acknowledging_twice_succeeds_twice(self, trial: Trial) -> None:
        """So that an acknowledgement whose answer got lost can be repeated."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        for _ in range(2):
            assert await trial.backend.settle(ORDERS, [Acknowledge(receipt=first.receipt)]) == [Settled()]

    async def test_a_late_acknowledgement_still_removes_a_message_nobody_else_has(self, trial: Trial) -> None:
        """The lease has ended, no other delivery has begun."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        await trial.advance(LEASE_S + 1)
        assert await trial.backend.settle(ORDERS, [Acknowledge(receipt=first.receipt)]) == [Settled()]
        assert await _receive(trial) == []

    async def test_acknowledgements_and_releases_mix_in_one_batch(self, trial: Trial) -> None:
        """With one outcome each, in order."""
        await _send(trial, "done", "again")
        received = {r.body: r.receipt for r in await _receive_all(trial, 2)}
        batch: list[Settlement] = [Acknowledge(receipt=received["done"]), Release(receipt=received["again"])]
        assert await trial.backend.settle(ORDERS, batch) == [Settled(), Settled()]
        assert [r.body for r in await _receive_all(trial, 1)] == ["again"]

    async def test_an_unknown_receipt_fails_alone(self, trial: Trial) -> None:
        """The entry beside it is settled."""
        await _send(trial, "x")
        (first,) = await _receive(trial)
        batch = [Acknowledge(receipt=Receipt("garbage")), Acknowledge(receipt=first.receipt)]
        bad, good = await trial.backend.settle(ORDERS, batch)
        assert isinstance(bad, Failed)
        assert isinstance(bad.error, ReceiptInvalidError)
        assert good == Settled()
        (outcome,) = await trial.backend.extend(ORDERS, [Extension(receipt=Receipt("garbage"), lease_s=5)])
        assert isinstance(outcome, Failed)

    # --- delay, retention, dead letters -----------------------------------------------------------------------------

    async def test_a_delayed_message_comes_after_its_delay(self, trial: Trial) -> None:
        """And not before."""
        await trial.backend.send(ORDERS, [Outgoing(body="later", delay_s=60)])
        await trial.advance(55)
        assert await _receive(trial) == []
        await trial.advance(5)
        assert [r.body for r in await _receive_all(trial, 1)] == ["later"]

    async def test_the_delay_of_a_queue_applies_to_each_message(self, trial: Trial) -> None:
        """Where the message names none."""
        await trial.backend.provision(Plan(queues=(QueueSpec(name=ORDERS, delay_s=60),)))
        await _send(trial, "later")
        assert await _receive(trial) == []
        await trial.advance(60)
        assert len(await _receive_all(trial, 1)) == 1

    async def test_a_message_is_gone_after_its_retention(self, trial: Trial) -> None:
        """Whether it was delivered or not."""
        await trial.backend.provision(Plan(queues=(QueueSpec(name=ORDERS, retention_s=60),)))
        await _send(trial, "kept too long")
        await trial.advance(65)
        assert await _receive(trial) == []

    async def test_a_message_received_too_often_moves_to_the_dead_letter_queue(self, trial: Trial) -> None:
        """The receive after the third finds it gone."""
        _require(trial, "dead_letters")
        await _send(trial, "poison")
        for n in (1, 2, 3):
            (received,) = await _receive_all(trial, 1)
            assert received.receive_count == n
            await trial.backend.settle(ORDERS, [Release(receipt=received.receipt)])
        assert await _receive(trial) == []
        (dead,) = await _receive_all(trial, 1, queue=DEAD)
        assert dead.body == "poison"
        assert dead.dead_letter_source == ORDERS

    # --- queues -----------------------------------------------------------------------------------------------------

    async def test_provisioning_twice_keeps_the_messages(self, trial: Trial) -> None:
        """It is safe to repeat."""
        await _send(trial, "kept")
        await trial.backend.provision(Plan(queues=_queues(ORDERS, DEAD)))
        assert [r.body for r in await _receive_all(trial, 1)] == ["kept"]

    async def test_a_queue_is_described_as_it_was_planned(self, trial: Trial) -> None:
        """Labels included."""
        spec = QueueSpec(
            name=QueueName("described"),
            lease_s=45,
            delay_s=5,
            retention_s=3600,
            dead_letters=DeadLetters(queue=DEAD, max_receive_count=7),
            labels={"owner": "billing"},
        )
        await trial.backend.provision(Plan(queues=(spec,)))
        assert await trial.backend.describe(spec.name) == spec
        changed = replace(spec, lease_s=50, dead_letters=None, labels={"owner": "shipping", "since": "today"})
        await trial.backend.provision(Plan(queues=(changed,)))
        assert await trial.backend.describe(spec.name) == changed
        assert await trial.backend.describe(QueueName("nowhere")) is None

    async def test_check_names_what_is_missing_and_what_differs_and_changes_nothing(self, trial: Trial) -> None:
        """For a program that may not create."""
        backend = trial.backend
        await backend.provision(Plan(queues=_queues(ORDERS, DEAD), mode="check"))
        with pytest.raises(QueueNotFoundError, match="missing-queue"):
            await backend.provision(Plan(queues=(QueueSpec(name=QueueName("missing-queue")),), mode="check"))
        with pytest.raises(QueueMismatchError, match="orders"):
            await backend.provision(Plan(queues=(QueueSpec(name=ORDERS, delay_s=17),), mode="check"))
        assert await backend.list_queues() == [ORDERS, DEAD]

    async def test_assume_makes_no_queue(self, trial: Trial) -> None:
        """It makes no call at all."""
        await trial.backend.provision(Plan(queues=(QueueSpec(name=QueueName("assumed")),), mode="assume"))
        assert await trial.backend.describe(QueueName("assumed")) is None

    async def test_queues_are_listed_by_prefix_and_removed(self, trial: Trial) -> None:
        """Removing twice is fine."""
        backend = trial.backend
        assert await backend.list_queues("orders-") == [DEAD]
        for _ in range(2):
            await backend.remove(DEAD)
        assert await backend.list_queues() == [ORDERS]

    async def test_purge_removes_what_waits_and_what_is_in_flight(self, trial: Trial) -> None:
        """Everything."""
        await trial.backend.send(ORDERS, [Outgoing(body="1"), Outgoing(body="2"), Outgoing(body="3", delay_s=10)])
        await _receive(trial, limit=1)
        await trial.backend.purge(ORDERS)
        await trial.advance(61)
        assert await _receive(trial) == []

    async def test_stats_count_visible_in_flight_and_delayed(self, trial: Trial) -> None:
        """As they are now, where the backend declares so."""
        _require(trial, "exact_stats")
        await trial.backend.send(ORDERS, [Outgoing(body="1"), Outgoing(body="2"), Outgoing(body="3", delay_s=60)])
        await trial.advance(7)
        await _receive(trial, limit=1)
        stats = await trial.backend.stats(ORDERS)
        assert (stats.visible, stats.in_flight, stats.delayed) == (1, 1, 1)
        if stats.oldest_age_s is not None:
            assert 7 <= stats.oldest_age_s < 7 + PATIENCE_S
        empty = await trial.backend.stats(DEAD)
        assert (empty.visible, empty.in_flight, empty.delayed, empty.oldest_age_s) == (0, 0, 0, None)

    # --- the ledger -------------------------------------------------------------------------------------------------

    async def test_every_call_of_the_broker_is_in_the_ledger(self, trial: Trial) -> None:
        """Whatever it is called there; a batch is one call."""
        ledger = trial.backend.ledger
        await _send(trial, "known by now")
        totals = [ledger.total]
        await _send(trial, "1", "2")
        totals.append(ledger.total)
        (received, *_) = await _receive(trial)
        totals.append(ledger.total)
        await trial.backend.extend(ORDERS, [Extension(receipt=received.receipt, lease_s=LEASE_S)])
        totals.append(ledger.total)
        await trial.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])
        totals.append(ledger.total)
        assert [after - before for before, after in pairwise(totals)] == [1, 1, 1, 1]
        assert sum(ledger.calls.values()) == ledger.total

    async def test_what_is_refused_before_it_is_sent_is_not_in_the_ledger(self, trial: Trial) -> None:
        """Nothing was asked, so nothing is paid."""
        before = trial.backend.ledger.calls
        with pytest.raises(InvalidArgumentError):
            await trial.backend.send(ORDERS, [])
        with pytest.raises(InvalidArgumentError):
            await trial.backend.receive(ORDERS, limit=0, wait_s=0, lease_s=LEASE_S)
        assert trial.backend.ledger.since(before) == {}

    # --- showing without receiving ----------------------------------------------------------------------------------

    async def test_a_peek_shows_every_message_and_what_holds_it_back(self, trial: Trial) -> None:
        """Visible, in flight, delayed."""
        peeks = _peeks(trial)
        await _send(trial, "in flight")
        (received,) = await _receive(trial)
        outgoing = Outgoing(body="visible", attributes={"text": "ø", "raw": b"\x00\xff"})
        await trial.backend.send(ORDERS, [outgoing, Outgoing(body="delayed", delay_s=60)])
        shown = {peeked.body: peeked for peeked in await peeks.peek(ORDERS, limit=10)}
        assert {body: peeked.state for body, peeked in shown.items()} == {
            "in flight": "in_flight",
            "visible": "visible",
            "delayed": "delayed",
        }
        assert dict(shown["visible"].attributes) == dict(outgoing.attributes)
        assert shown["visible"].due_at_s is None
        held = shown["in flight"]
        assert (held.message_id, held.receive_count, held.sent_at_s) == (received.message_id, 1, received.sent_at_s)
        assert held.due_at_s == pytest.approx(received.sent_at_s + LEASE_S, abs=1)
        await trial.advance(60)
        assert {peeked.state for peeked in await peeks.peek(ORDERS, limit=10)} == {"visible"}

    async def test_a_peek_takes_nothing_and_does_not_count(self, trial: Trial) -> None:
        """However often."""
        peeks = _peeks(trial)
        await _send(trial, "x")
        for _ in range(3):
            assert [peeked.receive_count for peeked in await peeks.peek(ORDERS, limit=1)] == [0]
        (received,) = await _receive(trial)
        assert received.receive_count == 1

    async def test_a_peek_goes_on_behind_a_message_even_one_that_is_gone(self, trial: Trial) -> None:
        """Page by page, each message once."""
        peeks = _peeks(trial)
        for n in range(5):
            await _send(trial, f"{n}")
        first = await peeks.peek(ORDERS, limit=2)
        assert [peeked.body for peeked in first] == ["0", "1"]
        gone = await _receive_all(trial, 5)
        await trial.backend.settle(ORDERS, [Acknowledge(receipt=r.receipt) for r in gone if r.body == "1"])
        rest = await peeks.peek(ORDERS, limit=10, after=first[-1].position)
        assert [peeked.body for peeked in rest] == ["2", "3", "4"]
        assert await peeks.peek(ORDERS, limit=10, after=rest[-1].position) == []

    async def test_a_peek_shows_where_dead_letters_come_from(self, trial: Trial) -> None:
        """Before anybody receives them."""
        peeks = _peeks(trial)
        _require(trial, "dead_letters")
        await _send(trial, "poison")
        for _ in range(3):
            (received,) = await _receive_all(trial, 1)
            await trial.backend.settle(ORDERS, [Release(receipt=received.receipt)])
        assert await _receive(trial) == []
        (dead,) = await peeks.peek(DEAD, limit=10)
        assert (dead.body, dead.state, dead.receive_count) == ("poison", "visible", 3)
        assert dead.dead_letter_source == ORDERS

    async def test_a_peek_that_cannot_be_is_refused(self, trial: Trial) -> None:
        """Too much, from nowhere, or into nothing."""
        peeks = _peeks(trial)
        for limit in (0, 1_001):
            with pytest.raises(InvalidArgumentError, match="limit"):
                await peeks.peek(ORDERS, limit=limit)
        with pytest.raises(InvalidArgumentError, match="after"):
            await peeks.peek(ORDERS, limit=1, after="no position")
        with pytest.raises(QueueNotFoundError, match="nowhere"):
            await peeks.peek(QueueName("nowhere"), limit=1)

    # --- competing consumers ----------------------------------------------------------------------------------------

    async def test_competing_consumers_share_the_messages(self, trial: Trial) -> None:
        """Each message goes to one of them, none is left over."""
        count = 60
        for start in range(0, count, 10):
            await _send(trial, *(str(n) for n in range(start, start + 10)))
        taken: list[str] = []

        async def consume() -> None:
            while received := await trial.backend.receive(ORDERS, limit=3, wait_s=1, lease_s=LEASE_S):
                taken.extend(r.body for r in received)
                await trial.backend.settle(ORDERS, [Acknowledge(receipt=r.receipt) for r in received])

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(consume)
        assert sorted(map(int, taken)) == list(range(count))

    # --- order ------------------------------------------------------------------------------------------------------

    async def test_a_group_keeps_its_order(self, ordered: Trial) -> None:
        """Over batches and receives."""
        for n in range(0, 20, 2):
            await _send_ordered(ordered, ("a", f"a{n}"), ("b", f"b{n}"), ("a", f"a{n + 1}"))
        bodies: list[str] = []
        while received := await _receive(ordered, queue=ORDERED):
            bodies += [r.body for r in received]
            await ordered.backend.settle(ORDERED, [Acknowledge(receipt=r.receipt) for r in received])
        assert [b for b in bodies if b[0] == "a"] == [f"a{n}" for n in range(20)]
        assert [b for b in bodies if b[0] == "b"] == [f"b{n}" for n in range(0, 20, 2)]

    async def test_a_group_in_flight_holds_back_its_rest_and_nobody_else(self, ordered: Trial) -> None:
        """Until the message out is settled."""
        await _send_ordered(ordered, ("a", "a0"), ("a", "a1"), ("b", "b0"))
        (first,) = await _receive(ordered, queue=ORDERED, limit=1)
        assert first.body == "a0"
        assert [r.body for r in await _receive(ordered, queue=ORDERED)] == ["b0"]
        await ordered.backend.settle(ORDERED, [Acknowledge(receipt=first.receipt)])
        assert [r.body for r in await _receive_all(ordered, 1, queue=ORDERED)] == ["a1"]

    async def test_a_released_message_comes_back_in_its_place(self, ordered: Trial) -> None:
        """Before the rest of its group."""
        await _send_ordered(ordered, ("a", "a0"), ("a", "a1"), ("a", "a2"))
        (first,) = await _receive(ordered, queue=ORDERED, limit=1)
        await ordered.backend.settle(ORDERED, [Release(receipt=first.receipt)])
        assert [r.body for r in await _receive_all(ordered, 3, queue=ORDERED)] == ["a0", "a1", "a2"]

    async def test_a_group_whose_lease_ends_starts_over_in_order(self, ordered: Trial) -> None:
        """A worker that died costs time, not order."""
        await _send_ordered(ordered, ("a", "a0"), ("a", "a1"), ("a", "a2"))
        await _receive(ordered, queue=ORDERED, limit=2)
        await ordered.advance(LEASE_S + 1)
        assert [r.body for r in await _receive_all(ordered, 3, queue=ORDERED)] == ["a0", "a1", "a2"]

    async def test_sequences_grow(self, ordered: Trial) -> None:
        """On the send and on the receive."""
        outcomes = await _send_ordered(ordered, ("a", "a0"), ("a", "a1"), ("a", "a2"))
        sent = [int(outcome.sequence or "-1") for outcome in outcomes]
        assert sent == sorted(set(sent))
        assert [int(r.sequence or "-1") for r in await _receive_all(ordered, 3, queue=ORDERED)] == sent

    async def test_a_duplicate_within_the_window_is_accepted_and_not_delivered(self, ordered: Trial) -> None:
        """Also when the first was received and acknowledged meanwhile."""
        window_s = _require(ordered, "deduplication_window_s")
        message = Outgoing(body="once", group="a", deduplication_id="d1")
        (first,) = await ordered.backend.send(ORDERED, [message])
        (received,) = await _receive(ordered, queue=ORDERED)
        await ordered.backend.settle(ORDERED, [Acknowledge(receipt=received.receipt)])
        await ordered.advance(window_s - 10)
        (second,) = await ordered.backend.send(ORDERED, [message])
        assert isinstance(first, Sent)
        assert isinstance(second, Sent)
        assert await _receive(ordered, queue=ORDERED) == []

    async def test_a_duplicate_after_the_window_is_delivered(self, ordered: Trial) -> None:
        """The window starts at the first send."""
        window_s = _require(ordered, "deduplication_window_s")
        message = Outgoing(body="twice", group="a", deduplication_id="d1")
        await ordered.backend.send(ORDERED, [message])
        (received,) = await _receive(ordered, queue=ORDERED)
        await ordered.backend.settle(ORDERED, [Acknowledge(receipt=received.receipt)])
        await ordered.advance(window_s + 1)
        await ordered.backend.send(ORDERED, [message])
        assert len(await _receive_all(ordered, 1, queue=ORDERED)) == 1

    async def test_an_ordered_queue_refuses_what_has_no_group(self, ordered: Trial) -> None:
        """And a delay of a single message."""
        with pytest.raises(InvalidArgumentError, match="group"):
            await ordered.backend.send(ORDERED, [Outgoing(body="x", deduplication_id="1")])
        with pytest.raises(InvalidArgumentError, match="delay_s"):
            await ordered.backend.send(ORDERED, [Outgoing(body="x", group="a", deduplication_id="1", delay_s=5)])

    async def test_a_queue_without_order_refuses_a_deduplication_id(self, trial: Trial) -> None:
        """It would be ignored."""
        with pytest.raises(InvalidArgumentError, match="deduplication_id"):
            await trial.backend.send(ORDERS, [Outgoing(body="x", deduplication_id="1")])

    async def test_an_old_receipt_does_not_acknowledge_a_newer_delivery(self, ordered: Trial) -> None:
        """On an ordered queue the newer holder is safe."""
        await _send_ordered(ordered, ("a", "a0"))
        (first,) = await _receive(ordered, queue=ORDERED)
        await ordered.advance(LEASE_S + 1)
        (second,) = await _receive_all(ordered, 1, queue=ORDERED)
        (outcome,) = await ordered.backend.settle(ORDERED, [Acknowledge(receipt=first.receipt)])
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, LeaseLostError)
        await ordered.backend.settle(ORDERED, [Release(receipt=second.receipt)])
        assert len(await _receive_all(ordered, 1, queue=ORDERED)) == 1

    async def test_a_dead_letter_lets_its_group_go_on(self, ordered: Trial) -> None:
        """The next message of the group is delivered."""
        _require(ordered, "dead_letters")
        await _send_ordered(ordered, ("a", "poison"), ("a", "fine"))
        for _ in range(3):
            (received,) = await _receive_all(ordered, 1, queue=ORDERED, limit=1)
            await ordered.backend.settle(ORDERED, [Release(receipt=received.receipt)])
        assert [r.body for r in await _receive_all(ordered, 1, queue=ORDERED)] == ["fine"]
        assert [r.body for r in await _receive_all(ordered, 1, queue=ORDERED_DEAD)] == ["poison"]


def _queues(queue: QueueName, dead: QueueName) -> tuple[QueueSpec, ...]:
    return (
        QueueSpec(name=dead),
        QueueSpec(name=queue, dead_letters=DeadLetters(queue=dead, max_receive_count=3)),
    )


def _require(trial: Trial, capability: str) -> float:
    value = getattr(trial.backend.capabilities, capability)
    if not value:
        pytest.skip(f"the backend does not declare {capability}")
    return float(value)


def _peeks(trial: Trial) -> Peeks:
    if not isinstance(trial.backend, Peeks):
        pytest.skip("the backend does not implement Peeks")
    return trial.backend


async def _send(trial: Trial, *bodies: str) -> None:
    outcomes = await trial.backend.send(ORDERS, [Outgoing(body=body) for body in bodies])
    assert all(isinstance(outcome, Sent) for outcome in outcomes)


async def _send_ordered(trial: Trial, *messages: tuple[str, str]) -> list[Sent]:
    batch = [Outgoing(body=body, group=group, deduplication_id=body) for group, body in messages]
    outcomes = await trial.backend.send(ORDERED, batch)
    return [outcome for outcome in outcomes if isinstance(outcome, Sent)]


async def _receive(trial: Trial, *, queue: QueueName = ORDERS, limit: int = 10) -> Sequence[Received]:
    return await trial.backend.receive(queue, limit=limit, wait_s=0, lease_s=LEASE_S)


async def _receive_all(trial: Trial, count: int, *, queue: QueueName = ORDERS, limit: int = 10) -> list[Received]:
    """Receive until `count` messages are there: a single answer may be short."""
    received: list[Received] = []
    with anyio.fail_after(PATIENCE_S):
        while len(received) < count:
            received += await trial.backend.receive(queue, limit=limit, wait_s=1, lease_s=LEASE_S)
    assert len(received) == count
    return received
