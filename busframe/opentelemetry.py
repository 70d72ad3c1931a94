"""OpenTelemetry: spans and metrics, by its semantic conventions for messaging.

    from busframe.opentelemetry import OpenTelemetry

    bus.observe(OpenTelemetry())

Needs `opentelemetry-api` alone (`busframe[otel]`). What becomes of spans and metrics is for the SDK that the
application sets up; without one there are none, and the trace context is handed on all the same.

Each publish and each send is a span of kind PRODUCER, whose context travels in the message; each call of a handler is
one of kind CONSUMER, its child and linked to it. docs/observability.md lists names and attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe.errors import MissingExtraError
from busframe.observing import Called, DeadLettered, Handled, LeaseLost, Observer, PollFailed, Produced, Retried
from busframe.tracing import TraceContext, current_trace

try:
    from opentelemetry import context as otel_context
    from opentelemetry import trace
    from opentelemetry.metrics import get_meter_provider
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise MissingExtraError(package="opentelemetry-api", extra="otel", needed_for="busframe.opentelemetry") from error

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from busframe.observing import Connection, Event, Handling, Producing, Watch

SCOPE: Final = "busframe"

SYSTEMS: Final = {"sqs": "aws_sqs"}
"""What the conventions call a broker they know; the others go by the name of their URL's scheme."""

# OpenTelemetry, "Semantic conventions for messaging client metrics": the advice for all its histograms.
_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

_PROPAGATOR: Final = TraceContextTextMapPropagator()


