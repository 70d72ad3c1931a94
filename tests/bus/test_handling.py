"""What becomes of messages: handled, tried again, given up."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from bus.orders import OrderCancelled, OrderPlaced, PrintInvoice

from busframe import Bus, Delivery, Drop, Later, Live, Reject, Retry
from busframe.errors import ClosedError, QueueNotFoundError
from busframe.message import Outgoing, QueueName
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from busframe.message import Received

pytestmark = pytest.mark.anyio

AT_ONCE = Retry(attempts=3, first_s=0)
BILLING = QueueName("shop-billing")
BILLING_DEAD = QueueName("shop-billing-dead")


@asynccontextmanager
async def running(bus: Bus) -> AsyncGenerator[Live, None]:
    with anyio.fail_after(10):
        async with bus.connect("memory://") as live, live.running():
            yield live


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - there is no event to wait for: it looks from outside
        await anyio.sleep(0.001)


async def dead_letters(live: Live, queue: QueueName = BILLING_DEAD) -> list[Received]:
    backend = live.backend_as(MemoryBackend)
    return list(await backend.receive(queue, limit=10, wait_s=5, lease_s=30))


def reason_of(dead: Received) -> str:
    return str(json.loads(dead.attributes["busframe-dead"])["reason"])


async def test_every_group_gets_its_own_copy_and_within_a_group_one_member_handles_it() -> None:
    bus = Bus("shop")
    billed: list[str] = []
    shipped: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        billed.append(order.order)

    @bus.subscribe(OrderPlaced, group="shipping")
    async def ship(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        assert delivery.payload is order
        assert delivery.attempt == 1
        assert delivery.headers.type == "shop.order.placed"
        shipped.append(order.order)

    async with running(bus) as live, live.running():  # two members in each group
        for n in range(20):
            queues = await live.publish(OrderPlaced(f"o{n}"))
            assert queues == (BILLING, "shop-shipping")
        await until(lambda: len(billed) >= 20 and len(shipped) >= 20)
    assert sorted(billed) == sorted(shipped) == sorted(f"o{n}" for n in range(20))


async def test_a_publish_that_nobody_subscribed_to_reaches_nobody() -> None:
    async with running(Bus("shop")) as live:
        assert await live.publish(OrderPlaced("o1")) == ()


async def test_a_group_handles_several_types_each_with_its_own_function() -> None:
    bus = Bus("shop")
    seen: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def placed(order: OrderPlaced) -> None:
        seen.append(f"placed {order.order}")

    @bus.subscribe(OrderCancelled, group="billing")
    async def cancelled(order: OrderCancelled) -> None:
        seen.append(f"cancelled {order.order}")

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await live.publish(OrderCancelled("o1"))
        await until(lambda: len(seen) == 2)
    assert sorted(seen) == ["cancelled o1", "placed o1"]


async def test_a_command_goes_to_its_one_owner() -> None:
    bus = Bus("shop")
    printed: list[str] = []

    @bus.handle(PrintInvoice)
    async def print_invoice(invoice: PrintInvoice) -> None:
        printed.append(invoice.order)

    async with running(bus) as live:
        await live.send(PrintInvoice("o1"))
        await until(lambda: bool(printed))
        assert set(live.counts) == {"shop-invoice-print"}
    assert printed == ["o1"]


async def test_a_handler_that_fails_twice_succeeds_at_the_third_attempt() -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", retry=AT_ONCE)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise ConnectionError(order.order)

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await until(lambda: live.counts[BILLING].handled == 1)
        counts = live.counts[BILLING]
        assert (counts.received, counts.redelivered, counts.retried, counts.dead_lettered) == (3, 2, 2, 0)
    assert attempts == [1, 2, 3]


async def test_a_message_that_never_succeeds_is_dead_lettered_with_the_reason_and_is_gone() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", retry=AT_ONCE)
    async def bill(order: OrderPlaced) -> None:
        raise ValueError(f"cannot bill {order.order}")

    async with running(bus) as live:
        await live.publish(OrderPlaced("poison"))
        (dead,) = await dead_letters(live)
        await until(lambda: live.counts[BILLING].dead_lettered == 1)
        stats = await live.stats()
        assert (stats[BILLING].visible, stats[BILLING].in_flight) == (0, 0)
    assert json.loads(dead.body) == {"order": "poison", "customer": "ada"}
    assert reason_of(dead) == "attempt 3 of 3: ValueError: cannot bill poison"
    assert json.loads(dead.attributes["busframe-dead"])["queue"] == BILLING
    assert "busframe" in dead.attributes


async def test_reject_dead_letters_at_once_and_drop_removes() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        raise Reject("no such customer") if order.order == "rejected" else Drop("not needed")

    async with running(bus) as live:
        await live.publish(OrderPlaced("rejected"))
        await live.publish(OrderPlaced("dropped"))
        (dead,) = await dead_letters(live)
        await until(lambda: live.counts[BILLING].handled == 1)
    assert reason_of(dead) == "rejected: no such customer"


async def test_later_gives_the_message_back_for_as_long_as_it_says() -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=2))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            raise Later(3600)

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await until(lambda: live.counts[BILLING].retried == 1)
        live.backend_as(MemoryBackend).advance(3599)
        assert (await live.stats())[BILLING].in_flight == 1
        live.backend_as(MemoryBackend).advance(1)
        await until(lambda: live.counts[BILLING].handled == 1)
    assert attempts == [1, 2]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Outgoing(body='{"order":"x"}'), "UnknownMessageError: message .* not sent by a bus"),
        (Outgoing(body="x", attributes={"busframe": "{"}), "DecodeError: .* damaged"),
        (Outgoing(body="x", attributes={"busframe": b"\xff\xfe"}), "DecodeError: .* damaged"),
        (
            Outgoing(body="x", attributes={"busframe": '{"id":"1","type":"shop.unheard.of"}'}),
            "UnknownTypeError: no handler for 'shop.unheard.of'",
        ),
        (
            Outgoing(body='{"order":7}', attributes={"busframe": '{"id":"1","type":"shop.order.placed"}'}),
            "DecodeError: shop.order.placed: Expected `str`",
        ),
    ],
)
async def test_what_cannot_be_read_is_dead_lettered_at_once_with_the_reason(message: Outgoing, reason: str) -> None:
    bus = Bus("shop")
    seen: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        seen.append(order.order)

    async with running(bus) as live:
        await live.backend_as(MemoryBackend).send(BILLING, [message])
        await live.publish(OrderPlaced("after"))
        (dead,) = await dead_letters(live)
        await until(lambda: seen == ["after"])
    assert dead.body == message.body
    assert re.match(reason, reason_of(dead))


async def test_a_foreign_message_with_ten_attributes_keeps_them_in_the_dead_letter_queue() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        raise AssertionError(order)

    attributes: dict[str, str | bytes] = {f"a{n}": str(n) for n in range(10)}
    async with running(bus) as live:
        await live.backend_as(MemoryBackend).send(BILLING, [Outgoing(body="x", attributes=attributes)])
        (dead,) = await dead_letters(live)
    assert dict(dead.attributes) == attributes


async def test_messages_of_one_key_do_not_overlap_and_other_keys_go_on() -> None:
    bus = Bus("shop")
    working: set[str] = set()
    together: set[frozenset[str]] = set()
    done: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", concurrency=20)
    async def bill(order: OrderPlaced) -> None:
        assert order.customer not in working
        working.add(order.customer)
        together.add(frozenset(working))
        await anyio.sleep(0.001)
        working.remove(order.customer)
        done.append(order.order)

    async with running(bus) as live:
        for n in range(30):
            await live.publish(OrderPlaced(f"o{n}", customer=f"c{n % 3}"))
        await until(lambda: len(done) == 30)
    assert frozenset({"c0", "c1", "c2"}) in together


async def test_an_ordered_group_handles_each_key_in_order_through_failures() -> None:
    bus = Bus("shop")
    done: list[str] = []
    attempts: list[tuple[str, int]] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, concurrency=20, retry=AT_ONCE)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append((order.order, delivery.attempt))
        if order.order.endswith("3") and delivery.attempt == 1:
            raise ConnectionError
        done.append(order.order)

    async with running(bus) as live:
        for n in range(8):
            for customer in "ab":
                await live.publish(OrderPlaced(f"{customer}{n}", customer=customer))
        await until(lambda: len(done) == 16)
    for customer in "ab":
        assert [order for order in done if order[0] == customer] == [f"{customer}{n}" for n in range(8)]
        # Not worn out by being given back over and over.
        assert [n for order, n in attempts if order == f"{customer}3"] == [1, 2]


async def test_an_error_in_the_program_comes_out_as_it_is() -> None:
    class ProgramError(Exception):
        pass

    with pytest.raises(ProgramError):
        async with running(Bus("shop")):
            raise ProgramError


async def test_nothing_is_left_running_and_a_closed_backend_says_so() -> None:
    async with running(Bus("shop")) as live:
        pass
    with pytest.raises(ClosedError, match="memory://"):
        await live.backend_as(MemoryBackend).stats(BILLING)


async def test_a_message_put_off_too_often_is_dead_lettered_by_the_bus_with_the_reason() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", retry=AT_ONCE)
    async def bill(_: OrderPlaced) -> None:
        raise Later(0)

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        (dead,) = await dead_letters(live)
        await until(lambda: live.counts[BILLING].dead_lettered == 1)
    assert reason_of(dead) == "attempt 3 of 3: Later: again in 0 s"


async def test_a_command_without_an_owner_says_how_it_gets_one() -> None:
    async with running(Bus("shop")) as live:
        with pytest.raises(QueueNotFoundError, match="has no owner yet"):
            await live.send(PrintInvoice("o1"))
