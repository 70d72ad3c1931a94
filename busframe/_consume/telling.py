"""What logs and observers are told of a message in hand."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypedDict

from busframe.observing import Handled, Handling, PollFailed
from busframe.outcome import Drop, Outcome, Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busframe._consume.leases import Lease
    from busframe._consume.polling import Polling
    from busframe.delivery import Delivery
    from busframe.group import Group, Handler
    from busframe.message import QueueName
    from busframe.observing import HandlerOutcome


_OUTCOMES: Final[Sequence[tuple[type[Exception], HandlerOutcome]]] = (
    (Drop, "dropped"),
    (Reject, "rejected"),
    (Outcome, "later"),
    (Exception, "failed"),
)


hears_errors: ContextVar[Callable[[Handler, Delivery[object], Exception], None]] = ContextVar("hears_errors")
"""Is told what handlers raise, of whatever bus and connection: in a simulation, whose programs connect as they like."""


class About(TypedDict):
    """See `busframe.observing`."""

    queue: QueueName
    group: str
    message_id: str
    delivery: Delivery[object] | None
    attempt: int


def about(lease: Lease, group: Group) -> About:
    """What every event about a message says."""
    return {
        "queue": group.queue,
        "group": group.name,
        "message_id": lease.received.message_id,
        "delivery": None if isinstance(lease.opened, Exception) else lease.opened[1],
        "attempt": lease.attempt,
    }


def log_fields(lease: Lease, group: Group) -> dict[str, Any]:
    """What every record of the log about a message has, beside its text; see docs/observability.md."""
    fields: dict[str, Any] = {
        "queue": group.queue,
        "group": group.name,
        "message_id": lease.received.message_id,
        "attempt": lease.attempt,
    }
    if not isinstance(lease.opened, Exception):
        headers = lease.opened[1].headers
        fields["message_type"] = headers.type
        fields["bus_id"] = headers.id
        fields["correlation_id"] = headers.correlation_id or headers.id
        fields["causation_id"] = headers.causation_id
    return fields


def outcome_of(ending: BaseException | None, lease: Lease) -> HandlerOutcome:
    """How a call of a handler has ended, for observers."""
    if lease.lost or ending is None:
        return "lost" if lease.lost else "done"
    match ending:
        case ExceptionGroup(exceptions=[Exception() as only]):
            return outcome_of(only, lease)  # as its policy judges it
        case _:
            pass
    for kind, word in _OUTCOMES:
        if isinstance(ending, kind):
            return word
    return "interrupted"


def handling(group: Group, delivery: Delivery[object]) -> Handling:
    """What is told before a handler is called."""
    return Handling(queue=group.queue, group=group.name, delivery=delivery)


def handled(group: Group, lease: Lease, ending: BaseException | None, took_s: float) -> Handled:
    """What is told after it."""
    assert not isinstance(lease.opened, Exception)  # noqa: S101 - it was handled
    begun = handling(group, lease.opened[1])
    return Handled(handling=begun, outcome=outcome_of(ending, lease), error=ending, duration_s=took_s)


def poll_failed(group: Group, polling: Polling, wait_s: float, error: Exception) -> PollFailed:
    """What is told when nothing could be received."""
    return PollFailed(
        queue=group.queue,
        group=group.name,
        failures=polling.failures,
        state=polling.state,
        wait_s=wait_s,
        error=error,
    )
