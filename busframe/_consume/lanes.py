"""Which messages have to wait for which: those of one key are worked on one after the other."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busframe._consume.leases import Lease


class Lanes:
    """One lane for each key of which a message is being worked on. Messages without a key are in no lane."""

    def __init__(self) -> None:
        self._behind: dict[str, deque[Lease]] = {}

    def enter(self, lease: Lease) -> bool:
        """Tell whether it is this message's turn; if not, it waits behind the others of its key."""
        if lease.lane is None:
            return True
        behind = self._behind.get(lease.lane)
        if behind is None:
            self._behind[lease.lane] = deque()
            return True
        behind.append(lease)
        return False

    def leave(self, lease: Lease) -> Lease | None:
        """The message whose turn it was is done: name the next one."""
        if lease.lane is None:
            return None
        behind = self._behind[lease.lane]
        if behind:
            return behind.popleft()
        del self._behind[lease.lane]
        return None

    def behind(self, lease: Lease) -> Iterable[Lease]:
        """Name all that wait behind this message."""
        return () if lease.lane is None else self._behind[lease.lane]

    def clear_behind(self, lease: Lease) -> deque[Lease]:
        """Take out all that wait behind this message; its own turn goes on."""
        if lease.lane is None:
            return deque()
        behind = self._behind[lease.lane]
        self._behind[lease.lane] = deque()
        return behind

    def clear(self) -> list[Lease]:
        """Take out all that wait behind any message."""
        waiting = [lease for behind in self._behind.values() for lease in behind]
        for behind in self._behind.values():
            behind.clear()
        return waiting
