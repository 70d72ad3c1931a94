"""What a handler learns about the delivery it works on."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from busframe.errors import ConfigurationError
from busframe.tracing import TRACE

if TYPE_CHECKING:
    from busframe.headers import Headers
    from busframe.inbox import Transaction
    from busframe.message import MessageId, QueueName
    from busframe.tracing import TraceContext

T_co = TypeVar("T_co", covariant=True)


class Delivery(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """One hand-over of one message.

    Attributes:
        payload: the message itself.
        headers: who sent it, under which name and id.
        attempt: which of the message's attempts this is, from 1. Deliveries nobody saw count too.
        message_id: the broker's name for it; `headers.id` is the bus's, and the same on every queue of a publish.
        sent_at_s: seconds since 1970 by the broker's clock.
    """

    payload: T_co
    headers: Headers
    attempt: int
    queue: QueueName
    message_id: MessageId
    sent_at_s: float

    @property
    def trace(self) -> TraceContext | None:
        """The W3C trace context the message was sent in, if any."""
        return self.headers.trace

    @property
    def transaction(self) -> Transaction:
        """What is to be written together with the mark that the message is done.

        Raises:
            ConfigurationError: the subscription has no `once=True`, and so no mark.
        """
        raise ConfigurationError("delivery.transaction needs a subscription with once=True")


CURRENT: Final[ContextVar[Delivery[Any] | None]] = ContextVar("busframe_delivery", default=None)
"""What `current_delivery` tells."""


def current_delivery() -> Delivery[Any] | None:
    """The delivery that the running handler works on; None outside of handlers."""
    return CURRENT.get()


def enter_delivery(delivery: Delivery[Any] | None) -> None:
    """Set, in this task from now on, what the running code works on: what it sends will say so."""
    CURRENT.set(delivery)
    # With every message: nothing is set that is so already, and nothing called that need not be.
    if delivery is not None and delivery.headers.traceparent is not None:
        TRACE.set(delivery.headers.trace)
    elif TRACE.get() is not None:
        TRACE.set(None)
