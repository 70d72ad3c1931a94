"""Where a task waits, for people: the innermost line that is not in a library, or the library's where there is none."""

from __future__ import annotations

import os
from typing import Any, Final

_STANDARD_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - a prefix, not a path


def place_of(coroutine: Any) -> str:
    """Say where a coroutine is, as `function (file:line)`."""
    place, in_library = "not begun, or ended", True
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            frame = getattr(coroutine, "ag_frame", None)
        if frame is not None and (in_library or not is_library(frame.f_code.co_filename)):
            in_library = is_library(frame.f_code.co_filename)
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
