"""Ordered queues: groups, their order, deduplication."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from busframe.errors import InvalidArgumentError, LeaseLostError
from busframe.message import Acknowledge, Extension, Failed, Outgoing, Release, Sent, Settled
from busframe.testing.conformance.trial import (
    LEASE_S,
    ORDERED,
    ORDERED_DEAD,
    ORDERS,
    receive,
    receive_all,
    require,
    send_ordered,
)

if TYPE_CHECKING:
    from busframe.testing.conformance.trial import Trial


@pytest.mark.anyio
class OrderChecks:
    """Of queues whose name ends in `.fifo`."""

    async def test_a_group_keeps_its_order(self, ordered: Trial) -> None:
        """Over batches and receives."""
        for n in range(0, 20, 2):
            await send_ordered(ordered, ("a", f"a{n}"), ("b", f"b{n}"), ("a", f"a{n + 1}"))
        bodies: list[str] = []
        while received := await receive(ordered, queue=ORDERED):
            bodies += [r.body for r in received]
            await ordered.backend.settle(ORDERED, [Acknowledge(receipt=r.receipt) for r in received])
        assert [b for b in bodies if b[0] == "a"] == [f"a{n}" for n in range(20)]
        assert [b for b in bodies if b[0] == "b"] == [f"b{n}" for n in range(0, 20, 2)]

    async def test_a_group_in_flight_holds_back_its_rest_and_nobody_else(self, ordered: Trial) -> None:
        """Until the message out is settled."""
        await send_ordered(ordered, ("a", "a0"), ("a", "a1"), ("b", "b0"))
        (first,) = await receive(ordered, queue=ORDERED, limit=1)
        assert first.body == "a0"
        assert [r.body for r in await receive(ordered, queue=ORDERED)] == ["b0"]
        await ordered.backend.settle(ORDERED, [Acknowledge(receipt=first.receipt)])
        assert [r.body for r in await receive_all(ordered, 1, queue=ORDERED)] == ["a1"]

    async def test_a_released_message_comes_back_in_its_place(self, ordered: Trial) -> None:
        """Before the rest of its group."""
        await send_ordered(ordered, ("a", "a0"), ("a", "a1"), ("a", "a2"))
        (first,) = await receive(ordered, queue=ORDERED, limit=1)
        await ordered.backend.settle(ORDERED, [Release(receipt=first.receipt)])
        assert [r.body for r in await receive_all(ordered, 3, queue=ORDERED)] == ["a0", "a1", "a2"]

    async def test_a_group_whose_lease_ends_starts_over_in_order(self, ordered: Trial) -> None:
        """A worker that died costs time, not order."""
        await send_ordered(ordered, ("a", "a0"), ("a", "a1"), ("a", "a2"))
        await receive(ordered, queue=ORDERED, limit=2)
        await ordered.advance(LEASE_S + 1)
        assert [r.body for r in await receive_all(ordered, 3, queue=ORDERED)] == ["a0", "a1", "a2"]

    async def test_sequences_grow(self, ordered: Trial) -> None:
        """On the send and on the receive."""
        outcomes = await send_ordered(ordered, ("a", "a0"), ("a", "a1"), ("a", "a2"))
        sent = [int(outcome.sequence or "-1") for outcome in outcomes]
        assert sent == sorted(set(sent))
        assert [int(r.sequence or "-1") for r in await receive_all(ordered, 3, queue=ORDERED)] == sent

    async def test_a_duplicate_within_the_window_is_accepted_and_not_delivered(self, ordered: Trial) -> None:
        """Also when the first was received and acknowledged meanwhile."""
        window_s = require(ordered, "deduplication_window_s")
        message = Outgoing(body="once", group="a", deduplication_id="d1")
        (first,) = await ordered.backend.send(ORDERED, [message])
        (received,) = await receive(ordered, queue=ORDERED)
        await ordered.backend.settle(ORDERED, [Acknowledge(receipt=received.receipt)])
        await ordered.advance(window_s - 10)
        (second,) = await ordered.backend.send(ORDERED, [message])
        assert isinstance(first, Sent)
        assert isinstance(second, Sent)
        assert await receive(ordered, queue=ORDERED) == []

    async def test_a_duplicate_after_the_window_is_delivered(self, ordered: Trial) -> None:
        """The window starts at the first send."""
        window_s = require(ordered, "deduplication_window_s")
        message = Outgoing(body="twice", group="a", deduplication_id="d1")
        await ordered.backend.send(ORDERED, [message])
        (received,) = await receive(ordered, queue=ORDERED)
        await ordered.backend.settle(ORDERED, [Acknowledge(receipt=received.receipt)])
        await ordered.advance(window_s + 1)
        await ordered.backend.send(ORDERED, [message])
        assert len(await receive_all(ordered, 1, queue=ORDERED)) == 1

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

    async def test_an_old_receipt_neither_ends_nor_prolongs_a_newer_lease(self, ordered: Trial) -> None:
        """Whoever was late would take the message from the one who has it now, and hold up its group."""
        await send_ordered(ordered, ("a", "a0"))
        (first,) = await receive(ordered, queue=ORDERED)
        await ordered.advance(LEASE_S + 1)
        (second,) = await receive_all(ordered, 1, queue=ORDERED)
        await ordered.backend.settle(ORDERED, [Release(receipt=first.receipt)])
        assert await receive(ordered, queue=ORDERED) == []
        (outcome,) = await ordered.backend.extend(ORDERED, [Extension(receipt=first.receipt, lease_s=LEASE_S)])
        assert isinstance(outcome, Failed)
        assert await ordered.backend.settle(ORDERED, [Acknowledge(receipt=second.receipt)]) == [Settled()]

    async def test_an_old_receipt_does_not_acknowledge_a_newer_delivery(self, ordered: Trial) -> None:
        """On an ordered queue the newer holder is safe."""
        await send_ordered(ordered, ("a", "a0"))
        (first,) = await receive(ordered, queue=ORDERED)
        await ordered.advance(LEASE_S + 1)
        (second,) = await receive_all(ordered, 1, queue=ORDERED)
        (outcome,) = await ordered.backend.settle(ORDERED, [Acknowledge(receipt=first.receipt)])
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, LeaseLostError)
        await ordered.backend.settle(ORDERED, [Release(receipt=second.receipt)])
        assert len(await receive_all(ordered, 1, queue=ORDERED)) == 1

    async def test_a_dead_letter_lets_its_group_go_on(self, ordered: Trial) -> None:
        """The next message of the group is delivered."""
        require(ordered, "dead_letters")
        await send_ordered(ordered, ("a", "poison"), ("a", "fine"))
        for _ in range(3):
            (received,) = await receive_all(ordered, 1, queue=ORDERED, limit=1)
            await ordered.backend.settle(ORDERED, [Release(receipt=received.receipt)])
        assert [r.body for r in await receive_all(ordered, 1, queue=ORDERED)] == ["fine"]
        assert [r.body for r in await receive_all(ordered, 1, queue=ORDERED_DEAD)] == ["poison"]
