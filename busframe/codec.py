"""Typed payload <-> body, and what travels beside it.

All headers travel in one message attribute, since SQS has room for ten and applications want theirs. The body is the
payload alone, so that a consumer without Busframe can read it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec

from busframe.errors import DecodeError, EncodeError, UnknownMessageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe.message import Received
    from busframe.message_type import MessageType

HEADERS: Final = "busframe"
"""The name of the attribute."""


class Headers(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the bus says about a message.

    Attributes:
        id: the bus's name for it; all copies of one publish share it, and so does a repeated send.
        type: name on the wire.
        version: of the type.
        source: the name of the bus that sent it.
        key: what it belongs to; see `MessageType.key`.
    """

    id: str
    type: str
    version: int = 1
    source: str = ""
    key: str | None = None


class _PydanticModel(Protocol):
    """As much of pydantic's BaseModel as is used, so that pydantic need not be there."""

    def model_dump_json(self) -> str: ...
    @classmethod
    def model_validate_json(cls, json_data: str) -> Any: ...


_HEADERS_DECODER: Final = msgspec.json.Decoder(Headers)
_ENCODER: Final = msgspec.json.Encoder()


def encode(payload: object, kind: MessageType) -> str:
    """Write a payload as JSON text that may stand in a message body.

    Raises:
        EncodeError: it has a part that JSON has no form for.
    """
    try:
        if _is_pydantic(type(payload)):
            text = cast("_PydanticModel", payload).model_dump_json()
        else:
            text = _ENCODER.encode(payload).decode()
    except Exception as error:
        raise EncodeError(f"{kind.name}: {error}") from error
    # The two code points that JSON allows and a message body does not.
    return text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def encode_headers(headers: Headers) -> str:
    """Write headers for the attribute `HEADERS`."""
    return _ENCODER.encode(headers).decode()


def key_of(payload: object, kind: MessageType) -> str | None:
    """Read the payload's key, as text; None if its type has none."""
    return None if kind.key is None else str(getattr(payload, kind.key))


def decode_headers(received: Received) -> Headers:
    """Read the headers of a delivery.

    Raises:
        UnknownMessageError: it has none: it comes from somewhere else.
        DecodeError: they are damaged.
    """
    text = received.attributes.get(HEADERS)
    if text is None:
        raise UnknownMessageError(f"message {received.message_id} has no attribute {HEADERS!r}: not sent by a bus")
    try:
        return _HEADERS_DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DecodeError(f"message {received.message_id}: its attribute {HEADERS!r} is damaged: {error}") from error


def decode(body: str, kind: MessageType) -> object:
    """Read a body as a payload of its type.

    Raises:
        DecodeError: it does not fit the type.
    """
    return reader_of(kind)(body)


@cache
def reader_of(kind: MessageType) -> Callable[[str], object]:
    """The function that reads bodies as payloads of a type, and raises `DecodeError` if one does not fit."""
    if _is_pydantic(kind.payload):
        read: Callable[[str], object] = cast("_PydanticModel", kind.payload).model_validate_json
    else:
        read = msgspec.json.Decoder(kind.payload).decode

    def read_or_explain(body: str) -> object:
        try:
            return read(body)
        except Exception as error:
            raise DecodeError(f"{kind.name}: {error}") from error

    return read_or_explain


def _is_pydantic(payload: type) -> bool:
    return hasattr(payload, "model_validate_json")
