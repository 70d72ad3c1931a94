"""The bug: the message is deleted when it has been read, and then the work is done. Who dies in between loses it.

With handlers this cannot happen: the bus acknowledges after the handler has returned. So this application owns its
loop, and leaves the block that acknowledges too early.

Mended: the work is inside of the block.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
from delivery_bugs.common import OrderPlaced, place_orders

from busframe import Bus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.session import Live
    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.store import Store


log = logging.getLogger(__name__)


async def pack_orders(live: Live, parcels: Store) -> None:
    """The application."""
    async with live.stream(OrderPlaced, group="packing") as deliveries:
        async for delivery in deliveries:
            async with delivery:
                log.info("to be packed: %s", delivery.payload.order)
            await pack(delivery.payload, parcels)


async def pack_orders_mended(live: Live, parcels: Store) -> None:
    """The application, mended."""
    async with live.stream(OrderPlaced, group="packing") as deliveries:
        async for delivery in deliveries:
            async with delivery:
                await pack(delivery.payload, parcels)


async def pack(order: OrderPlaced, parcels: Store) -> None:
    """The work."""
    await anyio.sleep(2)
    await parcels.put(order.order, f"for {order.customer}")


# --- on trial -------------------------------------------------------------------------------------------------------


async def trial(sim: Sim) -> None:
    """Two workers, six orders: each is to be packed."""
    await run(sim, pack_orders)


async def trial_mended(sim: Sim) -> None:
    """The same with the mended application."""
    await run(sim, pack_orders_mended)


async def run(sim: Sim, program: Callable[[Live, Store], Awaitable[None]]) -> None:
    """Place orders while the workers run."""
    bus = Bus("shop")
    parcels = sim.store("parcels", effects=True)

    async def worker(_: Incarnation) -> None:
        async with bus.connect(sim.url) as live:
            await program(live, parcels)

    sim.node("worker", worker, count=2)
    async with bus.connect(sim.url) as live:
        # Before the group is there, what is published reaches nobody.
        while not await live.topology.subscriptions():  # noqa: ASYNC110 - nobody tells of it
            await anyio.sleep(0.01)
        await place_orders(sim, live)
        await sim.quiesce()
