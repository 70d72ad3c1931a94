"""The bug: each price replaces the one before, and the queue is a standard one, which keeps no order.

Mended: an ordered subscription, on which the prices of one article come in the order in which they were published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery_bugs.common import surely

from busframe import Bus, Event, event

if TYPE_CHECKING:
    from busframe.simulation import Sim
    from busframe.simulation.store import Store


@event("shop.price.changed", key="article")
@dataclass(frozen=True)
class PriceChanged(Event):
    """An article costs something else now."""

    article: str
    cents: int


def catalogue(prices: Store, *, ordered: bool = False) -> Bus:
    """The application."""
    bus = Bus("shop")

    @bus.subscribe(PriceChanged, group="catalogue", ordered=ordered)
    async def show(change: PriceChanged) -> None:
        await prices.put(change.article, change.cents)

    return bus


def catalogue_mended(prices: Store) -> Bus:
    """The application, mended."""
    return catalogue(prices, ordered=True)


# --- on trial -------------------------------------------------------------------------------------------------------


async def trial(sim: Sim) -> None:
    """Two workers, two articles: in the end each has its last price."""
    await run(sim, catalogue(sim.store("prices")))


async def trial_mended(sim: Sim) -> None:
    """The same with the mended application."""
    await run(sim, catalogue_mended(sim.store("prices")))


async def run(sim: Sim, bus: Bus) -> None:
    """Change prices while the workers run; what they should come to in the end is what they come to in a calm world."""
    async with bus.connect(sim.url) as live:
        sim.node("worker", bus, count=2)
        for cents in (100, 200, 300):
            for article in ("tea", "pot"):
                await surely(live, PriceChanged(article, cents))
        await sim.quiesce()
    sim.state("prices", sim.store("prices").contents)
