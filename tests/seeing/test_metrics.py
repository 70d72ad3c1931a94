"""The metrics as Prometheus's own parser reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from bus.connected import fail_next, running, until
from bus.orders import OrderCancelled, OrderPlaced
from prometheus_client.parser import text_string_to_metric_families

from busframe import Bus, Delivery, PublishError, Reject, Retry
from busframe._consume.counts import BOUNDS_S, Durations
from busframe.errors import UnavailableError
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from busframe import Live

pytestmark = pytest.mark.anyio

BILLING = {"queue": "shop-billing", "group": "shop/billing"}
ORDERS = {**BILLING, "type": "shop.order.placed"}


class Read:
    """The samples of a page."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]
        assert len({(s.name, tuple(sorted(s.labels.items()))) for s in self.samples}) == len(self.samples)

    def value(self, name: str, **labels: str) -> float | None:
        found = [s.value for s in self.samples if s.name == f"busframe_{name}" and s.labels == labels]
        assert len(found) <= 1
        return found[0] if found else None


async def read(live: Live) -> Read:
    return Read(await live.metrics())


async def test_each_handler_has_its_own_counts_and_durations() -> None:
    bus = Bus("shop")
    release = anyio.Event()

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=2, first_s=0))
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if order.order == "flaky" and delivery.attempt == 1:
            raise LookupError
        if order.order == "bad":
            raise Reject("no")

    @bus.subscribe(OrderCancelled, group="billing")
    async def cancel(_: OrderCancelled) -> None:
        await release.wait()

    async with running(bus) as live:
        before = await read(live)
        assert before.value("messages_handled_total", **ORDERS) == 0  # there from the start, so that rates are right
        for order in ("fine", "flaky", "bad"):
            await live.publish(OrderPlaced(order, "ada"))
        await live.publish(OrderCancelled("o1"))
        await live.queue("shop-billing").send("from somewhere else")
        counts = live.counts["shop-billing"]
        await until(lambda: counts.handled == 2 and counts.dead_lettered == 2)
        await until(lambda: counts.handlers["shop.order.cancelled"].running == 1)
        page = await read(live)
        release.set()
        await until(lambda: counts.handled == 3)

    assert page.value("messages_handled_total", **ORDERS) == 2
    assert page.value("messages_retried_total", **ORDERS) == 1
    assert page.value("messages_dead_lettered_total", **ORDERS) == 1
    assert page.value("messages_dead_lettered_total", **BILLING, type="(none)") == 1
    assert page.value("handler_failures_total", **ORDERS) == 1
    assert page.value("handler_duration_seconds_count", **ORDERS) == 4
    assert page.value("handler_duration_seconds_bucket", **ORDERS, le="+Inf") == 4
    assert page.value("handlers_running", **ORDERS) == 0
    assert page.value("handlers_running", **BILLING, type="shop.order.cancelled") == 1
    assert page.value("messages_received_total", **BILLING) == 6
    assert page.value("messages_redelivered_total", **BILLING) == 1
    assert page.value("messages_sent_total", type="shop.order.placed") == 3
    assert page.value("copies_sent_total", type="shop.order.placed") == 3
    assert page.value("sends_failed_total", type="shop.order.placed") == 0
    assert page.value("messages_in_hand", queue="shop-billing") == 1
    assert page.value("consumer_healthy", queue="shop-billing") == 1
    assert page.value("queue_messages_in_flight", queue="shop-billing") == 1
    assert page.value("queue_messages_visible", queue="shop-billing-dead") == 2
    assert page.value("queue_up", queue="shop-billing") == 1
    age_s = page.value("queue_oldest_message_age_seconds", queue="shop-billing")
    assert age_s is not None
    assert age_s >= 0
    assert (page.value("backend_calls_total", action="receive") or 0) > 0
    assert page.families["busframe_handler_duration_seconds"].type == "histogram"
    assert page.families["busframe_messages_handled"].type == "counter"


async def test_the_labels_do_not_grow_with_traffic() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    def series(page: Read) -> set[Any]:
        return {(s.name, tuple(sorted(s.labels.items()))) for s in page.samples if "calls" not in s.name}

    async with running(bus) as live:
        await live.publish(OrderPlaced("o0", "ada"))
        before = series(await read(live))
        for n in range(20):
            await live.publish(OrderPlaced(f"o{n}", f"customer {n}"), tenant=f"tenant {n}")
            await live.queue("shop-billing").send(f"foreign {n}", attributes={"type": f"t{n}"})
        await until(lambda: live.counts["shop-billing"].handled == 21)
        assert series(await read(live)) == before


async def test_a_queue_that_cannot_be_asked_spoils_nothing_and_queues_may_be_left_out() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with running(bus) as live:
        await live.backend_as(MemoryBackend).remove(bus.select(["billing"])[0].dead_queue)
        page = await read(live)
        assert page.value("queue_up", queue="shop-billing-dead") == 0
        assert page.value("queue_messages_visible", queue="shop-billing-dead") is None
        assert page.value("queue_messages_visible", queue="shop-billing") == 0
        assert page.value("queue_oldest_message_age_seconds", queue="shop-billing") == 0
        without = Read(await live.metrics(queues=False))
        assert without.value("queue_messages_visible", queue="shop-billing") is None
        assert without.value("messages_handled_total", **ORDERS) == 0


async def test_a_publish_that_fails_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with bus.connect("memory://") as live:
        fail_next(live, "send", [UnavailableError("down")] * 9, monkeypatch)
        with pytest.raises(PublishError):
            await live.publish(OrderPlaced("o1", "ada"))
        page = await read(live)
    assert page.value("sends_failed_total", type="shop.order.placed") == 1
    assert page.value("messages_sent_total", type="shop.order.placed") == 0


def test_durations_tell_their_mean_and_their_quantiles() -> None:
    durations = Durations()
    assert (durations.mean_s, durations.quantile_s(0.5)) == (None, None)
    for duration_s in (0.0005, 0.001, 0.02, 3.0):
        durations.note(duration_s)
    assert durations.count == 4
    assert durations.mean_s == pytest.approx(0.755375)
    assert [durations.quantile_s(part) for part in (0.25, 0.5, 0.75, 1.0)] == [0.001, 0.001, 0.025, 5.0]
    durations.note(BOUNDS_S[-1] + 1)
    assert durations.quantile_s(1.0) == float("inf")
