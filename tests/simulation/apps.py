"""Scenarios for the tests: one queue, two workers, six orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from busframe.errors import BackendError
from busframe.message import Acknowledge, Outgoing, QueueName, Sent
from busframe.simulation import exactly_once

if TYPE_CHECKING:
    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation

ORDERS = QueueName("orders")


async def send_surely(sim: Sim, body: str) -> None:
    """Send until the broker has said that it has it."""
    while True:
        try:
            (outcome,) = await sim.backend.send(ORDERS, [Outgoing(body=body)])
        except BackendError:
            await anyio.sleep(0.1)
            continue
        if isinstance(outcome, Sent):
            sim.accepted(body)
            return


async def send_orders(sim: Sim, count: int = 6) -> None:
    for number in range(count):
        await send_surely(sim, f"order {number}")


async def work(sim: Sim, me: Incarnation, done: set[str] | None = None) -> None:
    """Handle orders for ever; with `done`, each once."""
    while True:
        try:
            batch = await me.backend.receive(ORDERS, limit=10, wait_s=20, lease_s=30)
        except BackendError:
            await anyio.sleep(0.5)
            continue
        for received in batch:
            await anyio.sleep(0.05)
            if done is None or received.body not in done:
                sim.effect(received.body)
                if done is not None:
                    done.add(received.body)
            try:
                await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])
            except BackendError:
                continue


async def naive(sim: Sim) -> None:
    """Workers that count on each message coming once."""
    await sim.queue("orders", dead_letters=("orders-dead", 50))
    sim.check(exactly_once)
    sim.node("worker", lambda me: work(sim, me), count=2)
    await send_orders(sim)
    await sim.quiesce()


async def careful(sim: Sim) -> None:
    """Workers that share what has been done, and look at it in the same step as they do it."""
    done: set[str] = set()
    await sim.queue("orders", dead_letters=("orders-dead", 50))
    sim.check(exactly_once)
    sim.node("worker", lambda me: work(sim, me, done), count=2)
    await send_orders(sim)
    await sim.quiesce()
