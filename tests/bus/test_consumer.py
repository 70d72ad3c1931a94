"""The consume loop under bad conditions: failing calls, long handlers, lost leases, a stop in the middle."""

from __future__ import annotations

import anyio
import pytest
from bus.orders import OrderPlaced
from bus.virtual import BILLING, DEAD, connected, until
from trio.testing import MockClock

from busframe import Bus, Delivery, Retry
from busframe.backend import Immediate
from busframe.errors import LeaseLostError, MessageRefusedError, PublishError, ThrottledError, UnavailableError

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("either_form")]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Virtual time: an hour passes when nobody has anything to do. trio alone has such a clock built in."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


async def test_a_handler_may_take_much_longer_than_the_lease() -> None:
    bus = Bus("shop")
    began: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=30)
    async def bill(order: OrderPlaced) -> None:
        began.append(order.order)
        await anyio.sleep(3600)

    async with connected(bus) as (live, backend), live.running(drain_s=7200):
        await live.publish(OrderPlaced("slow"))
        await until(lambda: live.counts[BILLING].handled == 1)
        extensions = sum(1 for method, _ in backend.batches if method == "extend")
    assert began == ["slow"]
    assert 3600 / 30 < extensions < 4 * 3600 / 30


async def test_leases_of_many_messages_share_calls() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", lease_s=30, concurrency=100)
    async def bill(_: OrderPlaced) -> None:
        await anyio.sleep(300)

    async with connected(bus) as (live, backend), live.running(drain_s=600):
        async with anyio.create_task_group() as tasks:
            for n in range(100):
                tasks.start_soon(live.publish, OrderPlaced(str(n), customer=str(n)))
        await until(lambda: live.counts[BILLING].handled == 100)
        sizes = [size for method, size in backend.batches if method == "extend"]
    assert live.counts[BILLING].redelivered == 0
    assert sum(sizes) / len(sizes) > 5


async def test_one_throttled_extension_does_not_end_the_keeping() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", lease_s=30)
    async def bill(_: OrderPlaced) -> None:
        await anyio.sleep(300)

    async with connected(bus) as (live, backend), live.running(drain_s=600):
        backend.fail("extend", ThrottledError("slow down"), UnavailableError("gone"), ThrottledError("slow down"))
        await live.publish(OrderPlaced("o1"))
        await until(lambda: live.counts[BILLING].handled == 1)
    assert live.counts[BILLING].received == 1


async def test_a_lost_lease_stops_the_handler_and_nothing_is_acknowledged() -> None:
    bus = Bus("shop")
    attempts: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=30)
    async def bill(_: OrderPlaced) -> None:
        attempts.append("began")
        if len(attempts) == 1:
            try:
                await anyio.sleep(300)
            finally:
                attempts.append("stopped")

    async with connected(bus) as (live, backend), live.running():
        backend.fail("extend", LeaseLostError("too late"))
        await live.publish(OrderPlaced("o1"))
        await until(lambda: live.counts[BILLING].handled == 1)
    assert attempts == ["began", "stopped", "began"]
    assert live.counts[BILLING].lost == 1


async def test_a_handler_that_ends_after_its_lease_is_lost_counts_for_nothing() -> None:
    bus = Bus("shop")
    ended: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=30)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if delivery.attempt == 1:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(300)
        ended.append(delivery.attempt)

    async with connected(bus) as (live, backend):
        async with live.running():
            backend.fail("extend", LeaseLostError("too late"))
            await live.publish(OrderPlaced("o1"))
            await until(lambda: ended == [1, 2])  # of one key, so the second has waited for the first
        assert (live.counts[BILLING].handled, live.counts[BILLING].lost) == (1, 1)
        assert [size for method, size in backend.batches if method == "settle"] == [1]


async def test_a_failing_poll_is_tried_again_and_the_consumer_lives_on() -> None:
    bus = Bus("shop")
    seen: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        seen.append(order.order)

    async with connected(bus) as (live, backend):
        backend.fail("receive", *[UnavailableError("no route")] * 20)
        async with live.running():
            await live.publish(OrderPlaced("o1"))
            await until(lambda: seen == ["o1"])
            polls = sum(1 for method, _ in backend.batches if method == "receive")
    # Doubling waits: twenty failures take minutes, not a busy loop.
    assert polls < 25


