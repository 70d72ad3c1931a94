"""The pull form, and queues without types."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from bus.connected import dead_letters, reason_of, until
from bus.orders import OrderCancelled, OrderPlaced, PrintInvoice

from busframe import (
    Bus,
    Drop,
    Later,
    Live,
    PulledDelivery,
    Reject,
    Retry,
    current_delivery,
    current_trace,
    within_trace,
)
from busframe.backend import Plan, QueueSpec
from busframe.errors import ConfigurationError, InvalidArgumentError, LeaseLostError, QueueNotFoundError
from busframe.message import Failed, Outgoing, QueueName
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from busframe import Stream
    from busframe.message import Extension

pytestmark = pytest.mark.anyio

AUDIT = QueueName("shop-audit")
AT_ONCE = Retry(attempts=3, first_s=0)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@asynccontextmanager
async def connected(bus: Bus | None = None) -> AsyncGenerator[Live, None]:
    with anyio.fail_after(20):
        async with (bus or Bus("shop")).connect("memory://") as live:
            yield live


async def left(live: Live, queue: QueueName = AUDIT) -> int:
    stats = await live.queue(queue).stats()
    return stats.visible + stats.in_flight + stats.delayed


async def test_leaving_the_block_acknowledges() -> None:
    async with connected() as live:
        async with live.stream(OrderPlaced, group="audit") as deliveries:
            for n in range(25):
                await live.publish(OrderPlaced(f"o{n}"))
            seen: list[str] = []
            async for delivery in deliveries:
                async with delivery:
                    seen.append(delivery.payload.order)
                    assert delivery.attempt == 1
                if len(seen) == 25:
                    break
        assert sorted(seen) == sorted(f"o{n}" for n in range(25))
        assert live.counts[AUDIT].handled == 25
        assert await left(live) == 0


async def test_an_exception_applies_the_retry_policy_and_the_loop_goes_on() -> None:
    attempts: list[int] = []
    async with connected() as live:
        async with live.stream(OrderPlaced, group="audit", retry=AT_ONCE) as deliveries:
            await live.publish(OrderPlaced("o1"))
            async for delivery in deliveries:
                async with delivery:
                    attempts.append(delivery.attempt)
                    raise ConnectionError("no")
                if len(attempts) == 3:
                    break
            (dead,) = await dead_letters(live, "shop-audit-dead")
        assert reason_of(dead) == "attempt 3 of 3: ConnectionError: no"
        assert await left(live) == 0
    assert attempts == [1, 2, 3]


async def test_later_reject_and_drop_decide_as_in_a_handler() -> None:
    async with connected() as live, live.stream(OrderPlaced, group="audit") as deliveries:
        for order in ("later", "reject", "drop"):
            await live.publish(OrderPlaced(order, customer=order))
        for _ in range(3):
            delivery = await anext(deliveries)
            async with delivery:
                raise {"later": Later(60), "reject": Reject("bad"), "drop": Drop("late")}[delivery.payload.order]
        (dead,) = await dead_letters(live, "shop-audit-dead")
        assert reason_of(dead) == "rejected: bad"
        await until(lambda: live.counts[AUDIT].retried == 1 and live.counts[AUDIT].handled == 1)
        live.backend_as(MemoryBackend).advance(60)
        async with await anext(deliveries) as again:
            assert again.payload.order == "later"
            assert again.attempt == 2


async def test_a_cancellation_gives_the_message_back_at_once_and_goes_on() -> None:
    async with connected() as live, live.stream(OrderPlaced, group="audit", retry=Retry(attempts=1)) as deliveries:
        await live.publish(OrderPlaced("o1"))
        with anyio.CancelScope() as scope:
            async with await anext(deliveries):
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        async with await anext(deliveries) as again:
            assert again.attempt == 2
        await until(lambda: live.counts[AUDIT].handled == 1)
        assert live.counts[AUDIT].dead_lettered == 0


async def test_what_nobody_works_on_is_given_back_when_the_stream_ends() -> None:
    async with connected() as live:
        async with live.stream(OrderPlaced, group="audit", retry=Retry(attempts=1)) as deliveries:
            for n in range(5):
                await live.publish(OrderPlaced(f"o{n}", customer=f"c{n}"))
            taken = await anext(deliveries)
            await until(lambda: live.counts[AUDIT].received == 5)
        stats = await live.queue(AUDIT).stats()
        assert (stats.visible, stats.in_flight) == (5, 0)
        assert live.counts[AUDIT].dead_lettered == 0
        with pytest.raises(ConfigurationError, match="inside its stream"):
            async with taken:
                pass
        with pytest.raises(StopAsyncIteration):
            await anext(deliveries)


async def test_a_loop_in_another_task_ends_when_the_stream_ends() -> None:
    seen: list[str] = []
    async with connected() as live, anyio.create_task_group() as tasks:

        async def work(deliveries: Stream[OrderPlaced]) -> None:
            async for delivery in deliveries:
                async with delivery:
                    seen.append(delivery.payload.order)

        async with live.stream(OrderPlaced, group="audit") as deliveries:
            tasks.start_soon(work, deliveries)
            tasks.start_soon(work, deliveries)
            await live.publish(OrderPlaced("o1"))
            await until(lambda: bool(seen))
    assert seen == ["o1"]


async def test_no_more_than_prefetch_deliveries_are_in_hand() -> None:
    async with connected() as live, live.stream(OrderPlaced, group="audit", prefetch=2) as deliveries:
        for n in range(5):
            await live.publish(OrderPlaced(f"o{n}", customer=f"c{n}"))
        async with await anext(deliveries), await anext(deliveries):
            await until(lambda: live.counts[AUDIT].received == 2)
            stats = await live.queue(AUDIT).stats()
            assert (stats.visible, stats.in_flight) == (3, 2)


async def test_a_block_whose_lease_is_lost_is_cancelled_and_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def too_late(_: MemoryBackend, __: QueueName, batch: Sequence[Extension]) -> list[Failed]:
        return [Failed(error=LeaseLostError("too late"))] * len(batch)

    async with connected() as live, live.stream(OrderPlaced, group="audit", lease_s=2) as deliveries:
        await live.publish(OrderPlaced("o1"))
        async with await anext(deliveries) as delivery:
            monkeypatch.setattr(MemoryBackend, "extend", too_late)
            seen.append(delivery.payload.order)
            await anyio.sleep_forever()
        monkeypatch.undo()
        await live.publish(OrderPlaced("o2"))
        async with await anext(deliveries) as delivery:
            seen.append(delivery.payload.order)
        await until(lambda: live.counts[AUDIT].handled == 1)
        assert live.counts[AUDIT].lost == 1
    assert seen == ["o1", "o2"]


async def test_a_delivery_is_worked_on_once() -> None:
    async with connected() as live, live.stream(OrderPlaced, group="audit") as deliveries:
        await live.publish(OrderPlaced("o1"))
        delivery = await anext(deliveries)
        async with delivery:
            with pytest.raises(ConfigurationError, match="once"):
                async with delivery:
                    pass
        with pytest.raises(ConfigurationError, match="once"):
            async with delivery:
                pass


async def test_what_is_sent_inside_the_block_names_its_cause_and_nothing_is_left_of_it_behind() -> None:
    async with (
        connected() as live,
        live.stream(OrderPlaced, group="audit") as placed,
        live.stream(OrderCancelled, group="more") as cancelled,
    ):
        with within_trace(PARENT):
            await live.publish(OrderPlaced("o1"))
        async with await anext(placed) as first:
            assert current_delivery() is first
            await live.publish(OrderCancelled("o1"))
        assert current_delivery() is None
        assert current_trace() is None
        async with await anext(cancelled) as second:
            assert second.headers.causation_id == first.headers.id
            assert second.trace is not None
            assert second.trace.traceparent == PARENT


async def test_commands_can_be_pulled_and_ordered_streams_keep_the_order() -> None:
    async with connected() as live:
        async with live.stream(PrintInvoice) as commands:
            await live.send(PrintInvoice("o1"))
            async with await anext(commands) as command:
                assert command.payload == PrintInvoice("o1")
        async with live.stream(OrderPlaced, group="audit", ordered=True) as deliveries:
            for n in range(5):
                await live.publish(OrderPlaced(f"o{n}"))
            seen: list[str] = []
            for _ in range(5):
                async with await anext(deliveries) as delivery:
                    seen.append(delivery.payload.order)
        assert seen == ["o0", "o1", "o2", "o3", "o4"]


async def test_an_undecodable_message_is_dead_lettered_and_not_seen() -> None:
    async with connected() as live, live.stream(OrderPlaced, group="audit") as deliveries:
        await live.queue("shop-audit").send("not a message of a bus")
        (dead,) = await dead_letters(live, "shop-audit-dead")
        assert "not sent by a bus" in reason_of(dead)
        await live.publish(OrderPlaced("o1"))
        async with await anext(deliveries) as delivery:
            assert delivery.payload.order == "o1"


async def test_a_stream_can_be_handled_once() -> None:
    bus = Bus("shop")
    with anyio.fail_after(20):
        async with bus.connect("memory://", inbox="memory://") as live:
            await live.inbox.run(lambda db: db.execute("CREATE TABLE seen (order_)"))
            async with live.stream(OrderPlaced, group="audit", once=True, prefetch=1) as deliveries:
                await live.publish(OrderPlaced("o1"))
                async with await anext(deliveries) as delivery:
                    delivery.transaction.execute("INSERT INTO seen VALUES ('o1')")
                await until(lambda: live.counts[AUDIT].handled == 1)
            assert await live.inbox.run(lambda db: db.execute("SELECT * FROM seen").fetchall()) == [("o1",)]


async def test_mistakes_with_streams_are_named() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="audit")
    async def audit(order: OrderPlaced) -> None: ...

    async with connected(bus) as live:
        with pytest.raises(InvalidArgumentError, match="group=None"):
            live.stream(OrderPlaced)
        with pytest.raises(InvalidArgumentError, match="group='x'"):
            live.stream(PrintInvoice, group="x")
        with pytest.raises(InvalidArgumentError, match="prefetch"):
            live.stream(OrderPlaced, group="other", prefetch=0)
        with pytest.raises(ConfigurationError, match="compete"):
            async with live.stream(OrderCancelled, group="audit"):
                pass
        with pytest.raises(ConfigurationError, match="no inbox"):
            async with live.stream(OrderCancelled, group="other", once=True):
                pass


async def test_a_queue_without_types_carries_bodies_and_attributes_as_they_are() -> None:
    bus = Bus("shop")
    bus.foreign(queue="uploads")(ignore)
    async with connected(bus) as live:
        channel = live.queue("uploads")
        await channel.send("a;b", attributes={"by": "ada", "raw": b"\x00"})
        (received,) = await live.backend_as(MemoryBackend).receive(QueueName("uploads"), limit=1, wait_s=1, lease_s=30)
        assert (received.body, received.attributes) == ("a;b", {"by": "ada", "raw": b"\x00"})
        await channel.send("later", delay_s=60)
        assert (await channel.stats()).delayed == 1


async def ignore(_: object) -> None: ...


async def test_a_queue_without_types_is_read_by_whoever_settles_its_deliveries() -> None:
    other = Bus("elsewhere")
    other.foreign(queue="uploads")(ignore)
    async with connected(other) as live:
        with pytest.raises(ConfigurationError, match="compete"):
            async with live.queue("uploads").receive():
                pass
    async with connected() as live:
        backend = live.backend_as(MemoryBackend)
        await make(live, "uploads", "uploads-dead")
        for body in ("good", "bad"):
            await live.queue("uploads").send(body)
        async with live.queue("uploads").receive() as deliveries:
            for _ in range(2):
                async with await anext(deliveries) as delivery:
                    if delivery.payload.body == "bad":
                        raise Reject("bad")
            (dead,) = await dead_letters(live, "uploads-dead")
        assert dead.body == "bad"
        assert (await backend.stats(QueueName("uploads"))).visible == 0


async def make(live: Live, *names: str) -> None:
    await live.backend_as(MemoryBackend).provision(Plan(queues=tuple(QueueSpec(name=QueueName(n)) for n in names)))


async def test_a_message_of_a_bus_can_be_read_without_its_type() -> None:
    bus = Bus("shop")
    bus.subscribe(OrderPlaced, group="audit")(ignore)
    async with connected(bus) as live:
        await live.publish(OrderPlaced("o1"))
        (received,) = await live.backend_as(MemoryBackend).receive(AUDIT, limit=1, wait_s=1, lease_s=0)
    async with connected() as live:
        await make(live, "copies")
        await live.backend_as(MemoryBackend).send(
            QueueName("copies"), [Outgoing(body=received.body, attributes=received.attributes)]
        )
        async with live.queue("copies").receive() as deliveries, await anext(deliveries) as delivery:
            assert isinstance(delivery, PulledDelivery)
            assert delivery.payload.json() == {"order": "o1", "customer": "ada"}
            assert "busframe" in delivery.payload.attributes


async def test_bad_bodies_and_missing_queues_are_named_and_spoil_no_batch() -> None:
    async with connected() as live:
        with pytest.raises(QueueNotFoundError):
            await live.queue("nowhere").send("x")
        with pytest.raises(InvalidArgumentError, match="body"):
            await live.queue("nowhere").send("")
        with pytest.raises(InvalidArgumentError, match="delay_s"):
            await live.queue("nowhere").send("x", delay_s=901)
        with pytest.raises(InvalidArgumentError, match="deduplication_id"):
            await live.queue("nowhere").send("x", deduplication_id="d")
        with pytest.raises(InvalidArgumentError, match="group"):
            await live.queue("nowhere.fifo").send("x")
        with pytest.raises(InvalidArgumentError, match="name"):
            live.queue("no where")
