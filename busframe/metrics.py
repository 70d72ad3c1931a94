"""The metrics of a connection, as families of samples and in the text format of Prometheus.

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(await live.metrics(), media_type=CONTENT_TYPE)

Labels are the queues, groups and message types that the program declares: their number does not grow with traffic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe._consume.counts import BOUNDS_S
from busframe.errors import BackendError
from busframe.samples import CONTENT_TYPE, Family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from busframe._consume.counts import Counts, Durations, HandlerCounts
    from busframe._consume.health import ConsumerHealth, Health
    from busframe.backend import QueueStats
    from busframe.samples import Kind, Sample, Together
    from busframe.sending_side import SentCounts

__all__ = ["CONTENT_TYPE", "NO_HANDLER", "families", "queue_families"]

NO_HANDLER: Final = "(none)"
"""Stands for the handler where a message reached none."""

_Labels = dict[str, str]

_OF_HANDLERS: Final = (
    ("handled", "Messages acknowledged after their handler."),
    ("retried", "Messages given back, or kept in hand, to be tried again."),
    ("dead_lettered", "Messages moved to the dead-letter queue."),
    ("unsettled", "Messages whose broker did not hear what became of them."),
)


def families(
    *, counts: Mapping[str, Counts], sent: Mapping[str, SentCounts], calls: Mapping[str, int], health: Health
) -> tuple[Family, ...]:
    """What a connection has done and how it is; docs/observability.md says what there is.

    Args:
        counts: what consumers have done, by queue.
        sent: by message type.
        calls: of the broker, by action.
        health: of the consumers.
    """
    page = _Page()
    _add_sent(page, sent)
    _add_consumed(page, counts)
    _add_health(page, health)
    page.add("backend_calls_total", "counter", "Calls of the broker.", [({"action": a}, n) for a, n in calls.items()])
    return page.families


def queue_families(stats: Mapping[str, QueueStats | BackendError]) -> tuple[Family, ...]:
    """How full queues are.

    Args:
        stats: by queue; an error where the broker did not tell.
    """
    page = _Page()
    told = {queue: full for queue, full in stats.items() if not isinstance(full, BackendError)}

    def gauge(name: str, help_text: str, value: Callable[[QueueStats], float | None]) -> None:
        values = ((queue, value(full)) for queue, full in told.items())
        samples = [({"queue": queue}, n) for queue, n in values if n is not None]
        # Not the sum: each process is told of the same messages.
        page.add(f"queue_{name}", "gauge", help_text, samples, together="max")

    gauge("messages_visible", "Messages that can be received.", lambda full: full.visible)
    gauge("messages_in_flight", "Messages received and not settled.", lambda full: full.in_flight)
    gauge("messages_delayed", "Messages sent and not yet due.", lambda full: full.delayed)
    # Nothing where the broker does not tell (Amazon SQS): zero would say that nothing is old.
    gauge("oldest_message_age_seconds", "Time since the oldest message was sent.", _oldest_age_s)
    # Nothing where the broker does not count them.
    arrived = [({"queue": queue}, full.arrived) for queue, full in told.items() if full.arrived is not None]
    page.add("queue_messages_arrived_total", "counter", "Messages that came.", arrived, together="max")
    up = [({"queue": queue}, float(not isinstance(full, BackendError))) for queue, full in stats.items()]
    page.add("queue_up", "gauge", "1 if the broker told how full the queue is.", up, together="max")
    return page.families


class _Page:
    def __init__(self) -> None:
        self._families: list[Family] = []

    @property
    def families(self) -> tuple[Family, ...]:
        return tuple(self._families)

    def add(
        self,
        name: str,
        kind: Kind,
        help_text: str,
        samples: Iterable[tuple[_Labels, float]],
        *,
        together: Together = "sum",
    ) -> None:
        self.add_samples(name, kind, help_text, (("", labels, value) for labels, value in samples), together=together)

    def add_samples(
        self, name: str, kind: Kind, help_text: str, samples: Iterable[Sample], *, together: Together = "sum"
    ) -> None:
        self._families.append(
            Family(
                name=f"busframe_{name}",
                kind=kind,
                help_text=help_text,
                samples=tuple((suffix, labels, float(value)) for suffix, labels, value in samples),
                together=together,
            )
        )


def _oldest_age_s(full: QueueStats) -> float | None:
    empty = not (full.visible or full.in_flight or full.delayed)
    return 0.0 if empty else full.oldest_age_s


def _add_sent(page: _Page, sent: Mapping[str, SentCounts]) -> None:
    def counter(name: str, help_text: str, value: Callable[[SentCounts], int]) -> None:
        page.add(name, "counter", help_text, [({"type": kind}, value(counts)) for kind, counts in sent.items()])

    counter("messages_sent_total", "Messages published or sent.", lambda counts: counts.messages)
    counter("copies_sent_total", "Copies that queues took.", lambda counts: counts.copies)
    counter("sends_failed_total", "Publishes and sends that failed, if in part.", lambda counts: counts.failed)


def _add_consumed(page: _Page, counts: Mapping[str, Counts]) -> None:
    of_queues = [({"queue": queue, "group": done.group}, done) for queue, done in counts.items()]
    page.add(
        "messages_received_total",
        "counter",
        "Deliveries taken.",
        [(labels, done.received) for labels, done in of_queues],
    )
    page.add(
        "messages_redelivered_total",
        "counter",
        "Deliveries taken that were not the first of their message.",
        [(labels, done.redelivered) for labels, done in of_queues],
    )
    handlers = list(_handlers(of_queues))
    everywhere = [*handlers, *(({**labels, "type": NO_HANDLER}, done.unopened) for labels, done in of_queues)]
    for name, help_text in _OF_HANDLERS:
        samples = [(labels, float(getattr(done, name))) for labels, done in everywhere]
        page.add(f"messages_{name}_total", "counter", help_text, samples)
    lost = [(labels, float(done.lost)) for labels, done in everywhere]
    page.add("leases_lost_total", "counter", "Leases that ended before their message was settled.", lost)
    failed = [(labels, float(done.failed)) for labels, done in handlers]
    page.add("handler_failures_total", "counter", "Calls that raised an error, or took too long.", failed)
    running = [(labels, float(done.running)) for labels, done in handlers]
    page.add("handlers_running", "gauge", "Calls that have not ended.", running)
    durations = (sample for labels, done in handlers for sample in _durations(labels, done.durations))
    page.add_samples("handler_duration_seconds", "histogram", "How long calls of handlers took.", durations)


def _handlers(of_queues: Iterable[tuple[_Labels, Counts]]) -> Iterator[tuple[_Labels, HandlerCounts]]:
    for labels, done in of_queues:
        for kind, handler in done.handlers.items():
            yield {**labels, "type": kind}, handler


def _durations(labels: _Labels, durations: Durations) -> Iterator[Sample]:
    seen = 0
    for bound, count in zip((*(f"{bound_s:g}" for bound_s in BOUNDS_S), "+Inf"), durations.buckets, strict=True):
        seen += count
        yield "_bucket", {**labels, "le": bound}, seen
    yield "_sum", labels, durations.sum_s
    yield "_count", labels, seen


def _add_health(page: _Page, health: Health) -> None:
    by_queue: dict[str, list[ConsumerHealth]] = {}
    for consumer in health.consumers:
        by_queue.setdefault(consumer.queue, []).append(consumer)

    def gauge(name: str, help_text: str, together: Together, value: Callable[[list[ConsumerHealth]], float]) -> None:
        samples = [({"queue": queue}, value(them)) for queue, them in by_queue.items()]
        page.add(name, "gauge", help_text, samples, together=together)

    healthy = "1 if polls come back and no handler is stuck."
    gauge("consumer_healthy", healthy, "min", lambda them: all(consumer.healthy for consumer in them))
    in_hand = "Messages taken and not settled."
    gauge("messages_in_hand", in_hand, "sum", lambda them: sum(consumer.in_hand for consumer in them))
    failures = "Receives that failed since the last good one."
    gauge("poll_failures", failures, "max", lambda them: max(consumer.failures for consumer in them))
