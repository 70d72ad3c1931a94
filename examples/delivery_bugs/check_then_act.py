"""The bug: the handler looks whether an order has been credited, and a moment later credits it.

A second copy of the message, handled meanwhile by another worker, or by the same, has looked as well.

Mended: it looks again in the transaction that credits. In SQL: a unique index, and `ON CONFLICT DO NOTHING`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from delivery_bugs.common import OrderPlaced, place_orders

from busframe import Bus
from busframe.simulation import exactly_once

if TYPE_CHECKING:
    from busframe.simulation import Sim
    from busframe.simulation.store import Store


async def points_for(order: OrderPlaced) -> int:
    """Ask another service."""
    await anyio.sleep(0.02)
    return order.cents // 10


def points(credited: Store) -> Bus:
    """The application."""
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="points")
    async def credit(order: OrderPlaced) -> None:
        if await credited.get(order.order) is not None:
            return
        await credited.put(order.order, await points_for(order))

    return bus


def points_mended(credited: Store) -> Bus:
    """The application, mended."""
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="points")
    async def credit(order: OrderPlaced) -> None:
        earned = await points_for(order)
        async with credited.transaction() as rows:
            if rows.get(order.order) is None:
                rows.put(order.order, earned)

    return bus


# --- on trial -------------------------------------------------------------------------------------------------------


async def trial(sim: Sim) -> None:
    """Two workers, six orders: each is to be credited once."""
    await run(sim, points(sim.store("credited", effects=True)))


async def trial_mended(sim: Sim) -> None:
    """The same with the mended application."""
    await run(sim, points_mended(sim.store("credited", effects=True)))


async def run(sim: Sim, bus: Bus) -> None:
    """Place orders while the workers run."""
    sim.check(exactly_once)
    async with bus.connect(sim.url) as live:
        sim.node("worker", bus, count=2)
        await place_orders(sim, live)
        await sim.quiesce()
