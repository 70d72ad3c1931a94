"""The messages a consumer has taken and not yet settled, and how many more it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busframe._consume.leases import Lease

PATIENCE_S: Final = 0.05
"""How long a few free places may wait for more to join them: a receive of one costs as much as a receive of ten."""


class InHand:
    """What is in hand. The room left is counted from that, so it cannot drift.

    Args:
        count_max: most messages at once.
        bytes_max: no more is taken while the bodies are larger together; None is no bound.
    """

    def __init__(self, *, count_max: int, bytes_max: int | None) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._leases: dict[Lease, None] = {}
        self._held = 0
        self._reserved = 0
        self._changed: anyio.Event | None = None

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._leases)

    @property
    def idle(self) -> bool:
        """Whether nothing is there to be worked on now: at most messages that are being held."""
        return len(self._leases) <= self._held

    def hold(self, count: int) -> None:
        """Let so many more of them take up no places; fewer, if negative."""
        self._held += count
        self._count_max += count
        if count > 0:
            self._tell()

    def add(self, lease: Lease) -> None:
        """Take one in hand."""
        self._leases[lease] = None
        if self._bytes_max is not None:
            self._bytes += _bytes(lease)

    def remove(self, lease: Lease) -> None:
        """Let one go; a second time changes nothing."""
        if lease in self._leases:
            del self._leases[lease]
            if self._bytes_max is not None:
                self._bytes -= _bytes(lease)
            self._tell()

    async def reserve(self, most: int) -> int:
        """Wait for room, and keep up to `most` places of it for a receive. Give them back with `unreserve`."""
        worthwhile = min(most, max(1, self._count_max // 4))
        while (room := self._room()) < worthwhile:
            if room < 1:
                await self._change()
                continue
            with anyio.move_on_after(PATIENCE_S):
                while self._room() < worthwhile:
                    await self._change()
            # Others may have taken what room there was: held messages that are tried again, and receives beside this.
            if (room := self._room()) >= 1:
                break
        places = min(most, room)
        self._reserved += places
        return places

    def reserve_beside(self, places: int, bytes_each: int) -> bool:
        """Keep so many places for a receive beside others if there is room for all of them.

        Args:
            places: how many.
            bytes_each: how large a message may be. With a bound on bytes, all receives under way together must keep to
                it, whatever they bring: only the last may exceed it.
        """
        if self._room() < places:
            return False
        if self._bytes_max is not None and self._bytes + (self._reserved + places) * bytes_each > self._bytes_max:
            return False
        self._reserved += places
        return True

    def unreserve(self, places: int) -> None:
        """Give back what `reserve` kept, before or after adding what came of it."""
        self._reserved -= places
        self._tell()

    async def wait_until_empty(self) -> None:
        """Return when nothing is in hand."""
        while self._leases:
            await self._change()

    def _room(self) -> int:
        if self._bytes_max is not None and self._bytes >= self._bytes_max:
            return 0
        return self._count_max - len(self._leases) - self._reserved

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()


def _bytes(lease: Lease) -> int:
    body = lease.received.body
    return len(body) if body.isascii() else len(body.encode())
