"""Where a task waits, for people: the innermost line that is not in a library, or the library's where there is none."""

from __future__ import annotations

import os
from typing import Any, Final

import anyio

_STANDARD_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - a prefix, not a path


_BUSFRAME: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep  # noqa: PTH120 - the same


def where_programs_wait() -> list[str]:
    """A line for each running task that is in code of neither a library nor the bus: its name and where it waits."""
    tasks = [(task.name, place_of(task.coro, but=_BUSFRAME)) for task in anyio.get_running_tasks()]
    # Sorted, since trio has tasks in no order.
    return sorted(f"{name}: {place}" for name, place in tasks if _is_programs(place))


def _is_programs(place: str) -> bool:
    _, _, path = place.partition(" (")
    return bool(path) and not is_library(path) and not path.startswith(_BUSFRAME)


def place_of(coroutine: Any, *, but: str = "") -> str:
    """Say where a coroutine is, as `function (file:line)`.

    Args:
        coroutine: of a task.
        but: files whose paths begin with this count as a library's, too.
    """
    place, in_library = "not begun, or ended", True
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            frame = getattr(coroutine, "ag_frame", None)
        path = "" if frame is None else frame.f_code.co_filename
        is_other = is_library(path) or bool(but and path.startswith(but))
        if frame is not None and (in_library or not is_other):
            in_library = is_other
            place = f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
        coroutine = (
            getattr(coroutine, "cr_await", None)
            or getattr(coroutine, "gi_yieldfrom", None)
            or getattr(coroutine, "ag_await", None)
        )
    return place


def is_library(path: str) -> bool:
    """Whether a file is no part of the program that is looked at."""
    return "site-packages" in path or path.startswith(("<", _STANDARD_LIBRARY))
