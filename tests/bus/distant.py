"""A broker that is some way off: every call takes a round trip, and receives under way are counted."""

from __future__ import annotations

from random import Random  # noqa: TID251 - seeded by the test
from typing import TYPE_CHECKING

import anyio
from bus.faulty import FaultyBackend

from busframe.message import Release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Backend
    from busframe.message import Outgoing, QueueName, Received, SendOutcome, Settlement, SettleOutcome

ROUND_TRIP_S = 0.02


class DistantBackend(FaultyBackend):
    """Answers of receives take up to `spread` times as long, so that they overtake each other.

    A receive that is cancelled while its answer is on the way has the messages released, as every backend must.
    """

    def __init__(
        self, inner: Backend, *, round_trip_s: float = ROUND_TRIP_S, spread: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__(inner)
        self._round_trip_s = round_trip_s
        self.under_way = 0
        self.under_way_max = 0
        self.polls: list[tuple[float, int, int]] = []
        """When each receive was asked for, how many messages it asked for and how many it brought."""
        self._spread = spread
        self._random = Random(seed)  # noqa: S311 - no secret

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        await anyio.sleep(self._round_trip_s)
        return await super().send(queue, batch)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        asked_s = anyio.current_time()
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            await anyio.sleep(self._round_trip_s / 2)
            batch = await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
            self.polls.append((asked_s, limit, len(batch)))
            try:
                await anyio.sleep(self._round_trip_s / 2 * self._random.uniform(1, self._spread))
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    for received in reversed(batch):
                        await self.inner.settle(queue, [Release(receipt=received.receipt)])
                raise
        finally:
            self.under_way -= 1
        return batch

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        await anyio.sleep(self._round_trip_s / 2)
        outcomes = await super().settle(queue, batch)
        await anyio.sleep(self._round_trip_s / 2)
        return outcomes
