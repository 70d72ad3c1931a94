"""What a sender may say about one message, and what travels with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import pytest
from bus.connected import running, until
from bus.orders import OrderCancelled, OrderPlaced, PrintInvoice

from busframe import (
    Bus,
    Delivery,
    Event,
    Retry,
    TraceContext,
    current_delivery,
    current_trace,
    event,
    runtime,
    within_trace,
)
from busframe.errors import InvalidArgumentError
from busframe.message import QueueName
from busframe.sending import Sender
from busframe.sending_side import Sending
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.message import Received

pytestmark = pytest.mark.anyio


@event("shop.order-made")
@dataclass(frozen=True)
class OrderMadeOnce:
    order: str


@event("shop.order.made", aliases=["shop.order-made"])
@dataclass(frozen=True)
class OrderMade:
    order: str


@event("shop.visited", key="customer")
@dataclass(frozen=True)
class Visited(Event):
    customer: str | None


BILLING = QueueName("shop-billing")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def waiting(bus: Bus, queue: QueueName, *events: object, **options: object) -> Sequence[Received]:
    """Publish, and look at what stands on a queue."""
    async with bus.connect("memory://") as live:
        for one in events:
            await live.publish(one, **options)  # type: ignore[call-overload]
        return await live.backend_as(MemoryBackend).receive(queue, limit=10, wait_s=1, lease_s=30)


def shop(**options: bool) -> Bus:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", **options)  # type: ignore[call-overload, untyped-decorator]
    async def bill(order: OrderPlaced) -> None: ...

    return bus


async def test_headers_of_the_application_arrive_beside_the_buss() -> None:
    bus = Bus("shop")
    seen: list[Delivery[OrderPlaced]] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        seen.append(delivery)

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"), headers={"by": "ada", "Ünï": "\ufffe"}, tenant="acme", correlation_id="c")
        await until(lambda: bool(seen))
    headers = seen[0].headers
    assert headers.extra == {"by": "ada", "Ünï": "\ufffe"}
    assert (headers.tenant, headers.correlation_id, headers.causation_id) == ("acme", "c", None)
    assert (headers.source, headers.type, headers.version, headers.key) == ("shop", "shop.order.placed", 1, "ada")


async def test_all_headers_travel_in_one_attribute() -> None:
    with within_trace(PARENT, "vendor=1"):
        (message,) = await waiting(shop(), BILLING, OrderPlaced("o1"), headers={"a": "1"}, tenant="acme")
    assert set(message.attributes) == {"busframe"}


async def test_the_tenant_is_the_message_group_of_a_standard_queue_and_the_key_that_of_an_ordered_one() -> None:
    (message,) = await waiting(shop(), BILLING, OrderPlaced("o1", "ada"), tenant="the tenant")
    assert message.group == "the%20tenant"
    (message,) = await waiting(shop(), BILLING, OrderPlaced("o1", "ada"))
    assert message.group == "ada"
    (message,) = await waiting(
        shop(ordered=True), QueueName("shop-billing.fifo"), OrderPlaced("o1", "ada"), tenant="acme"
    )
    assert message.group == "ada"


async def test_messages_of_one_tenant_are_handled_at_once_and_those_of_one_key_one_after_the_other() -> None:
    bus = Bus("shop")
    at_once: dict[str, int] = {"ada": 0, "bob": 0}
    most = 0
    done = 0
    all_begun = anyio.Event()

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        nonlocal most, done
        at_once[order.customer] += 1
        assert at_once[order.customer] == 1
        most = max(most, sum(at_once.values()))
        if most == 2:
            all_begun.set()
        await all_begun.wait()
        await anyio.lowlevel.checkpoint()
        at_once[order.customer] -= 1
        done += 1

    async with running(bus) as live:
        for n in range(6):
            await live.publish(OrderPlaced(f"o{n}", "ada" if n % 2 else "bob"), tenant="acme")
        await until(lambda: done == 6)
        assert live.counts[BILLING].retried == 0
    assert most == 2


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"delay_s": -1.0}, "delay_s"),
        ({"delay_s": float("nan")}, "delay_s"),
        ({"delay_s": float("inf")}, "delay_s"),
        ({"headers": {"n": 1}}, "headers"),
    ],
)
async def test_an_option_that_is_not_allowed_is_named_before_anything_is_sent(
    options: dict[str, object], parameter: str
) -> None:
    bus = shop()
    async with bus.connect("memory://") as live:
        with pytest.raises(InvalidArgumentError, match=parameter):
            await live.publish(OrderPlaced("o1"), **options)  # type: ignore[call-overload]
        assert (await live.stats())[BILLING].visible == 0


async def test_an_ordered_queue_takes_no_delay_and_no_message_without_a_key_and_no_other_queue_gets_a_copy() -> None:
    bus = Bus("shop")

    @bus.subscribe(Visited, group="billing", ordered=True)
    async def bill(visited: Visited) -> None: ...

    @bus.subscribe(Visited, group="other")
    async def other(visited: Visited) -> None: ...

    async with bus.connect("memory://") as live:
        for delay_s in (1.0, 10_000.0):
            with pytest.raises(InvalidArgumentError, match=r"delay_s.*shop-billing\.fifo is ordered"):
                await live.publish(Visited("ada"), delay_s=delay_s)
        with pytest.raises(InvalidArgumentError, match=r"key.*shop-billing\.fifo is ordered"):
            await live.publish(Visited(None))
        stats = await live.stats()
        assert [stats[queue].visible + stats[queue].delayed for queue in bus.groups] == [0, 0]


async def test_a_delay_that_the_broker_can_do_is_the_brokers() -> None:
    bus = shop()
    async with bus.connect("memory://") as live:
        await live.publish(OrderPlaced("o1"), delay_s=900)
        assert (await live.stats())[BILLING].delayed == 1
        live.backend_as(MemoryBackend).advance(900)
        (message,) = await live.backend_as(MemoryBackend).receive(BILLING, limit=10, wait_s=1, lease_s=30)
        assert "due" not in str(message.attributes["busframe"])


async def test_a_longer_delay_is_waited_for_in_the_broker_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus("shop")
    wall_s = 1_000_000.0
    handled: list[tuple[float, Delivery[OrderPlaced]]] = []
    monkeypatch.setattr(runtime, "wall_s", lambda: wall_s)

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=1))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        handled.append((wall_s, delivery))

    async with running(bus) as live:
        backend = live.backend_as(MemoryBackend)
        await live.publish(OrderPlaced("o1"), delay_s=2_000, tenant="acme")
        for received, part_s in enumerate((900, 900, 200)):
            assert (await live.stats())[BILLING].delayed == 1
            assert live.counts[BILLING].received == received
            assert not handled
            wall_s += part_s
            backend.advance(part_s)
            while live.counts[BILLING].received == received:
                await anyio.lowlevel.checkpoint()
            # The old message is gone, and the new one is there in its place, or the handler has run.
            while (stats := (await live.stats())[BILLING]).visible + stats.in_flight:
                await anyio.lowlevel.checkpoint()
        await until(lambda: live.counts[BILLING].handled == 1)
        counts = live.counts[BILLING]
        assert (counts.handled, counts.retried, counts.dead_lettered) == (1, 0, 0)
    ((at_s, delivery),) = handled
    assert at_s == 1_002_000
    assert delivery.attempt == 1
    assert delivery.headers.tenant == "acme"


async def test_a_command_takes_the_same_options() -> None:
    bus = Bus("shop")
    seen: list[Delivery[PrintInvoice]] = []

    @bus.handle(PrintInvoice)
    async def print_invoice(_: PrintInvoice, delivery: Delivery[PrintInvoice]) -> None:
        seen.append(delivery)

    async with running(bus) as live:
        await live.send(PrintInvoice("o1"), tenant="acme", headers={"a": "1"}, key="k", delay_s=0.01)
        await until(lambda: bool(seen))
    headers = seen[0].headers
    assert (headers.tenant, headers.extra, headers.key) == ("acme", {"a": "1"}, "k")


async def test_what_a_handler_sends_names_its_cause_and_hands_on_the_correlation_and_the_trace() -> None:
    bus = Bus("shop")
    seen: list[Delivery[object]] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        assert current_delivery() is delivery
        assert current_trace() == delivery.trace == TraceContext(PARENT, "vendor=1")
        seen.append(delivery)
        await live.publish(OrderCancelled(order.order))

    @bus.subscribe(OrderCancelled, group="billing")
    async def cancelled(order: OrderCancelled, delivery: Delivery[OrderCancelled]) -> None:
        seen.append(delivery)
        await live.send(PrintInvoice(order.order))

    @bus.handle(PrintInvoice)
    async def print_invoice(_: PrintInvoice, delivery: Delivery[PrintInvoice]) -> None:
        seen.append(delivery)

    async with running(bus) as live:
        with within_trace(PARENT, "vendor=1"):
            await live.publish(OrderPlaced("o1"))
        await until(lambda: len(seen) == 3)
    first, second, third = (delivery.headers for delivery in seen)
    assert (first.correlation_id, first.causation_id) == (None, None)
    assert (second.correlation_id, second.causation_id) == (first.id, first.id)
    assert (third.correlation_id, third.causation_id) == (first.id, second.id)
    assert {delivery.trace for delivery in seen} == {TraceContext(PARENT, "vendor=1")}
    assert current_delivery() is None
    assert current_trace() is None


async def test_a_message_sent_outside_of_any_trace_belongs_to_none_even_if_the_one_before_did() -> None:
    bus = Bus("shop")
    traces: list[TraceContext | None] = []

    @bus.subscribe(OrderPlaced, group="billing", concurrency=1)
    async def bill(_: OrderPlaced) -> None:
        traces.append(current_trace())

    async with running(bus) as live:
        with within_trace(PARENT):
            await live.publish(OrderPlaced("o1"))
        await until(lambda: len(traces) == 1)
        await live.publish(OrderPlaced("o2"))
        await until(lambda: len(traces) == 2)
    assert traces == [TraceContext(PARENT, None), None]


@pytest.mark.parametrize("bad", ["", "00-x", PARENT.upper(), "ff" + PARENT[2:], "00-" + "0" * 32 + PARENT[35:]])
async def test_a_damaged_traceparent_is_refused(bad: str) -> None:
    with pytest.raises(InvalidArgumentError, match="traceparent"), within_trace(bad):
        pass


async def test_a_renamed_event_still_reaches_its_subscribers_under_the_old_name() -> None:
    bus = Bus("shop")
    seen: list[tuple[str, str]] = []

    @bus.subscribe(OrderMade, group="billing")
    async def made(order: OrderMade, delivery: Delivery[OrderMade]) -> None:
        seen.append((delivery.headers.type, order.order))

    async with running(bus) as live:
        await live.publish(OrderMadeOnce("o1"))
        await live.publish(OrderMade("o2"))
        await until(lambda: len(seen) == 2)
    assert sorted(seen) == [("shop.order-made", "o1"), ("shop.order.made", "o2")]


async def test_a_repetition_under_the_same_id_is_not_delivered_on_an_ordered_queue() -> None:
    bus, seen = Bus("shop"), list[str]()

    @bus.subscribe(OrderPlaced, group="billing", ordered=True)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        seen.append(f"{order.order} {delivery.headers.id}")

    async with running(bus) as live:
        for order in ("o1", "o2", "o1"):
            await live.publish(OrderPlaced(order), id=f"{order}-placed: ä")
        await live.publish(OrderPlaced("end"))
        await until(lambda: any(entry.startswith("end") for entry in seen))
    assert seen[:2] == ["o1 o1-placed: ä", "o2 o2-placed: ä"]
    assert len(seen) == 3


async def test_messages_of_two_buses_are_told_apart_though_they_have_the_same_id() -> None:
    bus, seen = Bus("shop"), list[str]()

    @bus.subscribe(OrderPlaced, group="billing", ordered=True)
    async def bill(order: OrderPlaced) -> None:
        seen.append(order.order)

    async with running(bus) as live:
        backend = live.backend_as(MemoryBackend)
        async with anyio.create_task_group() as tasks:
            sender = Sender(backend, tasks)
            web = Sending(Bus("web"), backend, backend.recipients, sender)
            await live.publish(OrderPlaced("o1"), id="1")
            await web.publish(OrderPlaced("o2"), id="1")
            await sender.aclose()
        await until(lambda: len(seen) == 2)
    assert seen == ["o1", "o2"]


async def test_a_repetition_under_the_same_id_is_handled_once_where_that_is_asked_for() -> None:
    bus, seen = Bus("shop"), list[str]()

    @bus.subscribe(
        OrderPlaced, group="billing", once=True, concurrency=1
    )  # else the second might wait for the end of the first one's claim
    async def bill(order: OrderPlaced) -> None:
        seen.append(order.order)

    @bus.handle(PrintInvoice, once=True, concurrency=1)
    async def print_invoice(invoice: PrintInvoice) -> None:
        seen.append(invoice.order)

    async with running(bus) as live:
        for _ in range(2):
            await live.publish(OrderPlaced("o1"), id="o1-placed")
            await live.send(PrintInvoice("o1-invoice"), id="o1-printed")
        await until(lambda: sum(counts.handled for counts in live.counts.values()) == 4)
    assert sorted(seen) == ["o1", "o1-invoice"]
