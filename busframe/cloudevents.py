"""CloudEvents 1.0 as the form of messages, structured JSON (https://github.com/cloudevents/spec, "JSON Event Format").

    bus = Bus("shop", envelope=CloudEvents(source="https://shop.example"))

What the bus says about a message then stands in the body, as attributes of the event: `partitionkey`, `traceparent` and
`tracestate` are registered extensions, `typeversion`, `tenant`, `correlationid`, `causationid` and `due` the bus's own.
Every consumer reads both forms, whatever its own bus writes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from busframe import runtime
from busframe.checks import check_text
from busframe.errors import DecodeError, InvalidArgumentError
from busframe.headers import BASE64, Headers, printable

if TYPE_CHECKING:
    from busframe.codec import Body
    from busframe.message_type import Form

CONTENT_TYPE: Final = "content-type"
STRUCTURED_JSON: Final = "application/cloudevents+json; charset=utf-8"

# CloudEvents 1.0.2, "Naming conventions".
_NAME: Final = re.compile(r"[a-z0-9]+")
_MEDIA_TYPES: Final[dict[Form, str]] = {
    "json": "application/json",
    "text": "text/plain",
    "bytes": "application/octet-stream",
}
_JSON_MEDIA_TYPE: Final = re.compile(r"[^;]*[/+]json\s*(;.*)?", re.IGNORECASE)

# Attribute of the event by field of Headers, for those that are text in both.
_TEXTS: Final = {
    "id": "id",
    "source": "source",
    "type": "type",
    "partitionkey": "key",
    "tenant": "tenant",
    "correlationid": "correlation_id",
    "causationid": "causation_id",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
}
_REQUIRED: Final = ("id", "source", "type")
_OTHERS: Final = frozenset({"specversion", "datacontenttype", "data", "data_base64", "typeversion", "due", "time"})

_decode: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvents:
    """Has a bus write its messages as CloudEvents.

    Attributes:
        source: a URI reference that says where they come from; the name of the bus if None.
    """

    source: str | None = None

    def __post_init__(self) -> None:
        check_text("source", self.source, "a URI reference", or_none=True)

    def write(self, headers: Headers, body: str, form: Form) -> str:
        """Write an event around a body.

        Args:
            headers: the bus's and the application's own, which become attributes.
            body: the payload, as it would travel without an envelope.
            form: what the body is: "json" stands in the event as it is, "text" as a string, "bytes" as base64.

        Raises:
            InvalidArgumentError: a header of the application has a name that no attribute can have.
        """
        event: dict[str, object] = {"specversion": "1.0"}
        for attribute, field in _TEXTS.items():
            value = getattr(headers, field)
            if value is not None:
                event[attribute] = value
        event["source"] = self.source or headers.source
        event["time"] = _timestamp(runtime.wall_s())
        if headers.version != 1:
            event["typeversion"] = headers.version
        if headers.due_s is not None:
            event["due"] = _timestamp(headers.due_s)
        for name, value in headers.extra.items():
            if not _NAME.fullmatch(name) or name in _TEXTS or name in _OTHERS:
                allowed = "lower-case letters and digits, and none of CloudEvents' or the bus's own attributes"
                raise InvalidArgumentError("headers", name, allowed)
            event[name] = value
        event["datacontenttype"] = _MEDIA_TYPES[form]
        if headers.encoding == BASE64:
            event["data_base64"] = body.strip()
        elif form == "bytes":
            event["data_base64"] = b64encode(body.encode()).decode()
        else:
            event["data"] = msgspec.Raw(body.encode()) if form == "json" else body
        return printable(_encode(event).decode())


def looks_like_cloud_event(body: str) -> bool:
    """Tell, in no time, whether it is worth while to read a body as an event."""
    return '"specversion"' in body and body.lstrip()[:1] == "{"


def read_cloud_event(body: str) -> tuple[Headers, Body]:
    """Take an event apart.

    Raises:
        DecodeError: it is none, or damaged, or of another major version.
    """
    try:
        return _read(_decode(body))
    except (msgspec.DecodeError, UnicodeError, ValueError) as error:
        raise DecodeError(f"not a CloudEvent: {error}") from error


def _read(event: dict[str, msgspec.Raw]) -> tuple[Headers, Body]:
    version = _text(event, "specversion")
    if version is None or not version.startswith("1."):
        raise DecodeError(f"CloudEvents of version {version} are not understood, 1.0 is")
    fields: dict[str, Any] = {field: _text(event, attribute) for attribute, field in _TEXTS.items()}
    if missing := [attribute for attribute in _REQUIRED if not fields[attribute]]:
        raise DecodeError(f"a CloudEvent without {', '.join(missing)}")
    if "typeversion" in event:
        fields["version"] = msgspec.json.decode(event["typeversion"], type=int)
    if due := _text(event, "due"):
        fields["due_s"] = msgspec.convert(due, type=datetime).timestamp()
    fields["extra"] = {name: _plain(raw) for name, raw in event.items() if name not in _TEXTS and name not in _OTHERS}
    if "data_base64" in event:
        return Headers(encoding=BASE64, **fields), _text(event, "data_base64") or "\n"
    data = event.get("data", msgspec.Raw(b"null"))
    if _JSON_MEDIA_TYPE.fullmatch(_text(event, "datacontenttype") or "application/json"):
        return Headers(**fields), data
    # Of another media type: the text itself, or, not being text, whatever JSON stands there.
    return Headers(**fields), _plain(data)


def _text(event: dict[str, msgspec.Raw], attribute: str) -> str | None:
    raw = event.get(attribute)
    return None if raw is None else msgspec.json.decode(raw, type=str | None)


def _plain(raw: msgspec.Raw) -> str:
    value = cast("object", msgspec.json.decode(raw))
    return value if isinstance(value, str) else bytes(raw).decode()


def _timestamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
