"""Taking down a queue whose counts come late, as those of Amazon SQS do: it has to be seen empty for a minute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest
from bus.faulty import FaultyBackend
from bus.orders import OrderPlaced
from bus.virtual import BILLING, DEAD, connected_by
from trio.testing import MockClock

from busframe import Bus
from busframe.backend import QueueStats

if TYPE_CHECKING:
    from busframe.backend import Capabilities
    from busframe.message import QueueName

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Late(FaultyBackend):
    """Tells for so long, counted from `began_s`, that a queue is empty; and then how it is.

    Attributes:
        silent_s: for how long.
    """

    silent_s = 0.0
    began_s = 0.0

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, exact_stats=False)

    async def stats(self, queue: QueueName) -> QueueStats:
        if anyio.current_time() < self.began_s + self.silent_s:
            return QueueStats(visible=0, in_flight=0, delayed=0, oldest_age_s=None)
        return await self.inner.stats(queue)


def shop() -> Bus:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    return bus


async def test_a_queue_is_removed_after_it_was_seen_empty_for_a_minute() -> None:
    async with connected_by(shop(), Late) as (live, backend):
        began_s = anyio.current_time()
        (left,) = await live.topology.unsubscribe("billing")
        assert 60 <= anyio.current_time() - began_s < 65
        # What is not seen there may be there.
        assert (left.queue, left.dead_letters) == (BILLING, DEAD)
        assert await backend.list_queues() == [DEAD]


async def test_a_message_that_is_counted_after_most_of_a_minute_keeps_its_queue() -> None:
    async with connected_by(shop(), Late) as (live, backend):
        await live.publish(OrderPlaced("1"))
        backend.began_s, backend.silent_s = anyio.current_time(), 55
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live.topology.unsubscribe, "billing")
            await anyio.sleep(300)
            assert await backend.list_queues() == [BILLING, DEAD]
            async with live.running():
                await anyio.sleep(100)
        assert await backend.list_queues() == [DEAD]


@pytest.mark.parametrize("discard", [False, True])
async def test_moving_and_discarding_wait_as_long(discard: bool) -> None:  # noqa: FBT001 - a table
    async with connected_by(shop(), Late) as (live, backend):
        await live.publish(OrderPlaced("1"))
        began_s = anyio.current_time()
        if discard:
            (left,) = await live.topology.unsubscribe("billing", discard=True)
        else:
            (left,) = await live.topology.move("billing", "shop-bills")
        assert left.queue == BILLING
        assert 60 <= anyio.current_time() - began_s < 70
        queues = await backend.list_queues()
        assert queues == ([DEAD] if discard else [DEAD, "shop-bills", "shop-bills-dead"])