class OpenTelemetry(Observer):
    """Makes spans and metrics of what happens on the connections of a bus.

    Args:
        tracer_provider: None is the global one.
        meter_provider: None is the global one.
        parented: have the spans of handlers be children of the message's; False links them only, and each delivery
            begins a trace of its own.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        parented: bool = True,
    ) -> None:
        self._tracer = (tracer_provider or trace.get_tracer_provider()).get_tracer(SCOPE)
        self._instruments = _Instruments(meter_provider or get_meter_provider())
        self._parented = parented

    def connected(self, connection: Connection) -> Observer:
        """Watch a connection."""
        system = SYSTEMS.get(connection.scheme, connection.scheme)
        return _OfConnection(self._tracer, self._instruments, system, parented=self._parented)


class _Instruments:
    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(SCOPE)
        self.sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Copies of messages that the broker was asked to take."
        )
        self.consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Messages that consumers have taken."
        )
        self.calls = meter.create_histogram(
            "messaging.client.operation.duration",
            "s",
            "How long the broker took to answer a call.",
            explicit_bucket_boundaries_advisory=_BOUNDS_S,
        )
        self.handled = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "How long handlers took.",
            explicit_bucket_boundaries_advisory=_BOUNDS_S,
        )
        self.retried = meter.create_counter(
            "busframe.retried.messages",
            "{message}",
            "Messages that were given back, or kept in hand, to be tried again.",
        )
        self.dead_lettered = meter.create_counter(
            "busframe.dead_lettered.messages", "{message}", "Messages that were moved to a dead-letter queue."
        )
        self.lost = meter.create_counter("busframe.lost.leases", "{lease}", "Leases that ended too early.")
        self.polls_failed = meter.create_counter("busframe.failed.polls", "{call}", "Receives that failed.")


class _OfConnection(Observer):
    def __init__(self, tracer: Tracer, instruments: _Instruments, system: str, *, parented: bool) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._system = system
        self._parented = parented

    # --- spans ------------------------------------------------------------------------------------------------------

    def producing(self, producing: Producing) -> Watch:
        parent = otel_context.get_current()
        if not trace.get_current_span(parent).get_span_context().is_valid:
            # Not in a span: what the application has said itself, or the message being handled.
            parent = _context_of(current_trace(), parent)
        span = self._tracer.start_span(
            f"{producing.operation} {producing.destination}",
            parent,
            SpanKind.PRODUCER,
            {
                **self._attributes(producing.operation, "send", producing.destination),
                "busframe.message.type": producing.message_type,
            },
        )
        return _ProducerSpan(span)

    def handling(self, handling: Handling) -> Watch:
        headers = handling.delivery.headers
        # Not the context that runs here: that is of whoever started the consumer, long ago.
        sent_in = _context_of(headers.trace, otel_context.Context())
        origin = trace.get_current_span(sent_in).get_span_context()
        attributes: dict[str, str | int] = {
            **self._attributes("process", "process", handling.queue),
            "messaging.message.id": headers.id,
            "messaging.message.conversation_id": headers.correlation_id or headers.id,
            "busframe.message.type": headers.type,
            "busframe.delivery.message_id": handling.delivery.message_id,
            "busframe.delivery.attempt": handling.delivery.attempt,
        }
        if handling.group:
            attributes["messaging.consumer.group.name"] = handling.group
        span = self._tracer.start_span(
            f"process {handling.queue}",
            sent_in if self._parented else otel_context.Context(),
            SpanKind.CONSUMER,
            attributes,
            links=[trace.Link(origin)] if headers.trace is not None and origin.is_valid else None,
        )
        return _ConsumerSpan(span)

    # --- metrics ----------------------------------------------------------------------------------------------------

    def note(self, event: Event) -> None:
        match event:
            case Called():
                self._note_call(event)
            case Handled():
                attributes = self._attributes("process", "process", event.handling.queue)
                if event.handling.group:
                    attributes["messaging.consumer.group.name"] = event.handling.group
                if _is_fault(event):
                    attributes["error.type"] = _error_type(event)
                attributes["busframe.message.type"] = event.handling.delivery.headers.type
                self._instruments.handled.record(event.duration_s, attributes)
            case Retried():
                self._instruments.retried.add(1, self._of_group(event))
            case DeadLettered():
                self._instruments.dead_lettered.add(1, self._of_group(event))
            case LeaseLost():
                self._instruments.lost.add(1, self._of_group(event))
            case PollFailed():
                attributes = self._of_group(event)
                attributes["error.type"] = type(event.error).__qualname__
                self._instruments.polls_failed.add(1, attributes)
            case _:
                pass

    def _note_call(self, event: Called) -> None:
        kind = event.action if event.action in {"send", "receive"} else "settle"
        attributes = self._attributes(event.action, kind, event.queue)
        del attributes["messaging.operation.type"]
        if event.action == "receive":
            if event.entries:
                self._instruments.consumed.add(event.entries, attributes)
        elif event.action == "send":
            failed = event.entries if event.error is not None else event.failed
            if event.entries > failed:
                self._instruments.sent.add(event.entries - failed, attributes)
            if failed:
                why = "entry" if event.error is None else type(event.error).__qualname__
                self._instruments.sent.add(failed, {**attributes, "error.type": why})
        if event.error is not None:
            attributes["error.type"] = type(event.error).__qualname__
        attributes["messaging.operation.type"] = kind
        self._instruments.calls.record(event.duration_s, attributes)

    def _of_group(self, event: Retried | DeadLettered | LeaseLost | PollFailed) -> dict[str, str]:
        attributes = {"messaging.system": self._system, "messaging.destination.name": str(event.queue)}
        if event.group:
            attributes["messaging.consumer.group.name"] = event.group
        return attributes

    def _attributes(self, name: str, kind: str, destination: str) -> dict[str, str]:
        return {
            "messaging.system": self._system,
            "messaging.operation.name": name,
            "messaging.operation.type": kind,
            "messaging.destination.name": destination,
        }


class _ProducerSpan:
    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Token[Context] = otel_context.attach(trace.set_span_in_context(span))
        self.trace = _trace_of(span)

    def end(self, event: Produced | Handled) -> None:
        otel_context.detach(self._token)
        if isinstance(event, Produced) and event.message_id is not None:
            self._span.set_attribute("messaging.message.id", event.message_id)
            self._span.set_attribute("messaging.message.conversation_id", event.correlation_id or event.message_id)
            self._span.set_attribute("busframe.recipients", list(event.accepted))
            if event.failed:
                self._span.set_attribute("busframe.failed_recipients", list(event.failed))
        _end(self._span, event.error)


class _ConsumerSpan:
    trace: TraceContext | None = None

    def __init__(self, span: Span) -> None:
        self._span = span
        self._token: Token[Context] = otel_context.attach(trace.set_span_in_context(span))

    def end(self, event: Produced | Handled) -> None:
        otel_context.detach(self._token)
        if isinstance(event, Handled):
            self._span.set_attribute("busframe.outcome", event.outcome)
            if event.outcome == "lost":
                self._span.set_attribute("error.type", _error_type(event))
                self._span.set_status(Status(StatusCode.ERROR, "the lease was lost"))
            _end(self._span, event.error if event.outcome in {"failed", "rejected"} else None)


def _is_fault(event: Handled) -> bool:
    """Whether it is an error of the handler, or a decision of its."""
    return event.outcome in {"failed", "rejected", "lost"}


def _error_type(event: Handled) -> str:
    return event.outcome if event.error is None or event.outcome == "lost" else type(event.error).__qualname__


def _end(span: Span, error: BaseException | None) -> None:
    if error is not None:
        span.record_exception(error)
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(Status(StatusCode.ERROR, str(error)))
    span.end()


def _trace_of(span: Span) -> TraceContext | None:
    """The context of a span as a message carries it; None if there is none, so nothing is to be changed."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span, otel_context.Context()))
    if "traceparent" not in carrier:
        return None
    return TraceContext(carrier["traceparent"], carrier.get("tracestate") or None)


def _context_of(sent_in: TraceContext | None, otherwise: Context) -> Context:
    if sent_in is None:
        return otherwise
    carrier = {"traceparent": sent_in.traceparent}
    if sent_in.tracestate:
        carrier["tracestate"] = sent_in.tracestate
    return _PROPAGATOR.extract(carrier, otherwise)
