"""A failed run as a file: the report, how it is replayed, and the whole record, for `busframe timeline` and for people.

JSON. The record's entries are lists in the order of `record.Entry`'s fields; keys that JSON has no form for are text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from busframe.simulation.deviations import describe, why
from busframe.simulation.narrating import about, narrate
from busframe.simulation.record import Entry
from busframe.simulation.reporting import pointed_at, replay_command, replay_token, report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from busframe.simulation.narrating import Line
    from busframe.simulation.reporting import Failure

FORMAT: Final = 1

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_NAME_LENGTH_MAX: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFailure:
    """What a file holds.

    Attributes:
        name: of the scenario.
        check, text: what broke.
        where: seed, profile, event loop and the like, for people.
        deviations: the smallest script: each in words, and why it is allowed.
        report: as it was printed.
        token: replays it.
        replay: the command that does; the token alone where there is none.
        entries: the record of the smallest run.
        marked: the numbers of the entries at which something is wrong.
        marks: by number, what to say of an entry where a deviation shows.
        messages: those that it is about, by queue and ordinal; empty: all.
        bodies: of messages, by queue and ordinal.
    """

    name: str
    check: str
    text: str
    where: str
    deviations: Sequence[tuple[str, str]]
    report: str
    token: str
    replay: str
    entries: Sequence[Entry]
    marked: frozenset[int]
    marks: Mapping[int, str]
    messages: frozenset[tuple[str, int]]
    bodies: Mapping[tuple[str, int], str]

    @property
    def lines(self) -> list[Line]:
        """The record as lines for people."""
        return narrate(self.entries, self.marks, dict.fromkeys(self.marked, self.check))


def save(failure: Failure, folder: Path) -> Path:
    """Write a failure into a folder, which is made if need be, and say where."""
    run = failure.smallest
    marks, broken = pointed_at(failure)
    data = {
        "format": FORMAT,
        "name": failure.name,
        "check": failure.violation.check,
        "text": failure.violation.text,
        "seed": failure.found.seed,
        "profile": failure.profile,
        "backend": failure.backend,
        "where": _where(failure),
        "token": replay_token(failure),
        "replay": "" if failure.of_search else replay_command(failure),
        "report": report(failure),
        "script": run.fired.to_data()["script"],
        "deviations": [[describe(*entry), why(entry[0], entry[2])] for entry in run.fired],
        "fields": list(Entry._fields),
        "entries": [list(entry) for entry in run.entries],
        "marked": list(broken),
        "marks": list(marks.items()),
        "messages": sorted(about(run.bodies, failure.violation, run.reads_keys) or ()),
        "bodies": [[queue, message, body] for (queue, message), body in run.bodies.items()],
    }
    folder.mkdir(parents=True, exist_ok=True)
    # What a search wrote knows more than a replay: how many deviations it began with, and under which profile.
    number = f"{failure.found.seed}{'-replay' if failure.is_replay else ''}"
    path = folder / f"{_UNSAFE.sub('_', failure.name)[-_NAME_LENGTH_MAX:].strip('_')}-{number}.json"
    path.write_text(json.dumps(data, default=repr, indent=1), encoding="utf-8")
    return path


def load(path: Path) -> SavedFailure:
    """Read a file.

    Raises:
        ValueError: it is none, or of another format.
        OSError: it cannot be read.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}: this version reads format {FORMAT}")
        return SavedFailure(
            **{name: data[name] for name in ("name", "check", "text", "where", "report", "token", "replay")},
            deviations=[(words, reason) for words, reason in data["deviations"]],
            entries=[Entry(*_with_hashable_key(entry)) for entry in data["entries"]],
            marked=frozenset(data["marked"]),
            marks={number: mark for number, mark in data["marks"]},  # noqa: C416 - pairs are lists in JSON
            messages=frozenset((queue, message) for queue, message in data["messages"]),
            bodies={(queue, message): body for queue, message, body in data["bodies"]},
        )
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no failure of a simulation: {error!r}") from error


def _where(failure: Failure) -> str:
    if failure.of_search:
        return f"{failure.passed} seeds tried, profile {failure.profile}, {failure.backend}"
    if failure.is_calm:
        return f"in a calm world, {failure.backend}"
    found = len(failure.found.fired)
    shrunk = f", {found} deviations shrunk to {len(failure.smallest.fired)} in {failure.shrink_runs} runs"
    return (
        f"seed {failure.found.seed}, {failure.passed} seeds passed before, profile {failure.profile}, {failure.backend}"
        f"{shrunk if failure.shrink_runs else ''}"
    )


def _with_hashable_key(fields: list[Any]) -> list[Any]:
    return [_hashable(value) for value in fields]


def _hashable(value: object) -> object:
    # A tuple was a list in JSON.
    return tuple(_hashable(part) for part in cast("list[object]", value)) if isinstance(value, list) else value
