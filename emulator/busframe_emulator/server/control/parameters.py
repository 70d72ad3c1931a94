"""What a request brings along: parameters in the URL, or a JSON object in the body.

A class per request says what there may be; what is unknown, of a wrong type or out of range is refused by name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct

from busframe_emulator.server.control.answers import RefusedError

if TYPE_CHECKING:
    from busframe_emulator.delivery.scripts import Script
    from busframe_emulator.server.request import Request

ADVANCE_S_MAX: Final = 100 * 366 * 86_400
"""A hundred years: nothing in SQS lasts longer than fourteen days."""

MESSAGES_MAX: Final = 1_000

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_PLACE: Final = re.compile(r" - at `\$\.([^`]+)`").search
_UNKNOWN: Final = re.compile(r"unknown field `([^`]+)`").search

_T = TypeVar("_T", bound=Struct)


class Nothing(Struct, forbid_unknown_fields=True):
    """No parameters."""


class QueueScope(Struct, forbid_unknown_fields=True):
    """Where a queue is; what is not said is the server's own."""

    region: str | None = None


class ActionScope(QueueScope, forbid_unknown_fields=True):
    """On whose behalf SQS is asked."""

    account: str | None = None


class MessagesPage(QueueScope, forbid_unknown_fields=True):
    """Which messages to show."""

    limit: Annotated[int, Meta(ge=1, le=MESSAGES_MAX)] = 100
    after: Annotated[int, Meta(ge=0)] = 0


class ClockChange(Struct, forbid_unknown_fields=True):
    """What to do to the clock: first the mode, then the advance."""

    mode: Literal["real", "manual"] | None = None
    advance_s: Annotated[float, Meta(ge=0, le=ADVANCE_S_MAX)] = 0.0


class Allowance(Struct, forbid_unknown_fields=True):
    """Names of checks, with commas between them."""

    allow: str = ""


def read_script(request: Request) -> Script:
    """Read a script.

    Raises:
        RefusedError: the body is none.
    """
    from busframe_emulator.delivery.scripts import Script  # few send one

    try:
        return Script.from_data(msgspec.json.decode(request.body or b"{}"))
    except _UNREADABLE:
        raise RefusedError(400, "The body is not valid JSON.") from None
    except ValueError as error:
        raise RefusedError(400, f"{error}.") from None


def read_url(parameters: bytes, into: type[_T]) -> _T:
    """Read the parameters of a URL, all of them text there.

    Raises:
        RefusedError: one is at fault.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(parameters.decode("latin-1"), keep_blank_values=True):
        if name in given:
            raise RefusedError(400, "It is given twice.", name)
        given[name] = value
    return _convert(given, into, strict=False)


def read_body(request: Request, into: type[_T]) -> _T:
    """Read the body; an empty one is an empty object.

    Raises:
        RefusedError: it is no JSON object, or a member is at fault.
    """
    try:
        given: object = msgspec.json.decode(request.body or b"{}")
    except _UNREADABLE:
        raise RefusedError(400, "The body is not valid JSON.") from None
    return _convert(given, into, strict=True)


def _convert(given: object, into: type[_T], *, strict: bool) -> _T:
    try:
        return msgspec.convert(given, into, strict=strict)
    except msgspec.ValidationError as error:
        text = str(error)
        place = _PLACE(text)
        named = place or _UNKNOWN(text)
        what = text[: place.start()] if place else text
        raise RefusedError(400, f"{what.replace('`', '')}.", named[1] if named else None) from None
