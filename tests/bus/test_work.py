"""Runs that end by themselves: when nothing is left, after so many deliveries, after a time."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from bus.orders import OrderPlaced, PrintInvoice
from bus.virtual import BILLING, connected
from trio.testing import MockClock

from busframe import Bus, Later, Live, Reject
from busframe.errors import AccessDeniedError, InvalidArgumentError, UnavailableError
from busframe.message import QueueName

pytestmark = pytest.mark.anyio

INVOICES = QueueName("shop-invoice-print")
SHIPPING = QueueName("shop-shipping")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Shop:
    """A bus whose handlers write down what they do. Billing sends an invoice for each order, after a while."""

    def __init__(self) -> None:
        self.bus = Bus("shop")
        self.done: list[str] = []
        self.live: Live | None = None
        self.bus.subscribe(OrderPlaced, group="billing")(self._bill)
        self.bus.subscribe(OrderPlaced, group="shipping")(self._ship)
        self.bus.handle(PrintInvoice)(self._print)

    async def _bill(self, order: OrderPlaced) -> None:
        await anyio.sleep(5)
        if order.order == "bad":
            raise Later(delay_s=60)
        if order.order == "refused":
            raise Reject("no")
        assert self.live is not None
        await self.live.send(PrintInvoice(order.order))
        self.done.append(f"billed {order.order}")

    async def _ship(self, order: OrderPlaced) -> None:
        self.done.append(f"shipped {order.order}")

    async def _print(self, invoice: PrintInvoice) -> None:
        await anyio.sleep(5)
        self.done.append(f"printed {invoice.order}")


async def test_until_empty_handles_what_is_there_and_what_handlers_send_meanwhile() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        shop.live = live
        for order in ("1", "2"):
            await live.publish(OrderPlaced(order, customer=order))
        began_s = anyio.current_time()
        assert await live.work(until_empty=True) is None
        # Two handlers after each other, and a look around after each.
        assert anyio.current_time() - began_s < 20
        assert sorted(shop.done) == ["billed 1", "billed 2", "printed 1", "printed 2", "shipped 1", "shipped 2"]
        assert live.health().consumers == ()
        assert await live.work(until_empty=True) is None


async def test_until_empty_does_not_wait_for_what_is_to_be_tried_later() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        shop.live = live
        await live.publish(OrderPlaced("bad"))
        began_s = anyio.current_time()
        await live.work(until_empty=True)
        assert anyio.current_time() - began_s < 20
        assert live.counts[BILLING].retried == 1
        assert (await live.stats())[BILLING].delayed + (await live.stats())[BILLING].in_flight == 1
        await anyio.sleep(60)
        await live.work(until_empty=True)
        assert live.counts[BILLING].retried == 2


@pytest.mark.parametrize("deliveries_max", [1, 2, 3, 7])
async def test_no_more_deliveries_are_taken_than_asked_for_whatever_the_number_of_queues(deliveries_max: int) -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        shop.live = live
        for n in range(10):
            await live.publish(OrderPlaced(f"{n}", customer=f"{n}"))
        await live.work(deliveries_max=deliveries_max)
        assert sum(counts.received for counts in live.counts.values()) == deliveries_max
        stats = await live.stats()
        assert sum(of.in_flight for of in stats.values()) == 0
        printed = live.counts[INVOICES].handled
        left = stats[BILLING].visible + stats[SHIPPING].visible
        assert left == 20 - (deliveries_max - printed)


async def test_one_delivery_comes_from_whichever_queue_has_one() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        shop.live = live

        async def send_later() -> None:
            await anyio.sleep(500)
            await live.send(PrintInvoice("1"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_later)
            began_s = anyio.current_time()
            await live.work(deliveries_max=1)
            assert anyio.current_time() - began_s < 520
        assert shop.done == ["printed 1"]


async def test_one_delivery_at_most_ends_when_there_is_none() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        began_s = anyio.current_time()
        await live.work(until_empty=True, deliveries_max=1)
        assert anyio.current_time() - began_s < 10


async def test_a_run_ends_after_its_time_and_drains() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        shop.live = live
        await live.publish(OrderPlaced("1"))
        began_s = anyio.current_time()
        await live.work(time_max_s=2)
        assert 5 <= anyio.current_time() - began_s < 10
        assert sorted(shop.done) == ["billed 1", "shipped 1"]


async def test_a_run_that_is_to_end_gives_up_on_a_broker_that_fails() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, backend):
        backend.fail("receive", *[UnavailableError("no")] * 100)
        began_s = anyio.current_time()
        with pytest.raises(UnavailableError):
            await live.work(until_empty=True)
        assert anyio.current_time() - began_s < 60


async def test_a_run_whose_time_is_over_tells_if_the_broker_never_answered() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, backend):
        backend.fail("receive", *[AccessDeniedError("no")] * 100)
        with pytest.raises(AccessDeniedError):
            await live.work(time_max_s=0.1)
        with pytest.raises(AccessDeniedError):
            await live.work(time_max_s=0.1, until_empty=True)


async def test_a_run_whose_time_is_over_tells_of_an_outage_and_not_of_a_hiccup() -> None:
    async def work(failures: int) -> None:
        shop = Shop()
        async with connected(shop.bus) as (live, backend), anyio.create_task_group() as tasks:
            tasks.start_soon(partial(live.work, groups=["shipping"], time_max_s=30))
            await anyio.sleep(21)  # one poll has come back with nothing
            backend.fail("receive", *[UnavailableError("no")] * failures)
            await live.publish(OrderPlaced("1"))

    await work(2)
    with pytest.RaisesGroup(UnavailableError):
        await work(100)


async def test_a_run_that_is_to_end_outlives_a_few_failures() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, backend):
        shop.live = live
        await live.publish(OrderPlaced("1"))
        backend.fail("receive", *[AccessDeniedError("no")] * 3)
        await live.work(until_empty=True)
        assert len(shop.done) == 3


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("checkpoints", range(6))
async def test_a_run_that_is_cancelled_while_it_starts_ends(checkpoints: int) -> None:
    async with connected(Shop().bus) as (live, _):
        for run in (live.work, live.serve):
            with anyio.fail_after(1000):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(run)
                    for _ in range(checkpoints):
                        await anyio.lowlevel.checkpoint()
                    tasks.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["shipping", "shop/shipping", "shop-shipping"])
async def test_some_groups_only(name: str) -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        shop.live = live
        await live.publish(OrderPlaced("1"))
        await live.work(until_empty=True, groups=[name])
        assert shop.done == ["shipped 1"]
        async with live.running(groups=["shop.invoice.print"], concurrency=1):
            await anyio.sleep(1)
            assert [consumer.queue for consumer in live.health().consumers] == [INVOICES]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"groups": ["packing"]}, "one of shop-invoice-print, shop/billing, shop/shipping"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"deliveries_max": 0}, "deliveries_max=0"),
        ({"time_max_s": 0}, "time_max_s=0"),
    ],
)
async def test_what_cannot_be_is_refused(arguments: dict[str, Any], named: str) -> None:
    async with connected(Shop().bus) as (live, _):
        with pytest.raises(InvalidArgumentError, match=named):
            await live.work(**arguments)
