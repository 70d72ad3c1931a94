"""A record as lines for people: what belongs together on one line, what matters marked, and no more than fits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence

    from busframe.simulation.record import Entry
    from busframe.simulation.verdicts import Violation

LINES_MAX: Final = 36
_AROUND: Final = 2
_END: Final = 6
_BODY_LENGTH: Final = 60

# What the broker did and what a node heard of it, in the same instant, are one thing to a reader.
_HEARD: Final = {"received": "delivered", "acknowledged": "deleted", "released": "visibility_changed"}
STORED: Final = frozenset({"read", "wrote"})
_QUIET: Final = frozenset({"queue_created"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        number: of its entry in the record.
        until_us: until when the message is hidden by this; 0 if it is not.
        marks: what is to be pointed at.
        broken: something is wrong here; the last of the marks says what.
    """

    number: int
    entry: Entry
    until_us: int
    marks: tuple[str, ...]
    broken: bool = False


def narrate(entries: Sequence[Entry], marks: Mapping[int, str], violations: Mapping[int, str]) -> list[Line]:
    """Make lines of a record.

    Args:
        entries: the record.
        marks: by number, what to say of an entry: where a deviation shows.
        violations: by number, which check an entry breaks.
    """
    absorbed = _absorbed(entries)
    heard = {broker: number for number, broker in absorbed.items()}
    lines: list[Line] = []
    for number, entry in enumerate(entries):
        if entry.kind in _QUIET or number in absorbed:
            continue
        # Told where it happened: a node may have been stopped by the time it heard of it.
        at = heard.get(number, number)
        said = [mark for mark in dict.fromkeys((marks.get(at), marks.get(number))) if mark]
        if at in violations:
            said.append(violations[at])
        lines.append(Line(at, entries[at], entry.until_us, tuple(said), broken=at in violations))
    return lines


def _absorbed(entries: Sequence[Entry]) -> dict[int, int]:
    """By the number of what a node heard, the number of what the broker did, where that was in the same instant."""
    done: dict[tuple[object, ...], int] = {}
    absorbed: dict[int, int] = {}
    for number, entry in enumerate(entries):
        key = (entry.queue, entry.message, entry.delivery, entry.at_us)
        if entry.level == "broker":
            done[entry.kind, *key] = number
        elif entry.kind in _HEARD and (number_of := done.pop((_HEARD[entry.kind], *key), None)) is not None:
            absorbed[number] = number_of
    return absorbed


def about(
    bodies: Mapping[tuple[str, int], str],
    violation: Violation,
    reads_keys: Callable[[str], Collection[Hashable]] | None = None,
) -> set[tuple[str, int]] | None:
    """Which messages a violation is about. None: all, since nothing tells.

    Args:
        bodies: of all messages.
        violation: is about a key, or several.
        reads_keys: how keys are read from a body. Where it reads none of them, bodies are meant that name the key.
    """
    if violation.key is None or isinstance(violation.key, bool):
        return None
    keys = dict.fromkeys((violation.key, *(entry.key for entry in violation.entries if entry.key is not None)))
    named: set[tuple[str, int]] = set()
    if reads_keys is not None:
        named = {place for place, body in bodies.items() if not keys.keys().isdisjoint(_read(reads_keys, body))}
    named = named or {place for key in keys for place in _naming(bodies, key)}
    named |= {(entry.queue, entry.message) for entry in violation.entries if entry.message}
    return named or None


def _read(reads_keys: Callable[[str], Collection[Hashable]], body: str) -> Collection[Hashable]:
    try:
        return reads_keys(body)
    except Exception:  # noqa: BLE001 - a function of the scenario, which may know the messages of one queue only
        return ()


def _naming(bodies: Mapping[tuple[str, int], str], key: object) -> set[tuple[str, int]]:
    """The messages whose bodies name a key: all parts of one such as ("account", 3); the last, where none names all."""
    parts = [str(part) for part in (cast("tuple[object, ...]", key) if isinstance(key, tuple) else (key,))]
    if not all(parts):
        return set()
    named = {place for place, body in bodies.items() if all(_names(body, part) for part in parts)}
    return named or {place for place, body in bodies.items() if _names(body, parts[-1])}


def relevant(
    lines: Iterable[Line], messages: set[tuple[str, int]] | None, key: object, bodies: Mapping[tuple[str, int], str]
) -> list[Line]:
    """The lines that have to do with some messages, or with a key, or with the lives of nodes."""
    lines = _without_polling(lines)
    if messages is None:
        return lines
    texts = {place: bodies[place] for place in messages if place in bodies}
    keys = {line.entry.key for line in lines if line.entry.kind in STORED}
    stored = {one for one in keys if _naming(texts, one) or _naming({("", 0): repr(one)}, key)}
    return [
        line
        for line in lines
        if line.marks
        or (line.entry.queue, line.entry.message) in messages
        or (line.entry.key == key and key is not None)
        or (line.entry.level == "app" and not line.entry.message and line.entry.key is None)
        or (line.entry.kind in STORED and line.entry.key in stored)
    ]