async def test_no_more_is_fetched_than_there_are_free_slots() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", concurrency=3)
    async def bill(_: OrderPlaced) -> None:
        await anyio.sleep(10)

    async with connected(bus) as (live, backend), live.running():
        for n in range(12):
            await live.publish(OrderPlaced(str(n), customer=str(n)))
        while live.counts[BILLING].handled < 12:
            assert (await backend.stats(BILLING)).in_flight <= 3
            await anyio.sleep(1)
        assert all(size <= 3 for method, size in backend.batches if method == "receive")


async def test_a_failed_acknowledgement_is_repeated() -> None:
    bus = Bus("shop")
    seen: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        seen.append(order.order)

    async with connected(bus) as (live, backend):
        backend.fail("settle", UnavailableError("reset"), ThrottledError("slow down"))
        async with live.running():
            await live.publish(OrderPlaced("o1"))
            await until(lambda: live.counts[BILLING].handled == 1)
            await anyio.sleep(120)
    assert seen == ["o1"]


async def test_a_message_that_cannot_be_dead_lettered_is_kept_and_tried_again() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=1))
    async def bill(order: OrderPlaced) -> None:
        raise ValueError(order.order)

    async with connected(bus) as (live, backend):
        backend.fail(f"send {DEAD}", *[UnavailableError("dead-letter queue is away")] * 5)
        async with live.running():
            await live.publish(OrderPlaced("poison"))
            await until(lambda: live.counts[BILLING].dead_lettered == 1)
            assert (await backend.stats(DEAD)).visible == 1
            assert (await backend.stats(BILLING)).in_flight == 0


async def test_leaving_waits_for_running_handlers() -> None:
    bus = Bus("shop")
    ended: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        await anyio.sleep(20)
        ended.append(order.order)

    async with connected(bus) as (live, backend):
        async with live.running(drain_s=25):
            await live.publish(OrderPlaced("o1"))
            await until(lambda: live.counts[BILLING].received == 1)
        assert ended == ["o1"]
        assert (await backend.stats(BILLING)).in_flight == 0


async def test_a_handler_that_outlasts_the_drain_is_cancelled_and_its_message_given_back() -> None:
    bus = Bus("shop")
    ended: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=600)
    async def bill(order: OrderPlaced) -> None:
        try:
            await anyio.sleep(100)
        finally:
            ended.append(order.order)

    async with connected(bus) as (live, backend):
        async with live.running(drain_s=5):
            await live.publish(OrderPlaced("o1"))
            await until(lambda: live.counts[BILLING].received == 1)
        assert ended == ["o1"]
        stats = await backend.stats(BILLING)
        assert (stats.visible, stats.in_flight) == (1, 0)


async def test_cancelling_serve_drains_too() -> None:
    bus = Bus("shop")
    ended: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        await anyio.sleep(20)
        ended.append(order.order)

    async with connected(bus) as (live, _):
        async with anyio.create_task_group() as tasks:
            await tasks.start(live.serve)
            await live.publish(OrderPlaced("o1"))
            await until(lambda: live.counts[BILLING].received == 1)
            tasks.cancel_scope.cancel()
        assert ended == ["o1"]


async def test_a_failed_send_is_repeated_and_the_caller_hears_of_success() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with connected(bus) as (live, backend):
        backend.fail("send", UnavailableError("reset"), ThrottledError("slow down"))
        assert await live.publish(OrderPlaced("o1")) == (BILLING,)
        assert (await backend.stats(BILLING)).visible == 1


async def test_a_partial_fan_out_says_who_has_it_and_who_has_not() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    @bus.subscribe(OrderPlaced, group="shipping")
    async def ship(_: OrderPlaced) -> None: ...

    async with connected(bus) as (live, backend):
        backend.fail("send shop-shipping", MessageRefusedError("never"))
        with pytest.raises(PublishError, match="1 of 2 recipients") as caught:
            await live.publish(OrderPlaced("o1"))
    assert set(caught.value.accepted) == {"shop-billing"}
    assert set(caught.value.failed) == {"shop-shipping"}


async def test_concurrent_sends_share_calls_where_these_take_time() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with connected(bus) as (live, backend):
        async with anyio.create_task_group() as tasks:
            for n in range(100):
                tasks.start_soon(live.publish, OrderPlaced(str(n)))
        sizes = [size for method, size in backend.batches if method == "send"]
        assert (await backend.stats(BILLING)).visible == 100
    assert sum(sizes) == 100
    assert len(sizes) <= (100 if isinstance(backend, Immediate) else 12)
