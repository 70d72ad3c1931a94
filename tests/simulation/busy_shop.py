"""A scenario that has the bus do everything it can: what must hold whatever the broker and the nodes do is asked of it.

Every order goes to groups of all kinds; the nodes are killed, stopped and paused meanwhile. A key is (group, order).
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import anyio
from delivery_bugs.common import surely

from busframe import Bus, Command, Delivery, Event, Later, Reject, Retry, command, event
from busframe.simulation import Violation

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterable

    from busframe.session import Live
    from busframe.simulation import Outcome, Sim
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.record import Entry

ORDERS = 6
PATIENT = Retry(attempts=200, first_s=0.2, cap_s=5)


@event("shop.order.placed", key="customer")
@dataclass(frozen=True)
class OrderPlaced(Event):
    order: str
    customer: str


@command("shop.invoice.print")
@dataclass(frozen=True)
class PrintInvoice(Command):
    order: str


class Shop:
    """One program; every node runs one."""

    def __init__(self, sim: Sim, inside: Counter[Hashable]) -> None:
        self.sim = sim
        self.inside = inside
        self.live: Live
        self.bus = bus = Bus("shop")
        bus.subscribe(OrderPlaced, group="plain", retry=PATIENT)(self.plain)
        bus.subscribe(OrderPlaced, group="slow", retry=PATIENT)(self.slow)
        bus.subscribe(OrderPlaced, group="book", ordered=True, retry=PATIENT)(self.book)
        bus.subscribe(OrderPlaced, group="points", once=True, retry=PATIENT)(self.points)
        bus.subscribe(OrderPlaced, group="later", retry=PATIENT)(self.later)
        bus.subscribe(OrderPlaced, group="picky", retry=PATIENT)(self.picky)
        bus.handle(PrintInvoice, once=True, retry=PATIENT)(self.print_invoice)

    async def plain(self, order: OrderPlaced) -> None:
        """Fails now and then, and has an invoice printed."""
        if self.sim.buggify("plain"):
            raise ValueError("no luck")
        await self.live.send(PrintInvoice(order.order))
        self.sim.effect(("plain", order.order))

    async def slow(self, order: OrderPlaced) -> None:
        """Takes longer than its lease."""
        await anyio.sleep(40)
        self.sim.effect(("slow", order.order))

    async def book(self, order: OrderPlaced) -> None:
        """Is to be called in order, customer by customer, and never for two orders of one at once."""
        with alone(self.sim, self.inside, ("book", order.customer)):
            await anyio.sleep(0.3)
            if self.sim.buggify("book"):
                raise ValueError("no luck")
            self.sim.effect(("book", order.order))

    async def points(self, order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        """Is not to be called for one order twice at once, and has its effect once."""
        with alone(self.sim, self.inside, ("points", order.order)):
            await anyio.sleep(0.3)
            if self.sim.buggify("points"):
                raise ValueError("no luck")
            delivery.transaction.run(lambda _: self.sim.effect(("points", order.order)))

    async def later(self, order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        """Is not ready at first."""
        if delivery.attempt == 1:
            raise Later(delay_s=7)
        self.sim.effect(("later", order.order))

    async def picky(self, order: OrderPlaced) -> None:
        """Wants nothing from Bob."""
        if order.customer == "bob":
            raise Reject("not from him")
        self.sim.effect(("picky", order.order))

    async def print_invoice(self, invoice: PrintInvoice, delivery: Delivery[PrintInvoice]) -> None:
        """Has its effect once for each message; the message itself may be sent twice."""
        delivery.transaction.run(lambda _: self.sim.effect(("invoice", invoice.order)))


@contextmanager
def alone(sim: Sim, inside: Counter[Hashable], key: Hashable) -> Generator[None, None, None]:
    """Note an effect that must not be if two are inside at once. A power cut throws everybody out."""
    inside[key] += 1
    if inside[key] > 1:
        sim.effect(("overlap", key))
    try:
        yield
    finally:
        inside[key] -= 1


def no_overlap(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:  # noqa: ARG001 - a Check
    """Nobody was where somebody was already."""
    for place, entries in _effects(outcome, "overlap"):
        yield Violation(check="no_overlap", text=f"two at once at {place!r}", entries=tuple(entries))


def points_once(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:  # noqa: ARG001 - a Check
    """What is done in the inbox's transaction is done once."""
    for order, entries in _effects(outcome, "points"):
        if len(entries) > 1:
            yield Violation(check="points_once", text=f"{order!r} has {len(entries)}", entries=tuple(entries))


def _effects(outcome: Outcome, kind: str) -> list[tuple[object, list[Entry]]]:
    """The effects whose keys are pairs of that kind and something."""
    found: list[tuple[object, list[Entry]]] = []
    for key, entries in outcome.effects.items():
        pair = cast("tuple[object, ...]", key) if isinstance(key, tuple) else ()
        if len(pair) == 2 and pair[0] == kind:
            found.append((pair[1], entries))
    return found


def book_in_order(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:  # noqa: ARG001 - a Check
    """The book's first entries are in the order of publishing, customer by customer."""
    for customer in (0, 1):
        keys = [("book", f"o{number}") for number in range(customer, ORDERS, 2)]
        first = [outcome.effects[key][0] for key in keys if key in outcome.effects]
        if [entry.at_us for entry in first] != sorted(entry.at_us for entry in first):
            yield Violation(check="book_in_order", text=f"customer {customer}", entries=tuple(first))


def rejected_are_kept(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:  # noqa: ARG001 - a Check
    """What was rejected is in a dead-letter queue."""
    for number in range(1, ORDERS, 2):
        if ("plain", f"o{number}") in outcome.accepted and f"o{number}" not in outcome.dead:
            text = f"o{number} was rejected, and is in no dead-letter queue"
            yield Violation(check="rejected_are_kept", text=text, key=f"o{number}")


async def busy_shop(sim: Sim) -> None:
    """Two nodes, six orders of two customers."""
    sim.check(no_overlap, points_once, book_in_order, rejected_are_kept)
    sim.expect_dead_letters()

    inside: Counter[Hashable] = Counter()

    async def node(_: Incarnation) -> None:
        shop = Shop(sim, inside)
        async with shop.bus.connect(sim.url) as shop.live:
            await shop.live.serve()

    async with Shop(sim, inside).bus.connect(sim.url) as live:
        sim.node("node", node, count=2)
        for number in range(ORDERS):
            order = OrderPlaced(f"o{number}", "bob" if number % 2 else "ada")
            await surely(live, order)
            for group in ("plain", "slow", "book", "points", "later", "invoice"):
                sim.accepted((group, order.order))
            if order.customer == "ada":
                sim.accepted(("picky", order.order))
        await sim.quiesce()
