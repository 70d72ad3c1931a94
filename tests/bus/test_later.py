"""Giving a message back without an attempt being counted."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
from bus.connected import dead_letters, reason_of, running, until
from bus.orders import OrderPlaced

from busframe import Bus, Delivery, Later, Retry
from busframe.errors import UnavailableError
from busframe.message import Outgoing, QueueName
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from busframe.foreign import ForeignMessage

pytestmark = pytest.mark.anyio

BILLING = QueueName("shop-billing")
AT_ONCE = Retry(attempts=3, first_s=0)


async def test_what_does_not_count_may_be_said_more_often_than_there_are_attempts() -> None:
    bus = Bus("shop")
    seen: list[Delivery[OrderPlaced]] = []

    @bus.subscribe(OrderPlaced, group="billing", retry=AT_ONCE)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        seen.append(delivery)
        if len(seen) < 10:
            raise Later(0, count=False)

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await until(lambda: live.counts[BILLING].handled == 1)
        stats = await live.stats()
        assert (stats[BILLING].visible, stats[BILLING].in_flight, stats["shop-billing-dead"].visible) == (0, 0, 0)
    assert [delivery.attempt for delivery in seen] == [1] * 10
    # The same message to whoever looks, with the age it has.
    assert len({(delivery.headers.id, delivery.message_id, delivery.sent_at_s) for delivery in seen}) == 1


async def test_attempts_that_count_go_on_counting_and_the_dead_letter_tells_how_many_there_were() -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", retry=AT_ONCE)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        if len(attempts) % 2:
            raise Later(0, count=False)
        raise ConnectionError

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        (dead,) = await dead_letters(live, "shop-billing-dead")
    assert attempts == [1, 1, 2, 2, 3, 3]
    assert reason_of(dead).startswith("attempt 3 of 3: ConnectionError")
    assert json.loads(dead.attributes["busframe-dead"])["attempts"] == 3
    # Moved back by somebody, it is as good as new.
    assert set(dead.attributes) == {"busframe", "busframe-dead"}


async def test_it_waits_in_the_broker_for_as_long_as_it_says() -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", retry=AT_ONCE)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        if len(attempts) == 1:
            raise Later(600, count=False)

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await until(lambda: live.counts[BILLING].retried == 1)
        live.backend_as(MemoryBackend).advance(599)
        stats = (await live.stats())[BILLING]
        assert (stats.delayed, stats.in_flight, stats.visible) == (1, 0, 0)
        live.backend_as(MemoryBackend).advance(1)
        await until(lambda: live.counts[BILLING].handled == 1)
    assert attempts == [1, 1]


async def test_a_longer_delay_than_the_brokers_is_waited_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus("shop")
    attempts: list[int] = []
    wall_s = [1_000_000.0]
    monkeypatch.setattr("busframe.runtime.wall_s", lambda: wall_s[0])

    @bus.subscribe(OrderPlaced, group="billing", retry=AT_ONCE)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        if len(attempts) == 1:
            raise Later(3000, count=False)

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))

        def is_parked_after(received: int) -> bool:
            # Received is counted before it is parked again; the clocks stand until it is.
            settled = all(consumer.in_hand == 0 for consumer in live.health().consumers)
            return live.counts[BILLING].received == received and settled

        await until(lambda: live.counts[BILLING].retried == 1 and is_parked_after(1))
        for nth in range(3):
            wall_s[0] += 900
            live.backend_as(MemoryBackend).advance(900)
            await until(partial(is_parked_after, nth + 2))
            assert attempts == [1]
        wall_s[0] += 300
        live.backend_as(MemoryBackend).advance(300)
        await until(lambda: live.counts[BILLING].handled == 1)
    assert attempts == [1, 1]


async def test_on_an_ordered_queue_it_keeps_its_place_and_does_not_count() -> None:
    bus = Bus("shop")
    seen: list[tuple[str, int]] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, retry=AT_ONCE)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        seen.append((order.order, delivery.attempt))
        if len(seen) <= 2 * AT_ONCE.attempts:
            raise Later(0, count=False)

    async with running(bus) as live:
        await live.publish(OrderPlaced("first"))
        await live.publish(OrderPlaced("second"))
        await until(lambda: live.counts["shop-billing.fifo"].handled == 2)
    assert seen == [("first", 1)] * 7 + [("second", 1)]


async def test_a_foreign_message_keeps_its_attributes_and_counts_only_where_there_is_no_room() -> None:
    bus = Bus("shop")
    seen: dict[str, list[int]] = {"roomy": [], "full": []}

    @bus.foreign(group="billing", retry=AT_ONCE)
    async def take(message: ForeignMessage, delivery: Delivery[ForeignMessage]) -> None:
        seen[message.body].append(delivery.attempt)
        if len(seen[message.body]) < 3:
            raise Later(0, count=False)

    ten: dict[str, str | bytes] = {f"a{n}": str(n) for n in range(10)}
    async with running(bus) as live:
        backend = live.backend_as(MemoryBackend)
        await backend.send(
            BILLING, [Outgoing(body="roomy", attributes={"a": "1"}), Outgoing(body="full", attributes=ten)]
        )
        await until(lambda: live.counts[BILLING].handled == 2)
    assert seen == {"roomy": [1, 1, 1], "full": [1, 2, 3]}


async def test_if_it_cannot_be_sent_anew_it_is_given_back_and_not_lost() -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", retry=AT_ONCE)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        if len(attempts) == 1:
            raise Later(0, count=False)

    async with running(bus) as live:
        backend = live.backend_as(MemoryBackend)
        await live.publish(OrderPlaced("o1"))
        sending = backend.send_now

        def refuse(*_: object) -> None:
            raise UnavailableError("no route", effect="none")

        backend.send_now = refuse  # type: ignore[assignment,method-assign]
        try:
            await until(lambda: live.counts[BILLING].retried == 1)
        finally:
            backend.send_now = sending  # type: ignore[method-assign]
        await until(lambda: live.counts[BILLING].handled == 1)
    assert attempts == [1, 2]
