"""How long a message lives: delay, retention, dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from busframe.backend import Plan, QueueSpec
from busframe.message import Outgoing, Release
from busframe.testing.conformance.trial import DEAD, ORDERS, receive, receive_all, require, send

if TYPE_CHECKING:
    from busframe.testing.conformance.trial import Trial


@pytest.mark.anyio
class LifetimeChecks:
    """Of what time and failure do to a message."""

    async def test_a_delayed_message_comes_after_its_delay(self, trial: Trial) -> None:
        """And not before."""
        await trial.backend.send(ORDERS, [Outgoing(body="later", delay_s=60)])
        await trial.advance(55)
        assert await receive(trial) == []
        await trial.advance(5)
        assert [r.body for r in await receive_all(trial, 1)] == ["later"]

    async def test_the_delay_of_a_queue_applies_to_each_message(self, trial: Trial) -> None:
        """Where the message names none."""
        await trial.backend.provision(Plan(queues=(QueueSpec(name=ORDERS, delay_s=60),)))
        await send(trial, "later")
        assert await receive(trial) == []
        await trial.advance(60)
        assert len(await receive_all(trial, 1)) == 1

    async def test_a_message_is_gone_after_its_retention(self, trial: Trial) -> None:
        """Whether it was delivered or not."""
        await trial.backend.provision(Plan(queues=(QueueSpec(name=ORDERS, retention_s=60),)))
        await send(trial, "kept too long")
        await trial.advance(65)
        assert await receive(trial) == []

    async def test_a_message_received_too_often_moves_to_the_dead_letter_queue(self, trial: Trial) -> None:
        """The receive after the third finds it gone."""
        require(trial, "dead_letters")
        await send(trial, "poison")
        for n in (1, 2, 3):
            (received,) = await receive_all(trial, 1)
            assert received.receive_count == n
            await trial.backend.settle(ORDERS, [Release(receipt=received.receipt)])
        assert await receive(trial) == []
        (dead,) = await receive_all(trial, 1, queue=DEAD)
        assert dead.body == "poison"
        assert dead.dead_letter_source == ORDERS
