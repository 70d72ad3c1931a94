"""A failed run as a file: the report, how it is replayed, and the whole record, for `busframe timeline` and for people.

JSON. The record's entries are lists in the order of `record.Entry`'s fields; keys that JSON has no form for are text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from busframe.simulation.record import Entry
from busframe.simulation.reporting import replay_token, report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from busframe.simulation.reporting import Failure

FORMAT: Final = 1

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_NAME_LENGTH_MAX: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFailure:
    """What a file holds.

    Attributes:
        name: of the scenario.
        report: as it was printed.
        token: replays it.
        entries: the record of the smallest run.
        marked: the numbers of the entries at which something is wrong.
        bodies: of messages, by queue and ordinal.
    """

    name: str
    report: str
    token: str
    entries: Sequence[Entry]
    marked: frozenset[int]
    bodies: Mapping[tuple[str, int], str]


def save(failure: Failure, folder: Path) -> Path:
    """Write a failure into a folder, which is made if need be, and say where."""
    run = failure.smallest
    marked = set(failure.violation.entries)
    data = {
        "format": FORMAT,
        "name": failure.name,
        "check": failure.violation.check,
        "text": failure.violation.text,
        "seed": failure.found.seed,
        "profile": failure.profile,
        "backend": failure.backend,
        "token": replay_token(failure),
        "report": report(failure),
        "script": run.fired.to_data()["script"],
        "fields": list(Entry._fields),
        "entries": [list(entry) for entry in run.entries],
        "marked": [number for number, entry in enumerate(run.entries) if entry in marked],
        "bodies": [[queue, message, body] for (queue, message), body in run.bodies.items()],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_UNSAFE.sub('_', failure.name)[-_NAME_LENGTH_MAX:].strip('_')}-{failure.found.seed}.json"
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
            name=data["name"],
            report=data["report"],
            token=data["token"],
            entries=[Entry(*_with_hashable_key(entry)) for entry in data["entries"]],
            marked=frozenset(data["marked"]),
            bodies={(queue, message): body for queue, message, body in data["bodies"]},
        )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no failure of a simulation: {error!r}") from error


def _with_hashable_key(fields: list[Any]) -> list[Any]:
    # A tuple was a list in JSON.
    return [tuple(cast("list[object]", value)) if isinstance(value, list) else value for value in fields]
