"""The bug: the producer has patience for a second, and then publishes again, what is another message with another id.

The consumer handles each message once, and is none the wiser: these are two.

Mended: the same message is published again, under the same id, which `PublishError.retry` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from delivery_bugs.common import ORDERS, OrderPlaced, surely

from busframe import Bus, Delivery, PublishError
from busframe.simulation import exactly_once

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable

    from busframe.session import Live
    from busframe.simulation import Sim


async def place(live: Live, order: OrderPlaced) -> None:
    """The application: its web page calls this."""
    while True:
        try:
            with anyio.fail_after(1):
                await live.publish(order)
        except (TimeoutError, PublishError):
            continue
        return


async def place_mended(live: Live, order: OrderPlaced) -> None:
    """The application, mended."""
    await surely(live, order)


def billing(take_money: Callable[[sqlite3.Connection, str], None]) -> Bus:
    """The application's other half, which is right."""
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", once=True)
    async def charge(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        delivery.transaction.run(lambda connection: take_money(connection, order.order))

    return bus


# --- on trial -------------------------------------------------------------------------------------------------------


async def trial(sim: Sim) -> None:
    """Two workers, six orders: each is to be paid once."""
    await run(sim, place)


async def trial_mended(sim: Sim) -> None:
    """The same with the mended application."""
    await run(sim, place_mended)


async def run(sim: Sim, place: Callable[[Live, OrderPlaced], Awaitable[None]]) -> None:
    """Place orders while the workers run."""
    sim.check(exactly_once)

    def take_money(_: sqlite3.Connection, order: str) -> None:
        sim.effect(order)

    bus = billing(take_money)
    async with bus.connect(sim.url) as live:
        sim.node("worker", bus, count=2)
        for number in range(1, ORDERS + 1):
            await place(live, OrderPlaced(f"o{number}", "ada", 100))
            sim.accepted(f"o{number}")
        await sim.quiesce()
