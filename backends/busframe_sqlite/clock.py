"""Time as the file keeps it: integer microseconds since 1970, because several processes share the file."""

from __future__ import annotations

from typing import Final, Protocol

from busframe import runtime

MICROSECONDS: Final = 1_000_000


class Clock(Protocol):
    """Where the time comes from. Read on SQLite's thread as well as on the event loop's."""

    def now_us(self) -> int:
        """Microseconds since 1970."""
        ...


class WallClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Microseconds since 1970."""
        return to_us(runtime.wall_s())


class ManualClock:
    """A clock for tests: stands still until it is moved."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self._now_us = to_us(now_s)

    def now_us(self) -> int:
        """Microseconds since 1970."""
        return self._now_us

    def advance(self, seconds: float) -> None:
        """Move it."""
        self._now_us += to_us(seconds)


def to_us(seconds: float) -> int:
    """Seconds as microseconds."""
    return round(seconds * MICROSECONDS)


def to_s(microseconds: int) -> float:
    """Microseconds as seconds."""
    return microseconds / MICROSECONDS
