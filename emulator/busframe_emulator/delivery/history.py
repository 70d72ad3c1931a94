"""Histories as lines of JSON: what an engine did, written and read again.

A history is a header and one object per line:

    {"busframe_history": 1, "level": "engine", "limits": {"in_flight_max": 120000, ...}}
    {"t": 1700000000000000, "kind": "sent", "queue": "arn:aws:sqs:us-east-1:000000000000:orders", "message": 1, ...}

Members that are empty or 0 are left out; `docs/faults.md` has the table. Bodies and attributes are written as their
MD5, so that a history tells nobody what was in the messages.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final, NoReturn

from busframe_emulator.engine.events import Content, Counts, Event
from busframe_emulator.engine.requests import Delivery, MessageAttribute
from busframe_emulator.engine.settings import Limits, QueueAddress, QueueSettings, Redrive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    _ReadAbout = Callable[[Mapping[str, Any], dict[str, QueueAddress]], Any]

VERSION: Final = 1
"""Of the form; a file of another one is refused."""

_LIMITS: Final = frozenset(field.name for field in fields(Limits))
_SETTINGS: Final = ("delay_us", "retention_us", "visibility_us", "fifo", "deduplicates_by_group")
"""What of a queue's settings the checkers ask for, besides the redrive policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHistory:
    """What was read.

    Attributes:
        limits: of the engine.
        events: in order; bodies are their MD5.
    """

    limits: Limits
    events: list[Event]


def write_engine_history(events: Iterable[Event], limits: Limits | None = None) -> Iterator[str]:
    """Give the lines, without line ends."""
    yield json.dumps({"busframe_history": VERSION, "level": "engine", "limits": asdict(limits or Limits())})
    for event in events:
        yield json.dumps(_write(event), separators=(",", ":"))


def read_engine_history(header: Mapping[str, Any], lines: Iterable[tuple[int, Mapping[str, Any]]]) -> EngineHistory:
    """Read what follows a header.

    Args:
        header: the first line, read.
        lines: numbers and contents of the others.

    Raises:
        ValueError: a line is not of the form; says which and why.
    """
    limits: Any = header.get("limits", {})
    if not hasattr(limits, "keys") or not _LIMITS.issuperset(limits.keys()):
        raise ValueError(f"line 1: limits {limits!r}: names are {', '.join(sorted(_LIMITS))}")
    events: list[Event] = []
    addresses: dict[str, QueueAddress] = {}
    for number, line in lines:
        try:
            events.append(_read(line, addresses))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"line {number}: {error!r} in {line!r}") from None
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if len(events) > 1 and events[-1].at_us < events[-2].at_us:
            raise ValueError(f"line {number}: t goes back, to {events[-1].at_us}: events stand in the order of time")
    return EngineHistory(limits=Limits(**limits), events=events)


# --- one event ------------------------------------------------------------------------------------------------------


def _write(event: Event) -> dict[str, Any]:
    line: dict[str, Any] = {"t": event.at_us, "kind": event.kind, "queue": event.queue.arn}
    numbers = {"message": event.message, "delivery": event.delivery, "until": event.until_us, "slot": event.slot}
    line.update((name, number) for name, number in numbers.items() if number)
    match event.about:
        case QueueSettings() as settings:
            line["settings"] = {name: getattr(settings, name) for name in _SETTINGS}
            if settings.redrive is not None:
                line["settings"]["redrive"] = [settings.redrive.target.arn, settings.redrive.max_receive_count]
        case Content() as content:
            line.update(_digests(content.body, content.attributes))
            line["sent"] = content.sent_us
            more = {"group": content.group, "deduplication": content.deduplication_id, "received": content.received}
            line.update((name, value) for name, value in more.items() if value)
            if content.source is not None:
                line["source"] = content.source.arn
        case Delivery() as delivery:
            line.update(_digests(delivery.body, delivery.attributes))
            line |= {
                "count": delivery.receive_count,
                "sent": delivery.sent_us,
                "first": delivery.first_received_us,
                "id": delivery.message_id,
            }
        case Counts() as counts:
            line["counts"] = list(counts)
        case Redrive() as redrive:
            line["redrive"] = [redrive.target.arn, redrive.max_receive_count]
        case None:
            pass
    return line


