"""How messages are shown: as rows of a table, whole, and as JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from busframe import runtime
from busframe.cli.output import age, say
from busframe.errors import CodecError
from busframe.headers import HEADERS, read_headers
from busframe.message import Peeked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe.dead_letters import Buried
    from busframe.headers import Headers
    from busframe.message import Received

SHORT: Final = 60
"""So much of a text stands in a table."""

COLUMNS: Final = ("message", "type", "state", "receives", "age", "sent", "body")
DEAD_COLUMNS: Final = ("message", "type", "attempts", "age", "died", "from", "reason")


def row_of(message: Peeked | Received) -> tuple[object, ...]:
    """A row below `COLUMNS`."""
    headers = headers_of(message)
    return (
        message.message_id,
        None if headers is None else headers.type,
        state_of(message),
        message.receive_count,
        ago(message.sent_at_s),
        runtime.iso_time(message.sent_at_s),
        short(message.body),
    )


def dead_row_of(letter: Buried) -> tuple[object, ...]:
    """A row below `DEAD_COLUMNS`."""
    at_s = letter.sent_at_s if letter.died_at_s is None else letter.died_at_s
    return (
        letter.message_id,
        letter.type,
        letter.attempts,
        ago(at_s),
        runtime.iso_time(at_s),
        letter.source,
        short(letter.reason or "received too often"),
    )


def as_json(message: Peeked | Received) -> dict[str, Any]:
    """A message for programs."""
    headers = headers_of(message)
    return {
        "message_id": message.message_id,
        "type": None if headers is None else headers.type,
        "state": state_of(message),
        "due_at": runtime.iso_time(message.due_at_s) if isinstance(message, Peeked) and message.due_at_s else None,
        "receive_count": message.receive_count,
        "sent_at": runtime.iso_time(message.sent_at_s),
        "age_s": _age_s(message.sent_at_s),
        "group": message.group,
        "dead_letter_source": message.dead_letter_source,
        "attributes": _attributes(message.attributes),
        "body": message.body,
    }


def dead_as_json(letter: Buried) -> dict[str, Any]:
    """A dead letter for programs."""
    return {
        "message_id": letter.message_id,
        "type": letter.type,
        "id": letter.id,
        "reason": letter.reason,
        "source": letter.source,
        "attempts": letter.attempts,
        "died_at": None if letter.died_at_s is None else runtime.iso_time(letter.died_at_s),
        "sent_at": runtime.iso_time(letter.sent_at_s),
        "age_s": _age_s(letter.sent_at_s if letter.died_at_s is None else letter.died_at_s),
        "group": letter.group,
        "attributes": _attributes(letter.attributes),
        "body": letter.body,
    }


def say_whole(fields: Mapping[str, Any]) -> None:
    """Print a message as JSON has it, a line for each field, its body last and as it is."""
    width = max(map(len, fields))
    for name, value in fields.items():
        if name in {"attributes", "body"} or value is None:
            continue
        said = (
            f"{value} ({ago_text(fields['age_s'])})"
            if name == ("died_at" if fields.get("died_at") else "sent_at")
            else value
        )
        say(f"{name.ljust(width)}  {said}")
    for name, value in fields["attributes"].items():
        say(f"{'attribute'.ljust(width)}  {name} = {value}")
    say()
    say(fields["body"])


def headers_of(message: Peeked | Received) -> Headers | None:
    """What the bus says of it; None if no bus sent it."""
    text = message.attributes.get(HEADERS)
    try:
        return None if text is None else read_headers(text, message)
    except CodecError:
        return None


def state_of(message: Peeked | Received) -> str:
    """Whether it waits, is in somebody's hands, or is not yet due, and for how much longer."""
    if not isinstance(message, Peeked):
        return "received"
    state = message.state.replace("_", " ")
    return state if message.due_at_s is None else f"{state}, {age(max(0.0, message.due_at_s - runtime.wall_s()))}"


def short(text: str) -> str:
    """The beginning of a text, on one line."""
    line = json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"') if not text.isprintable() else text
    return line if len(line) <= SHORT else f"{line[: SHORT - 3]}..."


def ago(at_s: float) -> str:
    """How long ago that was."""
    return ago_text(_age_s(at_s))


def ago_text(seconds: float) -> str:
    """An age as people say it."""
    return age(seconds) or "-"


def _age_s(at_s: float) -> float:
    # A broker's clock may be ahead of ours.
    return round(max(0.0, runtime.wall_s() - at_s), 3)


def _attributes(attributes: Mapping[str, str | bytes]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str) else {"base64": b64encode(value).decode()}
        for name, value in attributes.items()
    }
