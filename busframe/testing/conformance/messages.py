"""What goes in comes out: bodies, batches, sizes, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from busframe.errors import InvalidArgumentError, MessageTooLargeError, QueueNotFoundError
from busframe.message import Acknowledge, Extension, Failed, Outgoing, QueueName, Receipt, Sent
from busframe.testing.conformance.trial import LEASE_S, ORDERS, receive, receive_all

if TYPE_CHECKING:
    from busframe.testing.conformance.trial import Trial


@pytest.mark.anyio
class MessageChecks:
    """Of `send` and what it takes."""

    async def test_a_message_comes_out_as_it_went_in(self, trial: Trial) -> None:
        """Body, attributes, identifier, count."""
        attributes: dict[str, str | bytes] = {"busframe": '{"type":"x"}', "raw.bytes": b"\x00\xff", "text": "ø"}
        body = ' tab\t line\n "quotes" <&> ünïcödé 🚌 \U0010fffd\n'
        (outcome,) = await trial.backend.send(ORDERS, [Outgoing(body=body, attributes=attributes)])
        (received,) = await receive(trial)
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
        (received,) = await receive(trial)
        assert received.body == body

    async def test_a_body_over_the_largest_size_is_refused(self, trial: Trial) -> None:
        """One byte more."""
        body = "x" * (trial.backend.capabilities.message_bytes_max + 1)
        (outcome,) = await trial.backend.send(ORDERS, [Outgoing(body=body)])
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, MessageTooLargeError)
        assert outcome.error.effect == "none"
        assert await receive(trial) == []

    async def test_each_entry_of_a_batch_has_its_own_fate_in_its_own_place(self, trial: Trial) -> None:
        """A bad entry in the middle hurts nobody else."""
        too_large = Outgoing(body="x" * (trial.backend.capabilities.message_bytes_max + 1))
        first, second, third = await trial.backend.send(ORDERS, [Outgoing(body="1"), too_large, Outgoing(body="3")])
        assert isinstance(first, Sent)
        assert isinstance(second, Failed)
        assert isinstance(third, Sent)
        received = await receive_all(trial, 2)
        assert {(r.message_id, r.body) for r in received} == {(first.message_id, "1"), (third.message_id, "3")}

    async def test_a_full_batch_is_taken_and_every_message_has_an_identifier_of_its_own(self, trial: Trial) -> None:
        """As many entries as declared."""
        count = trial.backend.capabilities.batch_entries_max
        outcomes = await trial.backend.send(ORDERS, [Outgoing(body=str(n)) for n in range(count)])
        assert all(isinstance(outcome, Sent) for outcome in outcomes)
        received = await receive_all(trial, count)
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
        assert await receive(trial) == []

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