def _read(line: Mapping[str, Any], addresses: dict[str, QueueAddress]) -> Event:
    kind = line["kind"]
    read_about: _ReadAbout = _ABOUT.get(kind, _nothing)
    number = {name: _whole(line, name) for name in ("message", "delivery", "until", "slot")}
    return Event(
        kind,
        _whole(line, "t", required=True),
        _address(line["queue"], addresses),
        number["message"],
        number["delivery"],
        number["until"],
        number["slot"],
        read_about(line, addresses),
    )


def _settings(line: Mapping[str, Any], addresses: dict[str, QueueAddress]) -> QueueSettings:
    given = dict(line["settings"])
    redrive = given.pop("redrive", None)
    return QueueSettings(redrive=None if redrive is None else _redrive_of(redrive, addresses), **given)


def _content(line: Mapping[str, Any], addresses: dict[str, QueueAddress]) -> Content:
    source = line.get("source")
    return Content(
        line.get("body", ""),
        _attributes(line),
        line.get("group"),
        line.get("deduplication"),
        _whole(line, "sent", required=True),
        None if source is None else _address(source, addresses),
        _whole(line, "received"),
    )


def _delivery(line: Mapping[str, Any], addresses: dict[str, QueueAddress]) -> Delivery:  # noqa: ARG001 - as the others
    return Delivery(
        message_id=line.get("id", ""),
        receipt="",
        body=line.get("body", ""),
        attributes=_attributes(line),
        receive_count=_whole(line, "count", required=True),
        sent_us=_whole(line, "sent", required=True),
        first_received_us=_whole(line, "first", required=True),
        sender="",
        group=None,
        deduplication_id=None,
        sequence=None,
        trace_header=None,
        source=None,
    )


def _counts(line: Mapping[str, Any], addresses: dict[str, QueueAddress]) -> Counts:  # noqa: ARG001 - as the others
    return Counts(*line["counts"])


def _redrive(line: Mapping[str, Any], addresses: dict[str, QueueAddress]) -> Redrive | None:
    return _redrive_of(line["redrive"], addresses) if "redrive" in line else None


def _redrive_of(written: Any, addresses: dict[str, QueueAddress]) -> Redrive:
    arn, most = written
    return Redrive(_address(arn, addresses), most)


def _nothing(line: Mapping[str, Any], addresses: dict[str, QueueAddress]) -> None:
    pass


_ABOUT: Final[Mapping[str, _ReadAbout]] = {
    "queue_created": _settings,
    "queue_changed": _settings,
    "looked": _counts,
    "sent": _content,
    "arrived": _content,
    "deduplicated": _content,
    "delivered": _delivery,
    "delivered_again": _delivery,
    "moved": _redrive,
}

# --- members --------------------------------------------------------------------------------------------------------


def _address(arn: str, addresses: dict[str, QueueAddress]) -> QueueAddress:
    address = addresses.get(arn)
    if address is None:
        found = QueueAddress.from_arn(arn)
        if found is None:
            raise ValueError(f"{arn!r} is not the ARN of a queue")
        address = addresses[arn] = found
    return address


def _whole(line: Mapping[str, Any], name: str, *, required: bool = False) -> int:
    value = line[name] if required else line.get(name, 0)
    if type(value) is not int:
        _refuse(name, value)
    return value


def _refuse(name: str, value: object) -> NoReturn:
    raise ValueError(f"{name}: {value!r} is not a whole number")


def _digests(body: str, attributes: Mapping[str, MessageAttribute] | None) -> dict[str, str]:
    written = {"body": md5(body.encode(), usedforsecurity=False).hexdigest()}
    if attributes:
        parts = [f"{name}\0{one.data_type}\0{one.value!r}" for name, one in sorted(attributes.items())]
        written["attributes"] = md5("\0".join(parts).encode(), usedforsecurity=False).hexdigest()
    return written


def _attributes(line: Mapping[str, Any]) -> dict[str, MessageAttribute] | None:
    """The digest of the attributes, in the place of attributes."""
    return {"": MessageAttribute("", line["attributes"])} if "attributes" in line else None
