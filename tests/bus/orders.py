"""Message types the tests of the bus share."""

from __future__ import annotations

from dataclasses import dataclass

from busframe import Command, Event, command, event


@event("shop.order.placed", key="customer")
@dataclass(frozen=True)
class OrderPlaced(Event):
    order: str
    customer: str = "ada"


@event("shop.order.cancelled")
@dataclass(frozen=True)
class OrderCancelled(Event):
    order: str


@command("shop.invoice.print")
@dataclass(frozen=True)
class PrintInvoice(Command):
    order: str
