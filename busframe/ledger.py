"""What a backend has asked of its broker: the bill, since brokers charge by the call.

Every backend keeps one (`Backend.ledger`) and notes each call as it is made, answered or not. A test asserts what a
piece of work costs; a program shows what its day has cost.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Ledger:
    """Counts calls by action. Safe to use from several threads: some backends make their calls in threads.

    The names of the actions are the broker's own where it has names ("SendMessageBatch"), else those of the contract's
    methods ("send").
    """

    __slots__ = ("_calls", "_lock")

    def __init__(self) -> None:
        self._calls = defaultdict[str, int](int)
        self._lock = Lock()

    def note(self, action: str) -> None:
        """Count one call."""
        with self._lock:
            self._calls[action] += 1

    @property
    def calls(self) -> Mapping[str, int]:
        """Calls so far by action, as they are now: a copy."""
        with self._lock:
            return dict(self._calls)

    @property
    def total(self) -> int:
        """Calls so far, of all actions."""
        with self._lock:
            return sum(self._calls.values())

    def since(self, before: Mapping[str, int]) -> dict[str, int]:
        """Calls by action since `before`, an earlier value of `calls`; without the actions that were not called."""
        return {
            action: count - before.get(action, 0)
            for action, count in self.calls.items()
            if count != before.get(action, 0)
        }


class LedgerOfOneThread(Ledger):
    """For a backend that notes all its calls on one thread, and whose calls are so short that a lock would show."""

    __slots__ = ()

    def note(self, action: str) -> None:
        """Count one call."""
        self._calls[action] += 1
