"""What the shop's programs have in common: its messages, and who handles them. Imported by `web` and by the workers."""

from __future__ import annotations

import logging

from pydantic import BaseModel

from busframe import Bus, Event, event

log = logging.getLogger("shop")


@event("shop.order.placed", key="customer")
class OrderPlaced(BaseModel, Event, frozen=True):
    """A customer has ordered something."""

    order: str
    customer: str
    product: str
    quantity: int


bus = Bus("shop")


@bus.subscribe(OrderPlaced, group="warehouse", concurrency=20)
async def pack(order: OrderPlaced) -> None:
    """Have the order packed. Runs in the workers."""
    log.info("packing %d x %s for %s", order.quantity, order.product, order.customer)


@bus.subscribe(OrderPlaced, group="mail", concurrency=20)
async def confirm(order: OrderPlaced) -> None:
    """Tell the customer. Runs in the workers."""
    log.info("dear %s, your order %s is on its way", order.customer, order.order)
