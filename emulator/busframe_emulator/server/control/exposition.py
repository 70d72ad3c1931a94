"""The metrics in the text format of Prometheus, version 0.0.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_emulator.server.control.views import oldest_age_s
from busframe_emulator.wire.json10 import TARGET_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from busframe_emulator.engine.inspection import QueueSeen
    from busframe_emulator.server.metrics import Metrics

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

_Sample = tuple["Mapping[str, str | int]", float]
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def expose(metrics: Metrics, queues: Sequence[QueueSeen], now_us: int) -> str:
    """Write all metrics down."""
    lines: list[str] = []

    def per_queue(name: str, help_text: str, value: Callable[[QueueSeen], float]) -> None:
        samples = [(_labels(queue), value(queue)) for queue in queues]
        lines.extend(_family(f"busframe_queue_{name}", "gauge", help_text, samples))

    def counter(name: str, help_text: str, samples: Iterable[_Sample]) -> None:
        lines.extend(_family(f"busframe_{name}", "counter", help_text, samples))

    per_queue("messages_visible", "Messages that can be received.", lambda queue: queue.view.visible)
    per_queue("messages_in_flight", "Messages received and hidden.", lambda queue: queue.view.in_flight)
    per_queue("messages_delayed", "Messages sent and not yet due.", lambda queue: queue.view.delayed)
    per_queue(
        "oldest_message_age_seconds",
        "Time since the oldest message was sent; 0 in an empty queue.",
        lambda queue: oldest_age_s(queue, now_us) or 0.0,
    )
    per_queue("waiting_receivers", "Receives that wait for a message.", lambda queue: queue.waiting_receivers)
    counter("requests_total", "Requests to SQS by action and status of the answer.", _requests(metrics))
    counter("messages_sent_total", "Messages taken from senders.", [({}, metrics.sent())])
    counter("messages_received_total", "Messages handed to receivers.", [({}, metrics.received)])
    counter("messages_deleted_total", "Deliveries settled by deletion.", [({}, metrics.deleted())])
    return "\n".join([*lines, ""])


def _requests(metrics: Metrics) -> Iterator[_Sample]:
    for target, count in metrics.accepted.items():
        yield {"action": target.decode().removeprefix(TARGET_PREFIX), "status": 200}, count
    for (action, status), count in metrics.refused.items():
        yield {"action": action, "status": status}, count


def _labels(queue: QueueSeen) -> Mapping[str, str | int]:
    region, account, name = queue.view.address
    return {"region": region, "account": account, "queue": name}


def _family(name: str, kind: str, help_text: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        written = ",".join(f'{label}="{str(text).translate(_ESCAPES)}"' for label, text in labels.items())
        yield f"{name}{{{written}}} {value}" if written else f"{name} {value}"
