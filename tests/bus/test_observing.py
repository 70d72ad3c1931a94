"""What an observer is told, and that it cannot harm."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import pytest
from bus.connected import fail_next, running, until
from bus.orders import OrderPlaced, PrintInvoice

from busframe import Bus, Delivery, Drop, Later, PublishError, Reject, Retry, TraceContext, current_trace
from busframe.errors import UnavailableError
from busframe.message import QueueName
from busframe.observing import (
    Called,
    Connection,
    DeadLettered,
    Event,
    Handled,
    Handling,
    LeaseLost,
    Observer,
    PollFailed,
    Produced,
    Producing,
    Received,
    Retried,
)

if TYPE_CHECKING:
    from busframe.observing import Watch

pytestmark = pytest.mark.anyio

E = TypeVar("E")
BILLING = QueueName("shop-billing")
TRACE = TraceContext("00-" + "a" * 32 + "-" + "b" * 16 + "-01")


@dataclass
class Seen(Observer):
    events: list[Event] = field(default_factory=list[Event])
    connections: list[Connection] = field(default_factory=list[Connection])

    def connected(self, connection: Connection) -> Observer:
        self.connections.append(connection)
        return self

    def note(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


async def test_one_message_is_told_of_from_the_publish_to_the_settlement() -> None:
    bus, seen = Bus("shop"), Seen()
    bus.observe(seen)

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1", "ada"))
        await until(lambda: any(call.action == "settle" for call in seen.of(Called)))
    assert seen.connections == [Connection(bus="shop", scheme="memory")]
    (produced,) = seen.of(Produced)
    assert produced.producing == Producing(
        operation="publish", message_type="shop.order.placed", destination="shop.order.placed"
    )
    assert produced.accepted == (BILLING,)
    assert produced.error is None
    assert produced.duration_s >= 0
    assert seen.of(Received) == [Received(queue=BILLING, group="shop/billing", count=1, redelivered=0)]
    (handled,) = seen.of(Handled)
    assert (handled.outcome, handled.error, handled.handling.group) == ("done", None, "shop/billing")
    assert handled.handling.delivery.headers.id == produced.message_id
    calls = {(call.action, call.entries, call.failed, call.error) for call in seen.of(Called)}
    assert {("send", 1, 0, None), ("receive", 1, 0, None), ("settle", 1, 0, None)} <= calls


@pytest.mark.parametrize(
    ("error", "outcome", "after"),
    [
        (ValueError("no"), "failed", Retried),
        (Later(0), "later", Retried),
        (Reject("bad"), "rejected", DeadLettered),
        (Drop("old"), "dropped", None),
        (ExceptionGroup("tasks", [Reject("bad")]), "rejected", DeadLettered),
    ],
)
async def test_what_a_handler_raises_is_told_and_what_becomes_of_the_message(
    error: Exception, outcome: str, after: type[Event] | None
) -> None:
    bus, seen = Bus("shop"), Seen()
    bus.observe(seen)

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(first_s=0))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if delivery.attempt == 1:
            raise error

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1", "ada"))
        counts = live.counts[BILLING]
        await until(lambda: counts.handled + counts.dead_lettered == 1)
    first = seen.of(Handled)[0]
    assert (first.outcome, first.error) == (outcome, error)
    told = seen.of(Retried) + seen.of(DeadLettered)
    assert [type(event) for event in told] == ([after] if after else [])
    for event in told:
        assert (event.queue, event.group, event.attempt) == (BILLING, "shop/billing", 1)
        assert event.delivery is not None
        assert event.delivery.payload == OrderPlaced("o1", "ada")


async def test_a_message_nobody_can_read_is_told_of_without_a_delivery() -> None:
    bus, seen = Bus("shop"), Seen()
    bus.observe(seen)

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with running(bus) as live:
        await live.queue(BILLING).send("not from a bus")
        await until(lambda: live.counts[BILLING].dead_lettered == 1)
        assert live.counts[BILLING].unopened.dead_lettered == 1
    (dead,) = seen.of(DeadLettered)
    assert dead.delivery is None
    assert "not sent by a bus" in dead.reason
    assert not seen.of(Handled)


async def test_a_publish_that_fails_says_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    bus, seen = Bus("shop"), Seen()
    bus.observe(seen)

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with bus.connect("memory://") as live:
        fail_next(live, "send", [UnavailableError("down")] * 9, monkeypatch)
        with pytest.raises(PublishError) as raised:
            await live.publish(OrderPlaced("o1", "ada"))
        assert live.sent["shop.order.placed"].failed == 1
        assert live.sent["shop.order.placed"].messages == 0
    (produced,) = seen.of(Produced)
    assert produced.error is raised.value
    assert list(produced.failed) == [BILLING]
    assert produced.accepted == ()


async def test_polls_that_fail_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    bus, seen = Bus("shop"), Seen()
    bus.observe(seen)

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with bus.connect("memory://") as live:
        fail_next(live, "receive", [UnavailableError("down")], monkeypatch)
        async with live.running():
            await until(lambda: bool(seen.of(PollFailed)))
            await live.publish(OrderPlaced("o1", "ada"))
            await until(lambda: live.counts[BILLING].handled == 1)
    (failed,) = seen.of(PollFailed)
    assert (failed.queue, failed.group, failed.failures, failed.state) == (BILLING, "shop/billing", 1, "backing off")


async def test_an_interrupted_handler_is_told_of_as_such() -> None:
    bus, seen = Bus("shop"), Seen()
    bus.observe(seen)
    begun = anyio.Event()

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None:
        begun.set()
        await anyio.sleep_forever()

    async with bus.connect("memory://") as live:
        async with live.running(drain_s=0):
            await live.publish(OrderPlaced("o1", "ada"))
            await begun.wait()
            assert live.counts[BILLING].handlers["shop.order.placed"].running == 1
        assert live.counts[BILLING].handlers["shop.order.placed"].running == 0
    assert [handled.outcome for handled in seen.of(Handled)] == ["interrupted"]
    assert not seen.of(LeaseLost)


async def test_an_observer_may_give_a_message_its_trace_context_and_the_senders_is_as_before() -> None:
    @dataclass
    class Tracing(Observer):
        trace: TraceContext | None = TRACE

        def producing(self, producing: Producing) -> Watch:  # noqa: ARG002 - of whatever
            return self

        def end(self, event: Produced | Handled) -> None: ...

    bus = Bus("shop")
    bus.observe(Tracing())
    traces: list[TraceContext | None] = []

    @bus.handle(PrintInvoice)
    async def print_invoice(_: PrintInvoice, delivery: Delivery[PrintInvoice]) -> None:
        traces.append(delivery.trace)

    async with running(bus) as live:
        await live.send(PrintInvoice("o1"))
        assert current_trace() is None
        await until(lambda: len(traces) == 1)
    assert traces == [TRACE]


async def test_what_an_observer_raises_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Observer):
        def note(self, event: Event) -> None:
            raise RuntimeError(type(event).__name__)

        def producing(self, producing: Producing) -> Watch | None:
            raise RuntimeError(producing.operation)

        def handling(self, handling: Handling) -> Watch | None:
            raise RuntimeError(handling.queue)

    bus, seen = Bus("shop"), Seen()
    bus.observe(Broken())
    bus.observe(seen)
    handled: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        handled.append(order.order)

    with caplog.at_level(logging.ERROR, "busframe"):
        async with running(bus) as live:
            await live.publish(OrderPlaced("o1", "ada"))
            await until(lambda: live.counts[BILLING].handled == 1)
    assert handled == ["o1"]
    assert seen.of(Produced)
    assert {record.getMessage() for record in caplog.records} == {"an observer failed"}


async def test_each_handler_of_a_group_is_counted_by_itself() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(first_s=0))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if delivery.attempt == 1:
            raise ValueError

    @bus.foreign(group="billing")
    async def other(_: Any) -> None: ...

    async with running(bus) as live:
        assert set(live.counts[BILLING].handlers) == {"shop.order.placed", "(foreign)"}
        await live.publish(OrderPlaced("o1", "ada"))
        await live.queue(BILLING).send("from somewhere else")
        await until(lambda: live.counts[BILLING].handled == 2)
        orders, foreign = (live.counts[BILLING].handlers[name] for name in ("shop.order.placed", "(foreign)"))
        assert (orders.calls, orders.failed, orders.retried, orders.handled) == (2, 1, 1, 1)
        assert (foreign.calls, foreign.failed, foreign.retried, foreign.handled) == (1, 0, 0, 1)
        assert orders.durations.count == 2
        assert orders.durations.sum_s >= 0
        assert live.sent["shop.order.placed"].messages == live.sent["shop.order.placed"].copies == 1
