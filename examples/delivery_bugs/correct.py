"""No bug: an application that loses nothing and doubles nothing, whatever its broker, its network and its nodes do.

- Billing takes money in the transaction that marks the message as done (`once=True`).
- It tells that an order is paid before that, so the news may come twice; and the error is let go if it cannot.
- Packing knows an order by its number, so a second parcel is the first.
- The book keeps the orders of each customer in order, by an ordered subscription, and passes over what it has.
- The stock is not always there at once: `Later`.
- A failure is tried again for longer than an outage lasts: the usual five attempts can be over within twenty seconds.
- A web page publishes an order under one id until it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from delivery_bugs.common import OrderPlaced, place_orders

from busframe import Bus, Delivery, Event, Later, Retry, event
from busframe.simulation import exactly_once

if TYPE_CHECKING:
    from busframe.session import Live
    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.store import Store


PATIENT = Retry(attempts=20)


@event("shop.order.settled")
@dataclass(frozen=True)
class OrderSettled(Event):
    """A customer has paid."""

    order: str


class Shop:
    """The application."""

    def __init__(self, parcels: Store, book: Store) -> None:
        self.bus = Bus("shop")
        self.live: Live
        self._parcels = parcels
        self._book = book
        self.bus.subscribe(OrderPlaced, group="billing", once=True, retry=PATIENT)(self.bill)
        self.bus.subscribe(OrderPlaced, group="book", ordered=True, retry=PATIENT)(self.enter)
        self.bus.subscribe(OrderSettled, group="packing", retry=PATIENT)(self.pack)

    async def bill(self, order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        """Take the money."""
        await self.live.publish(OrderSettled(order.order))
        delivery.transaction.execute("INSERT INTO paid VALUES (?, ?)", (order.order, order.cents))

    async def enter(self, order: OrderPlaced) -> None:
        """Enter an order into its customer's page of the book."""
        async with self._book.transaction() as pages:
            page = pages.get(order.customer, [])
            if order.order not in page:
                pages.put(order.customer, [*page, order.order])

    async def pack(self, settled: OrderSettled, delivery: Delivery[OrderSettled]) -> None:
        """Pack a parcel, unless it is packed."""
        if delivery.attempt == 1 and settled.order.endswith("3"):
            raise Later(delay_s=5)
        await anyio.sleep(0.5)
        async with self._parcels.transaction() as parcels:
            if parcels.get(settled.order) is None:
                parcels.put(settled.order, "a parcel")


# --- on trial -------------------------------------------------------------------------------------------------------


async def trial(sim: Sim) -> None:
    """Two workers, six orders: each is paid once, packed once, and in the book in its place."""
    sim.check(exactly_once)
    parcels, book = sim.store("parcels", effects=True), sim.store("book")

    async def worker(_: Incarnation) -> None:
        shop = Shop(parcels, book)
        async with shop.bus.connect(sim.url) as shop.live:
            await shop.live.serve()

    async with Shop(parcels, book).bus.connect(sim.url) as live:
        await live.inbox.run(lambda database: database.execute("CREATE TABLE paid (number, cents)"))
        sim.node("worker", worker, count=2)
        await place_orders(sim, live)
        await sim.quiesce()
        paid = await live.inbox.run(lambda database: database.execute("SELECT * FROM paid ORDER BY number").fetchall())
    sim.state("paid", paid)
    sim.state("book", book.contents)
