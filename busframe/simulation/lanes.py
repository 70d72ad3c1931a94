"""A record in lanes: one for each node and one for each message, time going down. Here as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from busframe.simulation.narrating import STORED, relevant, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.simulation.failure_file import SavedFailure
    from busframe.simulation.narrating import Line

WIDTH: Final = 120
_TIME_WIDTH: Final = 11
_LANE_WIDTH_MIN: Final = 16
_LANE_WIDTH_MAX: Final = 26
_MARK_WIDTH: Final = 24

_SPEAK: Final = frozenset({"called", "note", "failure", "late", "entry_failed"})
"""Kinds whose text says it all."""

ENDS: Final = frozenset({"deleted", "acknowledged", "moved", "expired", "purged"})
HIDES: Final = frozenset({"received", "delivered", "delivered_again"})
SHOWS: Final = frozenset({"visible", "released"})


@dataclass(frozen=True, slots=True)
class Lanes:
    """Who and what has a lane.

    Attributes:
        nodes: in the order in which they appear, the scenario itself first.
        messages: by queue and ordinal, in the order in which they were sent.
    """

    nodes: Sequence[str]
    messages: Sequence[tuple[str, int]]

    @classmethod
    def of(cls, lines: Sequence[Line]) -> Lanes:
        """Give everything that appears in some lines a lane."""
        nodes = dict.fromkeys(line.entry.node for line in lines if line.entry.node)
        messages = dict.fromkeys((line.entry.queue, line.entry.message) for line in lines if line.entry.message)
        return cls(sorted(nodes, key=lambda name: name != "test"), list(messages))


def focused(saved: SavedFailure) -> list[Line]:
    """The lines about what broke."""
    key = next((saved.entries[number].key for number in sorted(saved.marked)), None)
    return relevant(saved.lines, set(saved.messages) or None, key, saved.bodies)


def in_lanes(lines: Sequence[Line], *, width: int = WIDTH, most: int | None = None) -> list[str]:
    """Write lines into lanes, no wider than `width`; messages for which there is no room are said to be left out."""
    lanes = Lanes.of(lines)
    room = width - _TIME_WIDTH - _MARK_WIDTH
    fit = max(room // _LANE_WIDTH_MIN, len(lanes.nodes) + 1)
    shown = lanes.messages[: fit - len(lanes.nodes)]
    count = len(lanes.nodes) + len(shown)
    each = min(max(room // count, _LANE_WIDTH_MIN), _LANE_WIDTH_MAX) if count else _LANE_WIDTH_MIN
    names = [*lanes.nodes, *(f"{queue}#{message}" for queue, message in shown)]
    written = [f"{'seconds':>{_TIME_WIDTH - 2}}  " + "".join(_cell(name, each) for name in names).rstrip()]
    hidden: set[tuple[str, int]] = set()
    visible = [line for line in lines if line.entry.node or (line.entry.queue, line.entry.message) in shown]
    for line in shortened(visible, most=most) if most else visible:
        if isinstance(line, int):
            written.append(f"{'':>{_TIME_WIDTH - 2}}  ... {line} more ...")
        else:
            written.append(_row(line, lanes.nodes, shown, hidden, each))
    if left := len(lanes.messages) - len(shown):
        written.append(f"{left} more messages have no lane here: --width=N makes room, --html=OUT shows all")
    return written


def _row(
    line: Line, nodes: Sequence[str], messages: Sequence[tuple[str, int]], hidden: set[tuple[str, int]], each: int
) -> str:
    entry = line.entry
    place = (entry.queue, entry.message)
    cells = ["|" if node != entry.node else at_node(line) for node in nodes]
    cells += [":" if message in hidden else "|" for message in messages]
    if entry.message and place in messages:
        if entry.kind in HIDES:
            hidden.add(place)
        elif entry.kind in ENDS | SHOWS:
            hidden.discard(place)
        cells[len(nodes) + messages.index(place)] = at_message(line)
    head = f"{entry.at_us / 1e6:>{_TIME_WIDTH - 2}.4f}  "
    text = (head + "".join(_cell(cell, each) for cell in cells)).rstrip()
    return f"{text}  << {', '.join(line.marks)}" if line.marks else text


def at_node(line: Line) -> str:
    """What the node does, or what happens to it."""
    entry = line.entry
    if entry.kind in STORED:
        return f"{entry.text} ({entry.key!r})"  # where there is little room, what was found says more
    if entry.key is not None:
        return f"{entry.kind} {entry.key!r}"
    return entry.text if entry.kind in _SPEAK and entry.text else entry.kind


def at_message(line: Line) -> str:
    """What happens to the message."""
    entry = line.entry
    nth = f" {entry.delivery}" if entry.delivery else ""
    match entry.kind:
        case "received" | "delivered":
            until = f" until {line.until_us / 1e6:g}" if line.until_us else ""
            return f"delivery{nth}{until}"
        case "acknowledged":
            return "deleted"
        case "called":
            return f"handled{nth}"
        case kind:
            return kind.replace("_", " ")


def _cell(text: str, width: int) -> str:
    line = " ".join(text.split())
    return f"{line if len(line) < width else line[: width - 3] + '..':<{width}}"
