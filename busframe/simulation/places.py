"""Where a task waits, for people: the innermost line that is not in a library, or the library's where there is none."""

from __future__ import annotations

from typing import Any


def place_of(coroutine: Any) -> str:
    """Say where a coroutine is, as `function (file:line)`."""
    place, in_library = "not begun, or ended", True
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is None:
            frame = getattr(coroutine, "ag_frame", None)
        if frame is not None and (in_library or not _is_library(frame.f_code.co_filename)):
            in_library = _is_library(frame.f_code.co_filename)
            place = f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
        coroutine = (
            getattr(coroutine, "cr_await", None)
            or getattr(coroutine, "gi_yieldfrom", None)
            or getattr(coroutine, "ag_await", None)
        )
    return place


def _is_library(path: str) -> bool:
    return "site-packages" in path or "/asyncio/" in path or path.startswith("<")
