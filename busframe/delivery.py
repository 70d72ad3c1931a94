"""What a handler learns about the delivery it works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from busframe.codec import Headers
    from busframe.message import MessageId, QueueName

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Generic[T]):
    """One hand-over of one message.

    Attributes:
        payload: the message itself.
        headers: who sent it, under which name and id.
        attempt: which delivery this is, from 1. Deliveries nobody saw count too.
        message_id: the broker's name for it; `headers.id` is the bus's, and the same on every queue of a publish.
        sent_at_s: seconds since 1970 by the broker's clock.
    """

    payload: T
    headers: Headers
    attempt: int
    queue: QueueName
    message_id: MessageId
    sent_at_s: float
