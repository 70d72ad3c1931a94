"""The bug: an error of a publish is logged, and that is all. The handler returns, and its message is acknowledged.

Mended: the error is let go. The message comes again, and the publish with it; who gets it twice has to know better.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery_bugs.common import OrderPlaced, place_orders

from busframe import Bus, Event, PublishError, event

if TYPE_CHECKING:
    from busframe.session import Live
    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.store import Store

log = logging.getLogger(__name__)


@event("shop.order.paid")
@dataclass(frozen=True)
class OrderPaid(Event):
    """A customer has paid."""

    order: str


class Shop:
    """The application: what is paid is packed."""

    def __init__(self, parcels: Store) -> None:
        self.bus = Bus("shop")
        self.live: Live
        self.bus.subscribe(OrderPlaced, group="billing")(self.bill)
        self.bus.subscribe(OrderPaid, group="packing")(self.pack)
        self._parcels = parcels

    async def bill(self, order: OrderPlaced) -> None:
        """Let the money be taken, and tell that it was."""
        try:
            await self.live.publish(OrderPaid(order.order))
        except PublishError:
            log.exception("could not tell that %s is paid", order.order)

    async def pack(self, paid: OrderPaid) -> None:
        """Pack a parcel, which is the same parcel if it is packed already."""
        await self._parcels.put(paid.order, "a parcel")


class ShopMended(Shop):
    """The application, mended."""

    async def bill(self, order: OrderPlaced) -> None:
        """Let the money be taken, and tell that it was."""
        await self.live.publish(OrderPaid(order.order))


# --- on trial -------------------------------------------------------------------------------------------------------


async def trial(sim: Sim) -> None:
    """Two workers, six orders: each is to be packed."""
    await run(sim, Shop)


async def trial_mended(sim: Sim) -> None:
    """The same with the mended application."""
    await run(sim, ShopMended)


async def run(sim: Sim, kind: type[Shop]) -> None:
    """Place orders while the workers run."""
    parcels = sim.store("parcels", effects=True)

    async def worker(_: Incarnation) -> None:
        shop = kind(parcels)
        async with shop.bus.connect(sim.url) as shop.live:
            await shop.live.serve()

    async with kind(parcels).bus.connect(sim.url) as live:
        sim.node("worker", worker, count=2)
        await place_orders(sim, live)
        await sim.quiesce()
