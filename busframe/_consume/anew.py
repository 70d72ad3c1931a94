"""Puts a message back into its queue as a new one, so that the receives it has had do not count.

Brokers count receives and let nobody set the count. So a message that is to be given back without an attempt being
counted is sent anew, with what it was beside it, and then acknowledged: in this order it may be there twice, and is
never lost. It goes to the end of its queue, which is why it is not done on ordered ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from busframe.errors import DecodeError
from busframe.message import ATTRIBUTES_MAX, Outgoing

if TYPE_CHECKING:
    from busframe.message import Received

ANEW: Final = "busframe-anew"
"""The attribute that says what it was."""


class Former(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a message was before it was sent anew.

    Attributes:
        attempts: those that counted.
        message_id: the broker's name for it, as its first sender knows it.
        sent_at_s: when it was first sent, in seconds since 1970.
        due_s: when it is to be handled, in seconds since 1970, if the broker cannot hide it for so long at once.
    """

    attempts: int
    message_id: str
    sent_at_s: float
    due_s: float | None = None


_DECODE: Final = msgspec.json.Decoder(Former).decode


def read_former(received: Received) -> Former | None:
    """Tell what a message was; None if it was not sent anew.

    Raises:
        DecodeError: it says so in a way that cannot be read.
    """
    text = received.attributes.get(ANEW)
    if text is None:
        return None
    try:
        return _DECODE(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DecodeError(f"message {received.message_id}: its attribute {ANEW!r} is damaged: {error}") from error


def anew(
    received: Received, *, attempts: int, delay_s: float, wall_s: float, delay_s_max: float, bytes_max: int
) -> Outgoing | None:
    """Write the message that takes the place of another; None if there is no room to say what that was.

    Args:
        received: the other.
        attempts: how many of its attempts count.
        delay_s: how long it is to be hidden. What is more than `delay_s_max` is left for its next receiver to do.
        wall_s: the time, in seconds since 1970.
        delay_s_max: the longest delay of the broker.
        bytes_max: the largest message of the broker.
    """
    before = read_former(received)
    former = Former(
        attempts=attempts,
        message_id=before.message_id if before else received.message_id,
        sent_at_s=before.sent_at_s if before else received.sent_at_s,
        due_s=wall_s + delay_s if delay_s > delay_s_max else None,
    )
    attributes = {**received.attributes, ANEW: msgspec.json.encode(former).decode()}
    if len(attributes) > ATTRIBUTES_MAX:
        return None
    message = Outgoing(
        body=received.body, attributes=attributes, delay_s=min(delay_s, delay_s_max), group=received.group
    )
    return message if message.size_bytes <= bytes_max else None
