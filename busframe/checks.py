"""What a parameter may be: the checks that public functions make of their arguments before they do anything.

Each returns if the value is allowed, and raises `InvalidArgumentError` with the parameter, the value and what is
allowed if it is not. A type checker finds most of it earlier; programs that use none, and values read from settings,
are the reason for looking. So `True` is no number and "5" is not 5: what looks nearly right is a mistake more often
than a wish.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isfinite
from typing import cast

from busframe.errors import InvalidArgumentError


def check_whole(parameter: str, value: object, low: int, high: int | None = None, *, or_none: str = "") -> None:
    """Make sure that a value is a whole number in a range.

    Args:
        parameter: its name, as the caller wrote it.
        value: what was given.
        low: the smallest.
        high: the largest; None is no bound.
        or_none: what None stands for, where it is allowed, such as "no bound".
    """
    if value is None and or_none:
        return
    allowed = f"{low} or more" if high is None else f"{low} to {high}"
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgumentError(parameter, value, _with_none(f"a whole number, {allowed}", or_none))
    if value < low or (high is not None and value > high):
        raise InvalidArgumentError(parameter, value, _with_none(allowed, or_none))


def check_seconds(
    parameter: str, value: object, low: float, high: float | None = None, *, above: bool = False, or_none: str = ""
) -> None:
    """Make sure that a value is a number of seconds in a range; never infinite.

    Args:
        parameter: as for `check_whole`, and so are the others.
        value: the same.
        low: the same.
        high: the same.
        above: `low` itself is not allowed.
        or_none: the same.
    """
    if value is None and or_none:
        return
    if high is not None:
        allowed = f"{low:g} to {high:.12g} seconds"
    elif above:
        allowed = f"more than {low:g} seconds, finite"
    else:
        allowed = f"{low:g} or more seconds, finite"
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise InvalidArgumentError(parameter, value, _with_none(f"a number of seconds: {allowed}", or_none))
    if not (isfinite(value) and low <= value and (high is None or value <= high)) or (above and value == low):
        raise InvalidArgumentError(parameter, value, _with_none(allowed, or_none))


def check_text(parameter: str, value: object, allowed: str = "text", *, or_none: bool = False) -> None:
    """Make sure that a value is text, also empty; `allowed` says more of what it should be."""
    if not (isinstance(value, str) or (or_none and value is None)):
        raise InvalidArgumentError(parameter, value, f"{allowed}, or None" if or_none else allowed)


def check_texts(parameter: str, value: object, allowed: str) -> None:
    """Make sure that a value maps text to text."""
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(parameter, value, allowed)
    for name, text in cast("Mapping[object, object]", value).items():
        if not (isinstance(name, str) and isinstance(text, str)):
            raise InvalidArgumentError(parameter, {name: text}, allowed)


def check_flag(parameter: str, value: object) -> None:
    """Make sure that a value is True or False."""
    if not isinstance(value, bool):
        raise InvalidArgumentError(parameter, value, "True or False")


def check_names(parameter: str, value: object, allowed: str, *, or_none: bool = False) -> None:
    """Make sure that a value is a collection of texts, and not one text, which is a collection of its letters."""
    if value is None and or_none:
        return
    if (
        isinstance(value, (str, bytes))
        or not isinstance(value, Collection)
        or not all(isinstance(name, str) for name in cast("Collection[object]", value))
    ):
        raise InvalidArgumentError(parameter, value, allowed)  # pyright: ignore[reportUnknownArgumentType] - a collection of whatever


def check_one_of(parameter: str, value: object, choices: Collection[str]) -> None:
    """Make sure that a value is one of a few."""
    if not (isinstance(value, str) and value in choices):
        raise InvalidArgumentError(parameter, value, f"one of {', '.join(choices)}")


def check_is(parameter: str, value: object, kind: type, allowed: str) -> None:
    """Make sure that a value is an instance of a class."""
    if not isinstance(value, kind):
        raise InvalidArgumentError(parameter, value, allowed)


def _with_none(allowed: str, or_none: str) -> str:
    return f"{allowed}, or None for {or_none}" if or_none else allowed
