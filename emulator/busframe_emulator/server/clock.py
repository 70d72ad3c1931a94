"""The engine's time: the wall clock at the start, moved on by a clock that never goes back, plus an offset.

Stopped, it stands until somebody moves it: a test then decides alone when a visibility timeout or a long poll ends.
"""

from __future__ import annotations

import time
from typing import Final

_SECOND_US: Final = 1_000_000


class Clock:
    """Microseconds since 1970 that never decrease, whatever happens to the system's clock.

    Args:
        manual: stand still at first.
        start_us: what time it is; None for the wall clock's.
    """

    __slots__ = ("_monotonic_ns", "_offset_us")

    def __init__(self, *, manual: bool = False, start_us: int | None = None) -> None:
        self._monotonic_ns = _running
        self._offset_us = (_wall_us() if start_us is None else start_us) - _running() // 1000
        self.set_manual(manual)

    def now_us(self) -> int:
        """The engine's present."""
        return self._monotonic_ns() // 1000 + self._offset_us

    @property
    def manual(self) -> bool:
        """Whether it stands still."""
        return self._monotonic_ns is not _running

    def offset_us(self) -> int:
        """How far it is ahead of the wall clock; negative where it stood still."""
        return self.now_us() - _wall_us()

    def advance(self, seconds: float) -> None:
        """Move all time on. Going back is not possible, so negative seconds are refused."""
        if not seconds >= 0:
            raise ValueError(f"seconds must be 0 or more, not {seconds}")
        self._offset_us += round(seconds * _SECOND_US)

    def set_manual(self, manual: bool) -> None:  # noqa: FBT001 - the name says which is which
        """Stop at the present, or run on from it."""
        now_us = self.now_us()
        # Exchanged rather than asked about: every request reads the clock.
        self._monotonic_ns = _stopped if manual else _running
        self._offset_us = now_us - self._monotonic_ns() // 1000


def _wall_us() -> int:
    return time.time_ns() // 1000  # noqa: TID251 - the server is what owns the clock


def _stopped() -> int:
    return 0


_running: Final = time.monotonic_ns  # noqa: TID251 - the same
