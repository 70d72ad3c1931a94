"""The metrics of a connection in the text format of Prometheus, version 0.0.4.

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(await live.metrics(), media_type=CONTENT_TYPE)

Labels are the queues, groups and message types that the program declares: their number does not grow with traffic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe._consume.counts import BOUNDS_S
from busframe.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from busframe._consume.counts import Counts, Durations, HandlerCounts
    from busframe._consume.health import ConsumerHealth, Health
    from busframe.backend import QueueStats
    from busframe.sending_side import SentCounts

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

NO_HANDLER: Final = "(none)"
"""Stands for the handler where a message reached none."""

_Labels = dict[str, str]
_Sample = tuple[_Labels, float]
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

_OF_HANDLERS: Final = (
    ("handled", "Messages acknowledged after their handler."),
    ("retried", "Messages given back to come again."),
    ("dead_lettered", "Messages moved to the dead-letter queue."),
    ("unsettled", "Messages whose broker did not hear what became of them."),
)


def exposition(
    *,
    counts: Mapping[str, Counts],
    sent: Mapping[str, SentCounts],
    calls: Mapping[str, int],
    health: Health,
    stats: Mapping[str, QueueStats | BackendError],
) -> str:
    """Write them down; `Live.metrics` says what there is.

    Args:
        counts: what consumers have done, by queue.
        sent: by message type.
        calls: of the broker, by action.
        health: of the consumers.
        stats: how full the queues are; an error where the broker did not tell.
    """
    page = _Page()
    _write_queues(page, stats)
    _write_sent(page, sent)
    _write_consumed(page, counts)
    _write_health(page, health)
    page.family(
        "backend_calls_total", "counter", "Calls of the broker.", [({"action": a}, n) for a, n in calls.items()]
    )
    return page.text()


class _Page:
    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, help_text: str, samples: Iterable[_Sample]) -> None:
        self.head(name, kind, help_text)
        for labels, value in samples:
            self.sample(name, labels, value)

    def head(self, name: str, kind: str, help_text: str) -> None:
        self._lines += (f"# HELP busframe_{name} {help_text}", f"# TYPE busframe_{name} {kind}")

    def sample(self, name: str, labels: _Labels, value: float) -> None:
        written = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
        self._lines.append(f"busframe_{name}{{{written}}} {float(value):.17g}")

    def text(self) -> str:
        return "\n".join([*self._lines, ""])


def _write_queues(page: _Page, stats: Mapping[str, QueueStats | BackendError]) -> None:
    told = {queue: full for queue, full in stats.items() if not isinstance(full, BackendError)}

    def gauge(name: str, help_text: str, value: Callable[[QueueStats], float | None]) -> None:
        values = ((queue, value(full)) for queue, full in told.items())
        page.family(
            f"queue_{name}", "gauge", help_text, [({"queue": queue}, n) for queue, n in values if n is not None]
        )

    gauge("messages_visible", "Messages that can be received.", lambda full: full.visible)
    gauge("messages_in_flight", "Messages received and not settled.", lambda full: full.in_flight)
    gauge("messages_delayed", "Messages sent and not yet due.", lambda full: full.delayed)
    # Nothing where the broker does not tell (Amazon SQS): zero would say that nothing is old.
    gauge("oldest_message_age_seconds", "Time since the oldest message was sent.", _oldest_age_s)
    up = [({"queue": queue}, float(not isinstance(full, BackendError))) for queue, full in stats.items()]
    page.family("queue_up", "gauge", "1 if the broker told how full the queue is.", up)


def _oldest_age_s(full: QueueStats) -> float | None:
    empty = not (full.visible or full.in_flight or full.delayed)
    return 0.0 if empty else full.oldest_age_s


def _write_sent(page: _Page, sent: Mapping[str, SentCounts]) -> None:
    def counter(name: str, help_text: str, value: Callable[[SentCounts], int]) -> None:
        page.family(name, "counter", help_text, [({"type": kind}, value(counts)) for kind, counts in sent.items()])

    counter("messages_sent_total", "Messages published or sent.", lambda counts: counts.messages)
    counter("copies_sent_total", "Copies that queues took.", lambda counts: counts.copies)
    counter("sends_failed_total", "Publishes and sends that failed, if in part.", lambda counts: counts.failed)


def _write_consumed(page: _Page, counts: Mapping[str, Counts]) -> None:
    of_queues = [({"queue": queue, "group": done.group}, done) for queue, done in counts.items()]
    page.family(
        "messages_received_total",
        "counter",
        "Deliveries taken.",
        [(labels, done.received) for labels, done in of_queues],
    )
    page.family(
        "messages_redelivered_total",
        "counter",
        "Deliveries taken that were not the first of their message.",
        [(labels, done.redelivered) for labels, done in of_queues],
    )
    handlers = list(_handlers(of_queues))
    everywhere = [*handlers, *(({**labels, "type": NO_HANDLER}, done.unopened) for labels, done in of_queues)]
    for name, help_text in _OF_HANDLERS:
        samples = [(labels, float(getattr(done, name))) for labels, done in everywhere]
        page.family(f"messages_{name}_total", "counter", help_text, samples)
    lost = [(labels, float(done.lost)) for labels, done in everywhere]
    page.family("leases_lost_total", "counter", "Leases that ended before their message was settled.", lost)
    failed = [(labels, float(done.failed)) for labels, done in handlers]
    page.family("handler_failures_total", "counter", "Calls that raised an error, or took too long.", failed)
    running = [(labels, float(done.running)) for labels, done in handlers]
    page.family("handlers_running", "gauge", "Calls that have not ended.", running)
    page.head("handler_duration_seconds", "histogram", "How long calls of handlers took.")
    for labels, done in handlers:
        _write_durations(page, "handler_duration_seconds", labels, done.durations)


def _handlers(of_queues: Iterable[tuple[_Labels, Counts]]) -> Iterator[tuple[_Labels, HandlerCounts]]:
    for labels, done in of_queues:
        for kind, handler in done.handlers.items():
            yield {**labels, "type": kind}, handler


def _write_durations(page: _Page, name: str, labels: _Labels, durations: Durations) -> None:
    seen = 0
    for bound, count in zip((*(f"{bound_s:g}" for bound_s in BOUNDS_S), "+Inf"), durations.buckets, strict=True):
        seen += count
        page.sample(f"{name}_bucket", {**labels, "le": bound}, seen)
    page.sample(f"{name}_sum", labels, durations.sum_s)
    page.sample(f"{name}_count", labels, seen)


def _write_health(page: _Page, health: Health) -> None:
    by_queue: dict[str, list[ConsumerHealth]] = {}
    for consumer in health.consumers:
        by_queue.setdefault(consumer.queue, []).append(consumer)

    def gauge(name: str, help_text: str, value: Callable[[list[ConsumerHealth]], float]) -> None:
        page.family(name, "gauge", help_text, [({"queue": queue}, value(them)) for queue, them in by_queue.items()])

    healthy = "1 if polls come back and no handler is stuck."
    gauge("consumer_healthy", healthy, lambda them: all(consumer.healthy for consumer in them))
    in_hand = "Messages taken by this process and not settled."
    gauge("messages_in_hand", in_hand, lambda them: sum(consumer.in_hand for consumer in them))
    failures = "Receives that failed since the last good one."
    gauge("poll_failures", failures, lambda them: max(consumer.failures for consumer in them))
