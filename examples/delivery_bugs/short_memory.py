"""The bug: the application remembers for twenty seconds what it has credited. A message may come again for days.

Twenty seconds are enough for a copy that comes at once. Whoever dies before the message is acknowledged has it come
again when the lease ends, after thirty.

Mended: it remembers for as long as the queue keeps messages, which is four days.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from delivery_bugs.common import OrderPlaced, place_orders

from busframe import Bus
from busframe.inbox import WINDOW_S
from busframe.simulation import exactly_once

if TYPE_CHECKING:
    from busframe.simulation import Sim
    from busframe.simulation.store import Store

MEMORY_S = 20


def points(credited: Store, *, memory_s: float = MEMORY_S) -> Bus:
    """The application."""
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="points")
    async def credit(order: OrderPlaced) -> None:
        now_s = time.time()  # noqa: TID251 - as an application does; it is virtual time in a simulation
        async with credited.transaction() as rows:
            row = rows.get(order.order)
            if row is None or row["at_s"] < now_s - memory_s:
                rows.put(order.order, {"points": order.cents // 10, "at_s": now_s})

    return bus


def points_mended(credited: Store) -> Bus:
    """The application, mended."""
    return points(credited, memory_s=WINDOW_S)


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
