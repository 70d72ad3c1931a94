"""Histories of clients as lines of JSON: one line for each thing a client asked for, and what it was told.

    {"busframe_history": 1, "level": "client"}
    {"queue": "orders", "settings": {"visibility_s": 30}}
    {"op": "send", "queue": "orders", "began": 1000, "ended": 2000, "outcome": "ok", "id": "5f..", "body": "c4ca42.."}

`docs/faults.md` has the table. Times are whole microseconds of one clock; a call that nobody knows the end of has none.
An outcome is "ok", "fail" (surely nothing was done) or "unknown" (a broken connection, a timeout, an answer of 5xx).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args

import msgspec

from busframe_emulator.delivery.history import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Operation = Literal["send", "receive", "delete", "visibility", "purge", "move"]
Outcome = Literal["ok", "fail", "unknown", "missing", "both"]

T = TypeVar("T")

FOREVER_US: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """What is known of a queue; None: not known.

    Attributes:
        fifo: its name says so, unless this does.
        max_receives: before a message becomes a dead letter; 0: there is no dead-letter queue.
        deduplicates_by_group: each message group has deduplication ids of its own.
    """

    fifo: bool | None = None
    visibility_s: float | None = None
    delay_s: float = 0.0
    retention_s: float | None = None
    max_receives: int | None = None
    deduplicates_by_group: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    queue: str
    settings: QueueFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One delivery, as the receiver saw it.

    Attributes:
        body: a digest.
        count: the receive count it was told; 0: none.
        sequence: of a FIFO queue.
    """

    id: str
    receipt: str
    body: str = ""
    count: int = 0
    group: str | None = None
    sequence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing that a client asked for. A batch is a call for each of its entries.

    Attributes:
        began, ended: microseconds; `ended` is None if nobody knows.
        outcome: "missing" and "both": an entry that is in neither list of a batch's answer, or in both.
        client: who.
        id, body, group, deduplication, delay_s: of what was sent; the id is what the answer said.
        receipt: of what is deleted, or hidden for `visibility_s`.
        visibility_s, wait_s, attempt: of a receive; None: the queue's own, or none.
        messages: what a receive brought.
    """

    op: Operation
    queue: str
    began: int
    ended: int | None = None
    outcome: Outcome = "unknown"
    client: str = ""
    id: str = ""
    body: str = ""
    group: str | None = None
    deduplication: str | None = None
    delay_s: float | None = None
    receipt: str = ""
    visibility_s: float | None = None
    wait_s: float = 0.0
    attempt: str | None = None
    messages: tuple[Seen, ...] = ()

    @property
    def ended_us(self) -> int:
        """When it had ended at the latest."""
        return FOREVER_US if self.ended is None else self.ended


@dataclass(slots=True, kw_only=True)
class ClientHistory:
    """Calls, and what is known of the queues."""

    queues: dict[str, QueueFacts] = field(default_factory=dict[str, QueueFacts])
    calls: list[Call] = field(default_factory=list["Call"])


_MEMBERS: Final[Mapping[type[Any], Mapping[str, None]]] = {
    kind: dict.fromkeys(one.name for one in fields(kind)) for kind in (QueueFacts, _Known, Seen, Call)
}


def write_client_history(history: ClientHistory) -> Iterator[str]:
    """Give the lines, without line ends."""
    yield json.dumps({"busframe_history": VERSION, "level": "client"})
    for name, facts in history.queues.items():
        yield json.dumps({"queue": name, "settings": _spare(facts)})
    for call in history.calls:
        line = _spare(call)
        if call.messages:
            line["messages"] = [_spare(message) for message in call.messages]
        yield json.dumps(line, separators=(",", ":"))


def read_client_history(lines: Iterable[tuple[int, Mapping[str, Any]]]) -> ClientHistory:
    """Read what follows the header.

    Raises:
        ValueError: a line is not of the form; says which and why.
    """
    history = ClientHistory()
    for number, line in lines:
        try:
            if "settings" in line:
                known = _read(_Known, line)
                _require_members(QueueFacts, line["settings"])
                history.queues[known.queue] = known.settings
            else:
                history.calls.append(_call(line))
        except ValueError as error:
            raise ValueError(f"line {number}: {error} in {line!r}") from None
    return history


def _call(line: Mapping[str, Any]) -> Call:
    for name, values in (("op", get_args(Operation)), ("outcome", get_args(Outcome))):
        if name in line and line[name] not in values:
            raise ValueError(f"{name} {line[name]!r}: there are {', '.join(sorted(values))}")
    call = _read(Call, line)
    for message in line.get("messages", ()):
        _require_members(Seen, message)
    if call.ended_us < call.began:
        raise ValueError(f"ended {call.ended} is before began {call.began}")
    return call


def _read(kind: type[T], members: Mapping[str, Any]) -> T:
    read = msgspec.convert(members, kind)
    _require_members(kind, members)
    return read


def _require_members(kind: type[Any], members: Mapping[str, Any]) -> None:
    """Refuse a member that there is none of: it may be another's misspelt."""
    if unknown := members.keys() - _MEMBERS[kind]:
        raise ValueError(f"{', '.join(sorted(unknown))}: no such member; there are {', '.join(_MEMBERS[kind])}")


def _spare(kind: Call | Seen | QueueFacts) -> dict[str, Any]:
    """Its members, without those that are what they are if nobody says: 0 says something where that is None."""
    members = ((one, getattr(kind, one.name)) for one in fields(kind))
    return {one.name: value for one, value in members if value != one.default}
