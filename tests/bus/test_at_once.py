"""A backend that answers without waiting: nothing is held back for a batch, and others have their turn all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from bus.connected import until
from bus.orders import OrderPlaced

from busframe import Bus
from busframe.message import QueueName
from busframe.observing import Called, Observer
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from busframe import Live
    from busframe.observing import Event as ObservedEvent

pytestmark = pytest.mark.anyio

BILLING = QueueName("shop-billing")


async def visible(live: Live) -> int:
    return (await live.backend_as(MemoryBackend).stats(BILLING)).visible


async def test_one_who_publishes_without_a_pause_lets_others_have_their_turn() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    turns = 0
    async with bus.connect("memory://") as live, anyio.create_task_group() as tasks:

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        tasks.start_soon(count)
        for n in range(100):
            await live.publish(OrderPlaced(str(n)))
        assert turns > 50
        tasks.cancel_scope.cancel()


async def test_a_publish_to_many_groups_lets_others_have_their_turn() -> None:
    bus = Bus("shop")
    for n in range(200):

        @bus.subscribe(OrderPlaced, group=f"group{n}")
        async def bill(_: OrderPlaced) -> None: ...

    turns = 0
    async with bus.connect("memory://") as live, anyio.create_task_group() as tasks:

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        tasks.start_soon(count)
        before = turns
        assert len(await live.publish(OrderPlaced("o1"))) == 200
        assert turns > before + 2
        tasks.cancel_scope.cancel()


async def test_a_publish_that_is_cancelled_before_it_began_sends_nothing() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with bus.connect("memory://") as live:
        await live.publish(OrderPlaced("o1"))
        with anyio.CancelScope() as scope:
            scope.cancel()
            await live.publish(OrderPlaced("o2"))
        assert scope.cancelled_caught
        assert await visible(live) == 1


@pytest.mark.parametrize("concurrency", [2, 5, 50])
@pytest.mark.parametrize("keys", ["of many keys", "of one key"])
async def test_what_is_done_is_acknowledged_while_another_handler_still_waits(concurrency: int, keys: str) -> None:
    bus = Bus("shop")
    gate = anyio.Event()

    @bus.subscribe(OrderPlaced, group="billing", concurrency=concurrency)
    async def bill(order: OrderPlaced) -> None:
        if order.order == "slow":
            await gate.wait()

    with anyio.fail_after(20):
        async with bus.connect("memory://") as live:
            for order in ("o1", "slow") if keys == "of one key" else ("o1", "slow", "o2", "o3", "o4"):
                await live.publish(OrderPlaced(order, customer="ada" if keys == "of one key" else order))
            others = await visible(live) - 1
            async with live.running():
                await until(lambda: live.counts[BILLING].handled == others)
                stats = await live.backend_as(MemoryBackend).stats(BILLING)
                assert (stats.visible, stats.in_flight) == (0, 1)
                gate.set()
            assert live.counts[BILLING].handled == others + 1


async def test_what_is_done_is_acknowledged_while_all_other_handlers_wait() -> None:
    bus = Bus("shop")
    gate = anyio.Event()

    @bus.subscribe(OrderPlaced, group="billing", concurrency=10)
    async def bill(order: OrderPlaced) -> None:
        if order.order != "quick":
            await gate.wait()

    with anyio.fail_after(20):
        async with bus.connect("memory://") as live, live.running():
            for order in (*"abcdefghi", "quick", "k"):
                await live.publish(OrderPlaced(order, customer=order))
            await until(lambda: live.counts[BILLING].handled == 1)
            gate.set()
            await until(lambda: live.counts[BILLING].handled == 11)


async def test_messages_of_one_key_follow_each_other_without_a_pause() -> None:
    bus = Bus("shop")
    handled: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, concurrency=10)
    async def bill(order: OrderPlaced) -> None:
        handled.append(order.order)

    with anyio.fail_after(20):
        async with bus.connect("memory://") as live, live.running():
            for n in range(100):
                await live.publish(OrderPlaced(str(n), customer="ada"))
            await until(lambda: len(handled) == 100)
    assert handled == [str(n) for n in range(100)]


async def test_who_watches_is_told_of_each_call() -> None:
    bus = Bus("shop")
    calls: list[Called] = []

    class Watch(Observer):
        def note(self, event: ObservedEvent) -> None:
            if isinstance(event, Called):
                calls.append(event)

    bus.observe(Watch())

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    with anyio.fail_after(20):
        async with bus.connect("memory://") as live:
            for n in range(10):
                await live.publish(OrderPlaced(str(n)))
            async with live.running():
                await until(lambda: live.counts[BILLING].handled == 10)
    entries = {action: sum(call.entries for call in calls if call.action == action) for action in ("send", "settle")}
    assert entries == {"send": 10, "settle": 10}
    assert sum(call.entries for call in calls if call.action == "receive") == 10
    assert not any(call.failed or call.error for call in calls)
