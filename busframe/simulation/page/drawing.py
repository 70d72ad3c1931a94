"""The drawing: a lane for each node and each message, time going down, a row for each event."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final

from busframe.simulation.lanes import ENDS, HIDES, SHOWS, Lanes, at_message, at_node
from busframe.simulation.narrating import details

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from busframe.simulation.narrating import Line

_TIME: Final = 96
_NODE: Final = 178
_MESSAGE: Final = 186
_MARKS: Final = 190
_ROW: Final = 27
_PAUSE: Final = 22
_HEAD: Final = 34
_GAP_US: Final = 1_000_000
_TEXT: Final = 23
"""Characters of a label that fit into a lane."""

_DOWN: Final = frozenset({"killed", "stopped", "failed"})


@dataclass(slots=True)
class _Drawing:
    """Where everything goes.

    Attributes:
        rows: the height at which each line is drawn.
        gaps: pauses between rows: height, and what to say.
    """

    lines: Sequence[Line]
    lanes: Lanes
    rows: list[float] = field(default_factory=list[float])
    gaps: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    height: float = 4

    @classmethod
    def of(cls, lines: Sequence[Line]) -> _Drawing:
        drawing = cls(lines, Lanes.of(lines))
        before_us: int | None = None
        for line in lines:
            at_us = line.entry.at_us
            if before_us is not None and at_us - before_us >= _GAP_US:
                drawing.gaps.append((drawing.height + _PAUSE / 2, _span(at_us - before_us)))
                drawing.height += _PAUSE
            drawing.rows.append(drawing.height + _ROW / 2)
            drawing.height += _ROW
            before_us = at_us
        drawing.height += 12
        return drawing

    @property
    def width(self) -> int:
        return _TIME + _NODE * len(self.lanes.nodes) + _MESSAGE * len(self.lanes.messages) + _MARKS

    def at(self, at_us: int) -> float:
        """The height of the first line from a time on."""
        rows = zip(self.lines, self.rows, strict=True)
        return next((y for line, y in rows if line.entry.at_us >= at_us), self.height)

    def node_x(self, name: str) -> int:
        return _TIME + 14 + _NODE * self.lanes.nodes.index(name)

    def message_x(self, place: tuple[str, int]) -> int:
        return _TIME + 14 + _NODE * len(self.lanes.nodes) + _MESSAGE * self.lanes.messages.index(place)


def draw(lines: Sequence[Line], bodies: Mapping[tuple[str, int], str]) -> str:
    """Draw lines as two SVG elements: the names of the lanes, which stay in sight, and what happened in them."""
    drawing = _Drawing.of(lines)
    parts = [*_grounds(drawing), *_gaps(drawing), *_lives(drawing), *_messages(drawing), *_rows(drawing, bodies)]
    return (
        f'<div class="names">{_svg(drawing.width, _HEAD, _heads(drawing, bodies), "lanes")}</div>'
        f"{_svg(drawing.width, drawing.height, parts, 'timeline')}"
    )


def _svg(width: float, height: float, parts: Iterable[str], label: str) -> str:
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    return f'<svg {size} role="group" aria-label="{label}">{"".join(parts)}</svg>'


def _grounds(drawing: _Drawing) -> Iterator[str]:
    for line, y in zip(drawing.lines, drawing.rows, strict=True):
        if line.marks:
            kind = "wrong" if line.broken else "cause"
            yield f'<rect class="ground {kind}" x="0" width="{drawing.width}" y="{y - _ROW / 2:g}" height="{_ROW}"/>'


def _heads(drawing: _Drawing, bodies: Mapping[tuple[str, int], str]) -> Iterator[str]:
    yield f'<text class="head" x="{_TIME - 14}" y="22" text-anchor="end">seconds</text>'
    for name in drawing.lanes.nodes:
        yield f'<text class="head node" x="{drawing.node_x(name) - 6}" y="22">{escape(_cut(name))}</text>'
    for place in drawing.lanes.messages:
        name = f"{place[0]}#{place[1]}"
        about = escape(bodies.get(place, ""))
        x = drawing.message_x(place) - 6
        yield f'<text class="head message" x="{x}" y="22"><title>{about}</title>{escape(_cut(name))}</text>'


def _gaps(drawing: _Drawing) -> Iterator[str]:
    for y, text in drawing.gaps:
        yield f'<line class="gap" x1="{_TIME}" x2="{drawing.width}" y1="{y:g}" y2="{y:g}"/>'
        yield f'<text class="gap" x="{_TIME - 14}" y="{y + 4:g}" text-anchor="end">{text}</text>'


def _lives(drawing: _Drawing) -> Iterator[str]:
    """When each node was up; the scenario itself is, all the time."""
    for name in drawing.lanes.nodes:
        x = drawing.node_x(name)
        yield f'<line class="lane" x1="{x}" x2="{x}" y1="0" y2="{drawing.height:g}"/>'
        up: float | None = None if any(_is(line, name, "started") for line in drawing.lines) else 2.0
        for line, y in zip(drawing.lines, drawing.rows, strict=True):
            if _is(line, name, "started"):
                up = y
            elif line.entry.node == name and line.entry.kind in _DOWN and up is not None:
                yield _bar("alive", x - 4, up, y, 8)
                up = None
        if up is not None:
            yield _bar("alive", x - 4, up, drawing.height - 6, 8)
        for line, y in zip(drawing.lines, drawing.rows, strict=True):
            if _is(line, name, "paused"):
                yield _bar("stalled", x - 4, y, drawing.at(line.until_us), 8)


def _messages(drawing: _Drawing) -> Iterator[str]:
    """How long each message was there, and which deliveries hid it."""
    for place in drawing.lanes.messages:
        x = drawing.message_x(place)
        own = [
            (line, y)
            for line, y in zip(drawing.lines, drawing.rows, strict=True)
            if (line.entry.queue, line.entry.message) == place
        ]
        yield f'<line class="lane" x1="{x}" x2="{x}" y1="{own[0][1]:g}" y2="{drawing.height:g}"/>'
        leases: dict[int, float] = {}
        for line, y in own:
            kind, delivery = line.entry.kind, line.entry.delivery
            if kind in HIDES:
                leases.setdefault(delivery, y)
            elif kind == "visible" or (kind in ENDS | SHOWS and not delivery):
                ended, leases = leases, {}
                yield from (_lease(x, nth, up, y) for nth, up in ended.items())
            elif kind in ENDS | SHOWS and delivery in leases:
                yield _lease(x, delivery, leases.pop(delivery), y)
        yield from (_lease(x, nth, up, drawing.height - 6) for nth, up in leases.items())


def _lease(x: int, delivery: int, top: float, bottom: float) -> str:
    return _bar(f"lease nth{delivery % 2}", x - 5 + 4 * ((delivery - 1) % 3), top, bottom, 6)


def _rows(drawing: _Drawing, bodies: Mapping[tuple[str, int], str]) -> Iterator[str]:
    shown: str | None = None
    for line, y in zip(drawing.lines, drawing.rows, strict=True):
        entry = line.entry
        time = f"{entry.at_us / 1e6:.6f}".rstrip("0").rstrip(".")
        kind = "wrong" if line.broken else "cause" if line.marks else "plain"
        what = [time + " s", entry.node or "the broker", entry.kind.replace("_", " ")]
        what += [f"{entry.queue}#{entry.message}"] if entry.message else [entry.queue] if entry.queue else []
        what += details(line, bodies) + [f"<< {mark}" for mark in line.marks]
        text = escape("   ".join(what), quote=True)
        yield f'<g class="event {kind}" tabindex="-1" role="img" aria-label="{text}"><title>{text}</title>'
        yield f'<rect class="row" x="0" width="{drawing.width}" y="{y - _ROW / 2:g}" height="{_ROW}"/>'
        if time != shown:
            yield f'<text class="time" x="{_TIME - 14}" y="{y + 4:g}" text-anchor="end">{time}</text>'
            shown = time
        yield from _event(drawing, line, y)
        if line.marks:
            x = drawing.width - _MARKS + 8
            yield f'<text class="mark" x="{x}" y="{y + 4:g}">◂ {escape(", ".join(line.marks))}</text>'
        yield "</g>"


def _event(drawing: _Drawing, line: Line, y: float) -> Iterator[str]:
    entry = line.entry
    place = (entry.queue, entry.message)
    if entry.node and entry.message:
        one, other = drawing.node_x(entry.node), drawing.message_x(place)
        yield f'<line class="between" x1="{one}" x2="{other}" y1="{y:g}" y2="{y:g}"/>'
    if entry.node:
        x = drawing.node_x(entry.node)
        yield f'<circle class="dot {entry.kind}" cx="{x}" cy="{y:g}" r="5"/>'
        yield f'<text class="label" x="{x + 12}" y="{y + 4:g}">{escape(_cut(at_node(line)))}</text>'
    if entry.message:
        x = drawing.message_x(place)
        yield f'<circle class="dot message {entry.kind}" cx="{x}" cy="{y:g}" r="4.5"/>'
        yield f'<text class="label" x="{x + 14}" y="{y + 4:g}">{escape(_cut(at_message(line)))}</text>'
    elif not entry.node:
        yield f'<text class="label" x="{_TIME + 8}" y="{y + 4:g}">{escape(entry.kind)} {escape(entry.queue)}</text>'


def _is(line: Line, node: str, kind: str) -> bool:
    return line.entry.node == node and line.entry.kind == kind


def _bar(kind: str, x: float, top: float, bottom: float, width: int) -> str:
    height = max(bottom - top, 2)
    return f'<rect class="{kind}" x="{x:g}" y="{top:g}" width="{width}" height="{height:g}" rx="3"/>'


def _span(span_us: int) -> str:
    seconds = span_us / 1e6
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"+ {seconds / size:.3g} {unit}"
    return f"+ {seconds:.3g} s"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT else line[: _TEXT - 1] + "…"