def _without_polling(lines: Iterable[Line]) -> list[Line]:
    """Leave out what a node reads again, and finds the same, having done nothing else meanwhile."""
    known: dict[str, set[Entry]] = {}
    kept: list[Line] = []
    for line in lines:
        entry = line.entry
        found = known.setdefault(entry.node, set())
        if entry.kind == "read":
            same = entry._replace(at_us=0)
            if same in found and not line.marks:
                continue
            found.add(same)
        elif entry.node:
            found.clear()
        kept.append(line)
    return kept


def shortened(lines: Sequence[Line], *, most: int = LINES_MAX) -> list[Line | int]:
    """At most so many lines: those with marks and what is around them first. A number: so many are left out there."""
    if len(lines) <= most:
        return list(lines)
    chosen = _chosen(lines, most)
    shown: list[Line | int] = []
    for index, line in enumerate(lines):
        if index in chosen:
            shown.append(line)
        elif shown and isinstance(shown[-1], int):
            shown[-1] += 1
        else:
            shown.append(1)
    return shown


def _chosen(lines: Sequence[Line], most: int) -> set[int]:
    chosen: set[int] = set()
    marked = [index for index, line in enumerate(lines) if line.marks]
    # A story that is marked all over must not lose its end to that.
    chosen |= set(range(max(len(lines) - _END, 0), len(lines)))
    for around in (0, _AROUND):
        for index in marked:
            wanted = set(range(max(index - around, 0), min(index + around + 1, len(lines))))
            if len(chosen | wanted) <= most:
                chosen |= wanted
    # How it began and how it ended: where something never came, the end is all there is to see.
    both_ends = (index for pair in zip(range(len(lines)), reversed(range(len(lines))), strict=True) for index in pair)
    rest = (index for index in dict.fromkeys(both_ends) if index not in chosen)
    return chosen | set(islice(rest, most - len(chosen)))


def written(lines: Iterable[Line | int], bodies: Mapping[tuple[str, int], str]) -> list[str]:
    """Write lines out, one below the other."""
    known = list(lines)
    shown = [line for line in known if isinstance(line, Line)]
    width = max((len(line.entry.node or "(broker)") for line in shown), default=0)
    kind = max((len(line.entry.kind) for line in shown), default=0)
    place = max((len(_place(line.entry)) for line in shown), default=0)
    return [
        f"... {line} more ..." if isinstance(line, int) else _text(line, bodies, widths=(width, kind, place))
        for line in known
    ]


def told(entry: Entry, bodies: Mapping[tuple[str, int], str]) -> str:
    """One entry by itself, in one line."""
    return " ".join(written([Line(0, entry, entry.until_us, ())], bodies)[0].split())


def _text(line: Line, bodies: Mapping[tuple[str, int], str], *, widths: tuple[int, int, int]) -> str:
    entry = line.entry
    parts = (entry.node or "(broker)", entry.kind.replace("_", " "), _place(entry))
    columns = "  ".join(f"{part:<{width}}" for part, width in zip(parts, widths, strict=True))
    head = f"{entry.at_us / 1e6:>11.6f}  {columns}"
    text = f"{head}  {', '.join(details(line, bodies))}".rstrip()
    return f"{text:<88}  << {', '.join(line.marks)}" if line.marks else text


def details(line: Line, bodies: Mapping[tuple[str, int], str]) -> list[str]:
    """What else there is to say of a line."""
    entry = line.entry
    more: list[str] = []
    if entry.delivery:
        more.append(f"delivery {entry.delivery}")
    if line.until_us > entry.at_us:
        hides = "" if entry.kind in ("paused", "outage") else "hidden "
        more.append(f"{hides}until {line.until_us / 1e6:g}")
    if entry.kind == "sent" and (body := bodies.get((entry.queue, entry.message))):
        more.append(_short(body))
    if entry.key is not None:
        more.append(repr(entry.key))
    if entry.text:
        more.append(_short(entry.text))
    return more


def _place(entry: Entry) -> str:
    return f"{entry.queue}#{entry.message}" if entry.message else entry.queue


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _BODY_LENGTH else line[: _BODY_LENGTH - 3] + "..."


def _names(body: str, word: str) -> bool:
    """Whether a word stands in a body by itself: order 1 is not order 10."""
    start = body.find(word)
    while start >= 0:
        before, after = body[start - 1 : start], body[start + len(word) : start + len(word) + 1]
        if not (before.isalnum() and word[0].isalnum()) and not (after.isalnum() and word[-1].isalnum()):
            return True
        start = body.find(word, start + 1)
    return False
