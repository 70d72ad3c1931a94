"""The engine's time: the wall clock at the start, moved on by a clock that never goes back, plus an offset."""

from __future__ import annotations

import time
from typing import Final

_SECOND_US: Final = 1_000_000


class Clock:
    """Microseconds since 1970 that never decrease, whatever happens to the system's clock."""

    __slots__ = ("_monotonic_ns", "_offset_us")

    def __init__(self) -> None:
        self._monotonic_ns = time.monotonic_ns  # noqa: TID251 - the server is what owns the clock
        self._offset_us = time.time_ns() // 1000 - self._monotonic_ns() // 1000  # noqa: TID251 - the same

    def now_us(self) -> int:
        """The engine's present."""
        return self._monotonic_ns() // 1000 + self._offset_us

    def advance(self, seconds: float) -> None:
        """Move all time on. Going back is not possible, so negative seconds are refused."""
        if not seconds >= 0:
            raise ValueError(f"seconds must be 0 or more, not {seconds}")
        self._offset_us += round(seconds * _SECOND_US)
