"""What a FIFO queue remembers of the messages sent to it: five minutes of deduplication ids.

The window starts at the first send and neither a receive, nor a delete, nor a duplicate moves it. Memory is bounded by
what was sent within one window: everything older is forgotten at the next send, or when the window's timer fires.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class FirstSend(NamedTuple):
    """What a duplicate is answered with."""

    message_id: str
    sequence: str | None


class DeduplicationWindow:
    """The ids sent within the last `window_us` microseconds."""

    __slots__ = ("_first", "_line", "_window_us")

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._first: dict[tuple[str, str], FirstSend] = {}
        self._line: deque[tuple[int, tuple[str, str]]] = deque()

    def find(self, now_us: int, scope: str, deduplication_id: str) -> FirstSend | None:
        """Look for an earlier send with this id. `scope` is the group, or "" where the whole queue is one scope."""
        self.forget(now_us)
        return self._first.get((scope, deduplication_id))

    def remember(self, now_us: int, scope: str, deduplication_id: str, first: FirstSend) -> int:
        """Note a send that was not a duplicate, and tell until when it is remembered."""
        until_us = now_us + self._window_us
        self.put_back(until_us, scope, deduplication_id, first)
        return until_us

    def put_back(self, until_us: int, scope: str, deduplication_id: str, first: FirstSend) -> None:
        """Remember a send until then; no earlier than those before it."""
        key = (scope, deduplication_id)
        self._first[key] = first
        self._line.append((until_us, key))

    def forget(self, now_us: int) -> None:
        """Drop what is older than the window."""
        line = self._line
        while line and line[0][0] <= now_us:
            del self._first[line.popleft()[1]]

    def next_due(self) -> int | None:
        """When the oldest id will be forgotten; None if there is none."""
        return self._line[0][0] if self._line else None

    def clear(self) -> None:
        """Forget everything: PurgeQueue does so."""
        self._first.clear()
        self._line.clear()
