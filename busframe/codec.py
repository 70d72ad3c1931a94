"""Typed payload <-> body, one pair of functions per message type."""

from __future__ import annotations

from base64 import b64decode, b64encode
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec

from busframe.defaults import filler_of
from busframe.errors import DecodeError, EncodeError
from busframe.headers import BASE64, printable
from busframe.message import can_be_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe.message_type import MessageType

Body = str | bytes | msgspec.Raw
"""Text as a broker carries it; or JSON, cut out of an envelope."""


class Reader(Protocol):
    """Reads a body as a payload of its type. `version` and `encoding` are those of the message's headers."""

    def __call__(self, body: Body, version: int, encoding: str | None, /) -> object:
        """Read.

        Raises:
            DecodeError: it does not fit the type.
        """
        ...


class _PydanticModel(Protocol):
    """As much of pydantic's BaseModel as is used, so that pydantic need not be there."""

    def model_dump_json(self, *, by_alias: bool, round_trip: bool) -> str: ...
    @classmethod
    def model_validate_json(cls, json_data: str | bytes) -> Any: ...


_ENCODE: Final = msgspec.json.Encoder().encode


def encode(payload: object, kind: MessageType) -> tuple[str, str | None]:
    """Write a payload as text that may stand in a message body, and say how that text is encoded, if not plainly.

    Raises:
        EncodeError: it has a part that JSON has no form for.
    """
    return encoder_of(kind)(payload)


@cache
def encoder_of(kind: MessageType) -> Callable[[Any], tuple[str, str | None]]:
    """Make the function that writes payloads of a type; see `encode`."""
    to_body: Callable[[Any], tuple[str, str | None]]
    if kind.form == "json":
        to_body = _pydantic_json if _is_pydantic(kind.payload) else _whole_json(kind.payload)
    else:
        to_body = _text if kind.form == "text" else _bytes

    def write(payload: Any) -> tuple[str, str | None]:
        try:
            return to_body(payload)
        except Exception as error:
            raise EncodeError(f"{kind.name}: {error}") from error

    return write


@cache
def checked_encoder_of(kind: MessageType) -> Callable[[Any], tuple[str, str | None]]:
    """Make the function that writes payloads of a type and makes sure that what it wrote can be read.

    So a field of the wrong type shows with the sender, as an EncodeError, and not at the consumer.
    """
    write = encoder_of(kind)
    if kind.form != "json":
        return write
    decode = _json_decoder(kind.payload)
    if not _is_pydantic(kind.payload):
        return _checked_json(kind, decode)

    def write_and_read(payload: Any) -> tuple[str, str | None]:
        written = write(payload)
        try:
            decode(written[0])
        except Exception as error:
            raise EncodeError(f"no consumer could read it: {kind.name}: {error}") from error
        return written

    return write_and_read


def _checked_json(kind: MessageType, decode: Callable[[Any], object]) -> Callable[[Any], tuple[str, str | None]]:
    """The two steps of `checked_encoder_of` in one function, for what most types are."""

    def write_and_read(payload: Any) -> tuple[str, str | None]:
        try:
            written = _ENCODE(payload)
            text = written.decode()
        except Exception as error:
            raise EncodeError(f"{kind.name}: {error}") from error
        try:
            decode(written)
        except Exception as error:
            raise EncodeError(f"no consumer could read it: {kind.name}: {error}") from error
        return (text if text.isascii() else printable(text)), None

    return write_and_read


def key_of(payload: object, kind: MessageType) -> str | None:
    """Read the payload's key, as text; None if its type has none, or the payload."""
    if kind.key is None:
        return None
    key = getattr(payload, kind.key)
    return None if key is None else str(key)


@cache
def reader_of(kind: MessageType) -> Reader:
    """Make the function that reads the bodies of a type."""
    if kind.form != "json":
        return _raw_reader(kind)
    decode = _json_decoder(kind.payload)
    upgrade = kind.upgrade

    def read(body: Body, version: int, encoding: str | None, /) -> object:
        try:
            if encoding is not None:
                body = _plain(body, encoding)
            if version in upgrade:
                body = _ENCODE(_upgraded(msgspec.json.decode(body), version, kind))
            return decode(body)
        except Exception as error:
            raise DecodeError(f"{kind.name}: {error}") from error

    return read


def _whole_json(payload: type) -> Callable[[Any], tuple[str, None]]:
    """What writes a class with all of its fields."""
    fill = filler_of(payload)
    if fill is None:
        return _plain_json

    def write(value: Any) -> tuple[str, None]:
        fill(value)
        return _plain_json(value)

    return write


def _plain_json(payload: Any) -> tuple[str, None]:
    text = _ENCODE(payload).decode()
    return (text if text.isascii() else printable(text)), None


def _pydantic_json(payload: _PydanticModel) -> tuple[str, None]:
    # What validation reads is what is written: fields by their aliases, and none that are computed.
    return printable(payload.model_dump_json(by_alias=True, round_trip=True)), None


def _json_decoder(payload: type) -> Callable[[Any], object]:
    if not _is_pydantic(payload):
        return msgspec.json.Decoder(payload).decode
    validate = cast("_PydanticModel", payload).model_validate_json

    def decode(body: Body) -> object:
        return validate(bytes(body) if isinstance(body, msgspec.Raw) else body)

    return decode


def _raw_reader(kind: MessageType) -> Reader:
    """Bodies as they are. Base64 is undone where the headers say so."""

    def read(body: Body, version: int, encoding: str | None, /) -> object:
        try:
            plain = _plain(body, encoding)
            value = plain.decode() if kind.form == "text" else plain
            return kind.payload(_upgraded(value, version, kind))
        except Exception as error:
            raise DecodeError(f"{kind.name}: {error}") from error

    return read


def _plain(body: Body, encoding: str | None) -> bytes:
    plain = body.encode() if isinstance(body, str) else bytes(body)
    if encoding is None:
        return plain
    if encoding != BASE64:
        raise DecodeError(f"the body's encoding {encoding!r} is not known here")
    return b64decode(plain.strip(), validate=True)


def _upgraded(value: Any, version: int, kind: MessageType) -> Any:
    while version in kind.upgrade:
        value = kind.upgrade[version](value)
        version += 1
    return value


def _text(payload: str) -> tuple[str, str | None]:
    text = str.__str__(payload)  # a plain str, whatever the class makes of str()
    return _text_or_base64(text, text.encode())


def _bytes(payload: bytes) -> tuple[str, str | None]:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = ""
    return _text_or_base64(text, payload)


def _text_or_base64(text: str, plain: bytes) -> tuple[str, str | None]:
    """The text itself where a message can carry it; a message without a single character cannot be sent."""
    if can_be_body(text):
        return text, None
    # One character for nothing at all, which base64 reads as nothing.
    return b64encode(plain).decode() or "\n", BASE64


def _is_pydantic(payload: type) -> bool:
    return hasattr(payload, "model_validate_json")
