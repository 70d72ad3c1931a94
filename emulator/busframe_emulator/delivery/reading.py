"""Reads a history, of whichever level, and judges it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from busframe_emulator.delivery.checkers import EngineChecks
from busframe_emulator.delivery.checkers.client_level import check_clients
from busframe_emulator.delivery.client_history import read_client_history
from busframe_emulator.delivery.history import VERSION, read_engine_history

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from busframe_emulator.delivery.checkers import Report


def check_history(lines: Iterable[str], *, allow: Collection[str] = ()) -> Report:
    """Judge the history in these lines.

    Args:
        lines: of the file.
        allow: checks whose findings count as fine.

    Raises:
        ValueError: it is no history, or there is no such check.
    """
    objects = _objects(lines)
    nothing: tuple[int, Mapping[str, Any]] = (1, {})
    number, header = next(objects, nothing)
    if header.get("busframe_history") != VERSION:
        raise ValueError(f'line {number}: a history begins with {{"busframe_history": {VERSION}, "level": "engine"}}')
    if header.get("level") == "client":
        return check_clients(read_client_history(objects), allow=allow)
    if header.get("level") != "engine":
        raise ValueError(f"line {number}: level {header.get('level')!r}: there are engine and client")
    history = read_engine_history(header, objects)
    checks = EngineChecks(limits=history.limits, allow=allow)
    for event in history.events:
        checks.event(event)
    return checks.finish(history.events[-1].at_us if history.events else 0)


def _objects(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            read: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: no JSON: {error}") from None
        if not isinstance(read, dict):
            raise ValueError(f"line {number}: {read!r} is no object")  # noqa: TRY004 - the file is at fault
        yield number, read
