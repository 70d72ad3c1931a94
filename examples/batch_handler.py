"""Handles many messages as one batch: a thousand measurements into a database, a hundred to a transaction.

    python examples/batch_handler.py

Some work costs about the same for one message as for a hundred: a transaction, a request to a bulk API, a file in a
data lake. So this program takes deliveries until it has a hundred, or none has come for a moment, works on them
together, and then says of each what becomes of it.

What to look at:
- The leases of what has been gathered are kept meanwhile, by the stream.
- If the transaction fails, all of its messages are tried again; if one message is at fault, it is rejected by itself
  before, and the others do not suffer for it.
- A process that dies between the transaction and the acknowledgements gets its batch again, so measurements are stored
  by their id: once, however often they come.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from busframe import Bus, Event, PulledDelivery, Reject, Stream, event

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNT = 1_000
BATCH = 100
PATIENCE_S = 0.2


@event("demo.measured")
@dataclass(frozen=True)
class Measured(Event):
    """A sensor has measured something."""

    id: str
    celsius: float


class BatchFailedError(Exception):
    """The batch that a message was in could not be stored."""


class Store:
    """The database, in memory. Its first transaction fails, as databases do now and then."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:")
        self._database.execute("CREATE TABLE measured (id TEXT PRIMARY KEY, celsius REAL)")
        self.transactions = 0

    def add(self, measurements: Sequence[Measured]) -> None:
        """Store all of them, or none."""
        self.transactions += 1
        with self._database:
            rows = [(measured.id, measured.celsius) for measured in measurements]
            self._database.executemany("INSERT OR IGNORE INTO measured VALUES (?, ?)", rows)
            if self.transactions == 1:
                raise sqlite3.OperationalError("database is locked")

    def count(self) -> int:
        """Count what is stored."""
        return int(self._database.execute("SELECT count(*) FROM measured").fetchone()[0])

    def close(self) -> None:
        """Close it."""
        self._database.close()


async def gather(stream: Stream[Measured]) -> list[PulledDelivery[Measured]]:
    """Take up to a batch of deliveries; fewer if none comes for a moment, but at least one."""
    batch = [await anext(stream)]
    while len(batch) < BATCH:
        with anyio.move_on_after(PATIENCE_S) as patience:
            batch.append(await anext(stream))
        if patience.cancelled_caught:
            break
    return batch


async def store_batch(batch: Sequence[PulledDelivery[Measured]], store: Store) -> None:
    """Store what is right, together, and have every message settled."""
    right = [delivery.payload for delivery in batch if delivery.payload.celsius > -273.15]  # noqa: PLR2004 - absolute zero
    error: Exception | None = None
    try:
        store.add(right)
    except sqlite3.Error as failed:
        error = failed
    for delivery in batch:
        async with delivery:  # what leaves this block decides, as what a handler raises does
            if delivery.payload not in right:
                raise Reject(f"{delivery.payload.celsius} degrees Celsius are too cold")
            if error is not None:
                raise BatchFailedError(str(error))  # each its own: a traceback belongs to one


async def main() -> int:
    """Publish measurements, store them in batches, and check that all of them are there."""
    logging.getLogger("busframe").setLevel(logging.CRITICAL)  # failures are part of the show
    store = Store()
    bus = Bus("demo")
    async with bus.connect("memory://") as live:
        async with live.stream(Measured, group="store", prefetch=2 * BATCH) as stream:
            for number in range(COUNT):
                await live.publish(Measured(f"m{number}", -300.0 if number == 7 else number % 40))  # noqa: PLR2004 - one
            counts = live.counts["demo-store"]
            while store.count() < COUNT - 1 or not counts.dead_lettered:
                await store_batch(await gather(stream), store)
        print(
            f"{store.count()} measurements in {store.transactions} transactions; "
            f"{counts.retried} came again after one that failed, {counts.dead_lettered} was rejected"
        )
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(anyio.run(main))
