"""What the bus says about a message.

All headers travel in one message attribute, since SQS has room for ten and applications want theirs. The body is the
payload alone, so that a consumer without Busframe can read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from busframe.errors import DecodeError, EncodeError, UnknownMessageError
from busframe.tracing import TraceContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe.message import Peeked, Received

HEADERS: Final = "busframe"
"""The name of the attribute."""

BASE64: Final = "base64"


class Headers(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """What the bus says about a message. Names it does not know are passed over: another version wrote them.

    Attributes:
        id: the bus's name for it; all copies of one publish share it, and so does a repeated send.
        type: name on the wire.
        version: of the type.
        source: the name of the bus that sent it.
        key: what it belongs to; see `MessageType.key`.
        tenant: on whose behalf it was sent.
        correlation_id: what it has to do with: the same for every message that follows from one, the id of the first.
        causation_id: the id of the message whose handler sent it.
        traceparent: W3C Trace Context, as `tracestate`.
        due_s: seconds since 1970 before which it is not to be handled: a delay longer than the broker's longest.
        again: the sender does not know whether this queue has the message already: it may come twice.
        encoding: how the body is to be read before its type: "base64" or, if None, as it is.
        extra: the application's own, as given to `publish`.
    """

    id: str
    type: str
    version: int = 1
    source: str = ""
    key: str | None = None
    tenant: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    due_s: float | None = None
    again: bool = False
    encoding: str | None = None
    extra: dict[str, str] = {}

    @property
    def trace(self) -> TraceContext | None:
        """The W3C trace context the message was sent in, if any."""
        return None if self.traceparent is None else TraceContext(self.traceparent, self.tracestate)


_DECODE: Final = msgspec.json.Decoder(Headers).decode
_ENCODE: Final = msgspec.json.Encoder().encode


def encode_headers(headers: Headers) -> str:
    """Write headers for the attribute `HEADERS`.

    Raises:
        EncodeError: a text in them has a lone surrogate.
    """
    try:
        return printable(_ENCODE(headers).decode())
    except UnicodeError as error:
        raise EncodeError(f"{headers.type}: its headers: {error}") from error


def decode_headers(received: Received) -> Headers:
    """Read the headers of a delivery.

    Raises:
        UnknownMessageError: it has none: it comes from somewhere else.
        DecodeError: they are damaged.
    """
    text = received.attributes.get(HEADERS)
    if text is None:
        raise UnknownMessageError(f"message {received.message_id} has no attribute {HEADERS!r}: not sent by a bus")
    return read_headers(text, received)


def read_headers(text: str | bytes, received: Received | Peeked) -> Headers:
    """Read the text of a headers attribute; `received` is for the error's text."""
    try:
        return _DECODE(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DecodeError(f"message {received.message_id}: its attribute {HEADERS!r} is damaged: {error}") from error


def marked_again(attributes: Mapping[str, str | bytes]) -> Mapping[str, str | bytes]:
    """The attributes of a message that may be there already, with headers that say so; as they are if it has none."""
    text = attributes.get(HEADERS)
    if text is None:
        return attributes
    try:
        headers = _DECODE(text)
    except (msgspec.DecodeError, UnicodeError):
        return attributes
    return {**attributes, HEADERS: encode_headers(msgspec.structs.replace(headers, again=True))}


def printable(json: str) -> str:
    """Escape the two code points that JSON text may have and a message may not."""
    if json.isascii():
        return json
    return json.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def text_attributes(attributes: Mapping[str, str | bytes]) -> dict[str, str]:
    """The attributes that are text."""
    return {name: value for name, value in attributes.items() if isinstance(value, str)}
