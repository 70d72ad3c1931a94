"""The form in which a message goes to a dead-letter queue: as it was, with the reason beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from busframe._consume.anew import ANEW
from busframe.message import ATTRIBUTES_MAX, Outgoing, is_ordered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe.message import QueueName, Received

DEAD: Final = "busframe-dead"
"""The attribute that says why."""

REASON_LENGTH_MAX: Final = 2_000
"""An exception's text may be a whole page; the message must still fit where it fitted before."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Why a message was given up.

    Attributes:
        queue: where it came from.
        attempts: deliveries it had.
        at_s: when, in seconds since 1970.
    """

    reason: str
    queue: str
    message_id: str
    attempts: int
    at_s: float


def dead_letter(
    received: Received, queue: QueueName, *, reason: str, attempts: int, at_s: float, bytes_max: int
) -> Outgoing:
    """Write a message for the dead-letter queue of `queue`.

    A foreign message that has ten attributes already keeps them, and the reason is in the log only; so it is if the
    reason would make the message too large.
    """
    letter = DeadLetter(
        reason=_printable(reason[:REASON_LENGTH_MAX]),
        queue=queue,
        message_id=received.message_id,
        attempts=attempts,
        at_s=at_s,
    )
    attributes = dict(received.attributes)
    # Whoever moves it back wants it tried as often as a new one.
    attributes.pop(ANEW, None)
    if DEAD in attributes or len(attributes) < ATTRIBUTES_MAX:
        attributes[DEAD] = msgspec.json.encode(letter).decode()
    ordered = is_ordered(queue)
    # The id makes a second attempt to bury the same message a duplicate, where the queue recognises one.
    outgoing = Outgoing(
        body=received.body,
        attributes=attributes,
        group=received.group,
        deduplication_id=f"dead-{received.message_id}" if ordered else None,
    )
    if outgoing.size_bytes <= bytes_max:
        return outgoing
    attributes.pop(DEAD, None)
    return Outgoing(
        body=received.body, attributes=attributes, group=outgoing.group, deduplication_id=outgoing.deduplication_id
    )


def read_dead_letter(attributes: Mapping[str, str | bytes]) -> DeadLetter | None:
    """Read why a message was given up; None if it does not say so, such as one that the broker moved by itself."""
    text = attributes.get(DEAD)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=DeadLetter)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _printable(text: str) -> str:
    """JSON escapes what a message may not contain, save these two code points and lone surrogates."""
    return text.replace("\ufffe", "?").replace("\uffff", "?").encode(errors="replace").decode()
