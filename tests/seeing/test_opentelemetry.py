"""Spans and metrics, as OpenTelemetry's own SDK records them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from bus.connected import running, until
from bus.orders import OrderPlaced, PrintInvoice
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from busframe import Bus, Delivery, Drop, Reject, Retry, current_trace, within_trace
from busframe.opentelemetry import OpenTelemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe import Live

pytestmark = pytest.mark.anyio

BILLING = "shop-billing"
TRACEPARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@dataclass
class Recorded:
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    tracers: TracerProvider = field(default_factory=TracerProvider)

    def __post_init__(self) -> None:
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def observer(self, *, parented: bool = True) -> OpenTelemetry:
        meters = MeterProvider([self.reader])
        return OpenTelemetry(tracer_provider=self.tracers, meter_provider=meters, parented=parented)

    def span(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def points(self, name: str) -> list[tuple[Mapping[str, Any], Any]]:
        data: Any = self.reader.get_metrics_data()
        return [
            (dict(point.attributes), point)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def ids(span: ReadableSpan) -> tuple[int, int]:
    context: Any = span.get_span_context()
    return context.trace_id, context.span_id


async def handled(live: Live, count: int = 1) -> None:
    await until(lambda: sum(counts.handled + counts.dead_lettered for counts in live.counts.values()) == count)


async def test_a_handler_is_the_child_of_the_publish_and_what_it_sends_is_its_own(recorded: Recorded) -> None:
    bus = Bus("shop")
    bus.observe(recorded.observer())
    deliveries: list[Delivery[Any]] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        deliveries.append(delivery)
        await live.send(PrintInvoice(order.order))

    @bus.handle(PrintInvoice)
    async def print_invoice(_: PrintInvoice) -> None: ...

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1", "ada"))
        await handled(live, 2)
        assert not trace.get_current_span().get_span_context().is_valid

    publish = recorded.span("publish shop.order.placed")
    process = recorded.span("process shop-billing")
    send = recorded.span("send shop-invoice-print")
    printed = recorded.span("process shop-invoice-print")
    assert {ids(span)[0] for span in (publish, process, send, printed)} == {ids(publish)[0]}
    assert [span.parent and span.parent.span_id for span in (publish, process, send, printed)] == [
        None,
        *(ids(span)[1] for span in (publish, process, send)),
    ]
    assert [link.context.span_id for link in process.links] == [ids(publish)[1]]
    assert (publish.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert dict(publish.attributes or {}) == {
        "messaging.system": "memory",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "shop.order.placed",
        "messaging.message.id": deliveries[0].headers.id,
        "messaging.message.conversation_id": deliveries[0].headers.id,
        "busframe.message.type": "shop.order.placed",
        "busframe.recipients": (BILLING,),
    }
    assert dict(process.attributes or {}) == {
        "messaging.system": "memory",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": BILLING,
        "messaging.consumer.group.name": "shop/billing",
        "messaging.message.id": deliveries[0].headers.id,
        "messaging.message.conversation_id": deliveries[0].headers.id,
        "busframe.message.type": "shop.order.placed",
        "busframe.delivery.message_id": deliveries[0].message_id,
        "busframe.delivery.attempt": 1,
        "busframe.outcome": "done",
    }
    assert (printed.attributes or {})["messaging.message.conversation_id"] == deliveries[0].headers.id
    assert process.status.status_code is StatusCode.UNSET


async def test_each_attempt_is_a_span_and_a_failure_an_error(recorded: Recorded) -> None:
    bus = Bus("shop")
    bus.observe(recorded.observer())

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=3, first_s=0))
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if order.order == "dropped":
            raise Drop("not for us")
        if order.order == "rejected":
            raise Reject("nobody")
        if delivery.attempt == 1:
            raise LookupError("no such customer")

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1", "ada"))
        await handled(live, 1)
        first, second = recorded.spans("process shop-billing")
        await live.publish(OrderPlaced("dropped", "ada"))
        await handled(live, 2)
        await live.publish(OrderPlaced("rejected", "ada"))
        await handled(live, 3)
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "no such customer")
    assert [event.name for event in first.events] == ["exception"]
    assert (first.attributes or {})["error.type"] == "LookupError"
    assert second.status.status_code is StatusCode.UNSET
    dropped, rejected = recorded.spans("process shop-billing")[2:]
    assert dropped.status.status_code is StatusCode.UNSET
    assert rejected.status.status_code is StatusCode.ERROR
    assert [point.value for _, point in recorded.points("busframe.retried.messages")] == [1]
    assert [point.value for _, point in recorded.points("busframe.dead_lettered.messages")] == [1]


async def test_a_publish_in_a_span_of_the_application_is_its_child(recorded: Recorded) -> None:
    bus = Bus("shop")
    bus.observe(recorded.observer())

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with running(bus) as live:
        with recorded.tracers.get_tracer("app").start_as_current_span("request") as request:
            await live.publish(OrderPlaced("o1", "ada"))
            assert trace.get_current_span() is request
        with within_trace(TRACEPARENT):
            await live.publish(OrderPlaced("o2", "ada"))
        await handled(live, 2)
    in_span, in_trace = recorded.spans("publish shop.order.placed")
    assert in_span.parent is not None
    assert in_span.parent.span_id == request.get_span_context().span_id
    assert in_trace.parent is not None
    assert in_trace.parent.span_id == int("b" * 16, 16)


async def test_handlers_may_be_linked_only(recorded: Recorded) -> None:
    bus = Bus("shop")
    bus.observe(recorded.observer(parented=False))

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1", "ada"))
        await handled(live)
    process = recorded.span("process shop-billing")
    assert process.parent is None
    assert [ids(recorded.span("publish shop.order.placed"))] == [
        (link.context.trace_id, link.context.span_id) for link in process.links
    ]


async def test_metrics_follow_the_conventions(recorded: Recorded) -> None:
    bus = Bus("shop")
    bus.observe(recorded.observer())

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=1))
    async def bill(order: OrderPlaced) -> None:
        if order.order == "o2":
            raise LookupError

    async with running(bus) as live:
        for order in ("o1", "o2"):
            await live.publish(OrderPlaced(order, "ada"))
        await handled(live, 2)
    place = {"messaging.system": "memory", "messaging.destination.name": BILLING}
    sent = recorded.points("messaging.client.sent.messages")
    assert ({**place, "messaging.operation.name": "send"}, 2) in [(where, point.value) for where, point in sent]
    consumed = recorded.points("messaging.client.consumed.messages")
    assert [(where, point.value) for where, point in consumed] == [
        ({**place, "messaging.operation.name": "receive"}, 2)
    ]
    process = {
        **place,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "shop/billing",
        "busframe.message.type": "shop.order.placed",
    }
    points = recorded.points("messaging.process.duration")
    durations = {str(where.get("error.type")): (where, point) for where, point in points}
    assert durations["None"][0] == process
    assert durations["LookupError"][0] == {**process, "error.type": "LookupError"}
    assert all(point.count == 1 and point.explicit_bounds[0] == 0.005 for _, point in durations.values())
    calls = recorded.points("messaging.client.operation.duration")
    assert {(where["messaging.operation.name"], where["messaging.operation.type"]) for where, _ in calls} == {
        ("send", "send"),
        ("receive", "receive"),
        ("settle", "settle"),
    }


async def test_without_an_sdk_the_trace_context_is_handed_on() -> None:
    bus = Bus("shop")
    bus.observe(OpenTelemetry())  # the global provider, and nobody has set one up
    seen: list[Any] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        seen.append((delivery.trace, current_trace()))

    async with running(bus) as live:
        with within_trace(TRACEPARENT, "vendor=1"):
            await live.publish(OrderPlaced("o1", "ada"))
        await live.publish(OrderPlaced("o2", "ada"))
        await handled(live, 2)
    (first, current), second = seen
    assert (first.traceparent, first.tracestate) == (TRACEPARENT, "vendor=1")
    assert current == first
    assert second == (None, None)


def test_a_missing_package_is_named_with_the_extra_that_brings_it() -> None:
    program = "import sys; sys.modules['opentelemetry'] = None\nimport busframe.opentelemetry"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "needs the package 'opentelemetry-api': pip install 'busframe[otel]'" in run.stderr
