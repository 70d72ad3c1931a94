"""Limits as people name them: durations in seconds, everything else a number, or true and false.

    busframe emulator --limit in_flight_max=10 --limit purge_interval_s=0

The names are those of `engine.settings.Limits`, where each is explained; only that a name's `us` is an `s` here.
"""

from __future__ import annotations

import re
from dataclasses import fields
from math import isfinite
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.settings import SECOND_US, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LimitValue = float | bool
"""What a limit can be set to; an `int` is a `float` to type checkers."""

_MICROSECONDS: Final = re.compile(r"_us(?=_|$)").search
_AT_LEAST_ONE: Final = frozenset({"in_flight_max", "fifo_search_max", "move_tasks_max", "moves_per_s"})
"""At 0 nothing could be received or moved, ever."""

FIELDS: Final = {re.sub(r"_us(?=_|$)", "_s", field.name): field.name for field in fields(Limits)}
"""The field of `Limits` that each name means."""

DEFAULTS: Final[dict[str, LimitValue]] = {
    name: value / SECOND_US if _MICROSECONDS(field) else value
    for name, field in FIELDS.items()
    for value in [getattr(Limits(), field)]
}
"""What each limit is where nobody sets it."""


def make_limits(given: Mapping[str, object]) -> Limits:
    """Take AWS's limits, but those that are given.

    Args:
        given: by name, such as `{"in_flight_max": 10, "purge_interval_s": 0}`.

    Raises:
        ValueError: a name is none, or a value is of another type or out of range.
    """
    limits = Limits()
    for name, value in given.items():
        field = FIELDS.get(name)
        if field is None:
            raise ValueError(f"there is no limit {name!r}; there are {', '.join(FIELDS)}")
        setattr(limits, field, _read(name, field, value))
    return limits


def parse_limits(texts: Iterable[str]) -> dict[str, LimitValue]:
    """Read limits as they stand on a command line: NAME=VALUE each; of two with one name the last one counts.

    Raises:
        ValueError: a text is not of that form.
    """
    given: dict[str, LimitValue] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r} is no limit: NAME=VALUE is expected, with one of {', '.join(FIELDS)}")
        given[name] = _parse(name, value)
    return given


def _parse(name: str, text: str) -> LimitValue:
    if text in {"true", "false"}:
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"limit {name}: {text!r} is neither a number nor true nor false") from None


def _read(name: str, field: str, value: object) -> int | bool:
    """Check a value, and give it as the engine has it."""
    if isinstance(DEFAULTS[name], bool):
        if isinstance(value, bool):
            return value
        raise ValueError(f"limit {name}: {value!r} is neither true nor false")
    if _MICROSECONDS(field):
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0:
            return round(value * SECOND_US)
        raise ValueError(f"limit {name}: {value!r} is no number of seconds from 0")
    low = 1 if name in _AT_LEAST_ONE else 0
    if isinstance(value, int) and not isinstance(value, bool) and value >= low:
        return value
    raise ValueError(f"limit {name}: {value!r} is no whole number from {low}")
