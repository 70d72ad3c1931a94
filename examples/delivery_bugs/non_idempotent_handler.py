"""The bug: the handler takes money each time it is called, and a message may be delivered more than once.

Mended: the bank is told which request it is, and takes money once for each. Every payment provider has such a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery_bugs.common import Bank, OrderPlaced, place_orders

from busframe import Bus
from busframe.simulation import exactly_once

if TYPE_CHECKING:
    from busframe.simulation import Sim


def billing(bank: Bank) -> Bus:
    """The application."""
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def charge(order: OrderPlaced) -> None:
        await bank.charge(order.order, order.cents)

    return bus


def billing_mended(bank: Bank) -> Bus:
    """The application, mended."""
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def charge(order: OrderPlaced) -> None:
        await bank.charge(order.order, order.cents, idempotency_key=order.order)

    return bus


# --- on trial -------------------------------------------------------------------------------------------------------


async def trial(sim: Sim) -> None:
    """Two workers, six orders: each is to be paid once."""
    await run(sim, billing(Bank(sim)))


async def trial_mended(sim: Sim) -> None:
    """The same with the mended application."""
    await run(sim, billing_mended(Bank(sim)))


async def run(sim: Sim, bus: Bus) -> None:
    """Place orders while the workers run."""
    sim.check(exactly_once)
    async with bus.connect(sim.url) as live:
        sim.node("worker", bus, count=2)
        await place_orders(sim, live)
        await sim.quiesce()
