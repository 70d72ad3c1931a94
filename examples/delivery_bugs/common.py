"""What the applications of this folder have in common: what they reach, and how orders are placed.

An application is handed what it reaches, as is usual where there are tests: here the bank is a fake, and the database
is `sim.store(...)`, which keeps what was committed when the program dies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from busframe import Event, PublishError, event

if TYPE_CHECKING:
    from busframe.session import Live
    from busframe.simulation import Sim

ORDERS = 6


@event("shop.order.placed", key="customer")
@dataclass(frozen=True)
class OrderPlaced(Event):
    """A customer has ordered."""

    order: str
    customer: str
    cents: int


class Bank:
    """A bank far away. It takes money as often as it is asked to, unless the same request was made before."""

    def __init__(self, sim: Sim) -> None:
        self._sim = sim
        self._requests: set[str] = set()

    async def charge(self, order: str, cents: int, *, idempotency_key: str | None = None) -> None:
        """Take money for an order."""
        await anyio.sleep(0.05)
        if idempotency_key is None or idempotency_key not in self._requests:
            if idempotency_key is not None:
                self._requests.add(idempotency_key)
            self._sim.effect(order, f"{cents} cents taken")


async def place_orders(sim: Sim, live: Live) -> None:
    """Publish the orders of a trial, each until it is known to be there."""
    for number in range(1, ORDERS + 1):
        order = OrderPlaced(order=f"o{number}", customer="ada" if number % 2 else "bob", cents=100 * number)
        await surely(live, order)
        sim.accepted(order.order)


async def surely(live: Live, event: Event) -> None:
    """Publish, and go on with the same message, under the same id, until every recipient has it."""
    try:
        await live.publish(event)
    except PublishError as error:
        failed = error
    else:
        return
    while True:
        await anyio.sleep(1)
        try:
            await failed.retry()
        except PublishError as error:
            failed = error
        else:
            return
