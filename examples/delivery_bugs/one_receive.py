"""The bug: the queue gives a message up after one receive (`maxReceiveCount` 1), to be rid of what cannot be handled.

A delivery that nobody has seen counts as well: its answer was lost on the way, or the worker died with it. Amazon
advises against 1 for that reason. The queues of groups allow for more than the attempts of their handlers; this one was
made by somebody else, with another tool.

Mended: ten receives. What cannot be handled is given up all the same.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from busframe import BackendError, Bus

if TYPE_CHECKING:
    from busframe.session import Live
    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.store import Store

RECEIVES = 1
RECEIVES_MENDED = 10


async def import_files(live: Live, imported: Store) -> None:
    """The application."""
    async with live.queue("uploads").receive() as deliveries:
        async for delivery in deliveries:
            async with delivery:
                await imported.put(delivery.payload.body, "its lines")


# --- on trial -------------------------------------------------------------------------------------------------------


async def trial(sim: Sim) -> None:
    """Two workers, six files: each is to be imported."""
    await run(sim, RECEIVES)


async def trial_mended(sim: Sim) -> None:
    """The same with the mended application."""
    await run(sim, RECEIVES_MENDED)


async def run(sim: Sim, receives: int) -> None:
    """Upload files while the workers run."""
    await sim.queue("uploads", dead_letters=("uploads-dead", receives))
    imported = sim.store("imported", effects=True)
    bus = Bus("shop")

    async def worker(_: Incarnation) -> None:
        async with bus.connect(sim.url) as live:
            await import_files(live, imported)

    sim.node("worker", worker, count=2)
    async with bus.connect(sim.url) as live:
        for name in ("a.csv", "b.csv", "c.csv", "d.csv", "e.csv", "f.csv"):
            while True:
                with suppress(BackendError):
                    await live.queue("uploads").send(name)
                    break
                await anyio.sleep(1)
            sim.accepted(name)
        await sim.quiesce()
