"""Queues as a whole: provisioning, listing, counting, the ledger, showing without receiving."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from busframe.backend import DeadLetters, Plan, QueueSpec
from busframe.errors import InvalidArgumentError, QueueMismatchError, QueueNotFoundError
from busframe.message import Acknowledge, Extension, Outgoing, QueueName, Release
from busframe.testing.conformance.trial import (
    DEAD,
    LEASE_S,
    ORDERS,
    PATIENCE_S,
    peeks_of,
    queues,
    receive,
    receive_all,
    require,
    send,
)

if TYPE_CHECKING:
    from busframe.testing.conformance.trial import Trial


@pytest.mark.anyio
class QueueChecks:
    """Of everything that is not about one message."""

    # --- queues -------------------------------------------------------------------------------------------------------

    async def test_provisioning_twice_keeps_the_messages(self, trial: Trial) -> None:
        """It is safe to repeat."""
        await send(trial, "kept")
        await trial.backend.provision(Plan(queues=queues(ORDERS, DEAD)))
        assert [r.body for r in await receive_all(trial, 1)] == ["kept"]

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
        await backend.provision(Plan(queues=queues(ORDERS, DEAD), mode="check"))
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
        await receive(trial, limit=1)
        await trial.backend.purge(ORDERS)
        await trial.advance(61)
        assert await receive(trial) == []

    async def test_stats_count_visible_in_flight_and_delayed(self, trial: Trial) -> None:
        """As they are now, where the backend declares so."""
        require(trial, "exact_stats")
        await trial.backend.send(ORDERS, [Outgoing(body="1")])
        await trial.advance(7)
        await trial.backend.send(ORDERS, [Outgoing(body="2"), Outgoing(body="3", delay_s=60)])
        await receive(trial, limit=1)
        stats = await trial.backend.stats(ORDERS)
        assert (stats.visible, stats.in_flight, stats.delayed) == (1, 1, 1)
        if stats.oldest_age_s is not None:
            assert 7 <= stats.oldest_age_s < 7 + PATIENCE_S
        empty = await trial.backend.stats(DEAD)
        assert (empty.visible, empty.in_flight, empty.delayed, empty.oldest_age_s) == (0, 0, 0, None)

    async def test_what_has_arrived_stays_counted_when_it_has_gone(self, trial: Trial) -> None:
        """Where the backend counts it: so that rates can be told from two looks."""
        before = (await trial.backend.stats(ORDERS)).arrived
        if before is None:
            pytest.skip("the backend does not count what arrives")
        await send(trial, "1", "2")
        await send(trial, "3")
        for received in await receive_all(trial, 3):
            await trial.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])
        stats = await trial.backend.stats(ORDERS)
        assert (stats.arrived, stats.visible, stats.in_flight) == (before + 3, 0, 0)

    # --- the ledger ---------------------------------------------------------------------------------------------------

    async def test_every_call_of_the_broker_is_in_the_ledger(self, trial: Trial) -> None:
        """Whatever it is called there; a batch is one call."""
        ledger = trial.backend.ledger
        await send(trial, "known by now")
        totals = [ledger.total]
        await send(trial, "1", "2")
        totals.append(ledger.total)
        (received, *_) = await receive(trial)
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

    # --- showing without receiving ------------------------------------------------------------------------------------

    async def test_a_peek_shows_every_message_and_what_holds_it_back(self, trial: Trial) -> None:
        """Visible, in flight, delayed."""
        peeks = peeks_of(trial)
        await send(trial, "in flight")
        (received,) = await receive(trial)
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
        peeks = peeks_of(trial)
        await send(trial, "x")
        for _ in range(3):
            assert [peeked.receive_count for peeked in await peeks.peek(ORDERS, limit=1)] == [0]
        (received,) = await receive(trial)
        assert received.receive_count == 1

    async def test_a_peek_goes_on_behind_a_message_even_one_that_is_gone(self, trial: Trial) -> None:
        """Page by page, each message once."""
        peeks = peeks_of(trial)
        for n in range(5):
            await send(trial, f"{n}")
        first = await peeks.peek(ORDERS, limit=2)
        assert [peeked.body for peeked in first] == ["0", "1"]
        gone = await receive_all(trial, 5)
        await trial.backend.settle(ORDERS, [Acknowledge(receipt=r.receipt) for r in gone if r.body == "1"])
        rest = await peeks.peek(ORDERS, limit=10, after=first[-1].position)
        assert [peeked.body for peeked in rest] == ["2", "3", "4"]
        assert await peeks.peek(ORDERS, limit=10, after=rest[-1].position) == []

    async def test_a_peek_shows_where_dead_letters_come_from(self, trial: Trial) -> None:
        """Before anybody receives them."""
        peeks = peeks_of(trial)
        require(trial, "dead_letters")
        await send(trial, "poison")
        for _ in range(3):
            (received,) = await receive_all(trial, 1)
            await trial.backend.settle(ORDERS, [Release(receipt=received.receipt)])
        assert await receive(trial) == []
        (dead,) = await peeks.peek(DEAD, limit=10)
        assert (dead.body, dead.state, dead.receive_count) == ("poison", "visible", 3)
        assert dead.dead_letter_source == ORDERS

    async def test_a_peek_that_cannot_be_is_refused(self, trial: Trial) -> None:
        """Too much, from nowhere, or into nothing."""
        peeks = peeks_of(trial)
        for limit in (0, 1_001):
            with pytest.raises(InvalidArgumentError, match="limit"):
                await peeks.peek(ORDERS, limit=limit)
        with pytest.raises(InvalidArgumentError, match="after"):
            await peeks.peek(ORDERS, limit=1, after="no position")
        with pytest.raises(QueueNotFoundError, match="nowhere"):
            await peeks.peek(QueueName("nowhere"), limit=1)
