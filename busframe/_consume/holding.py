"""Keeps messages in hand until they are tried again, where nobody else could do anything meanwhile.

On an ordered queue nobody gets the next message of a group while its first undone one is out, or hidden. So when that
one fails and is to be tried again after a delay, nothing is won by giving it back, and much is lost: each of those
received with it would have to be given back too, and brokers count every receive. It is *held* instead: its lease and
those of the messages behind it are kept, and after the delay its handler is called again, as the next attempt. A
message that could not be begun on, on whatever queue, is held for the same reason: each receive would bring it nearer
to its end.

Held messages take up none of the places of `concurrency`, so that they keep no others from being handled. There is a
bound to them all the same, in number and, where there is one for what is in hand, in bytes; past it, and where a
message would be held for longer than its lease can last, `hold` refuses, and it is given back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
from msgspec.structs import replace

from busframe import runtime
from busframe.message import size_of_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from anyio.abc import TaskGroup

    from busframe._consume.in_hand import InHand
    from busframe._consume.lanes import Lanes
    from busframe._consume.leases import Lease
    from busframe.group import Group

HELD_PER_PLACE: Final = 10
"""So many messages are held at most for each that may be worked on at once."""

BYTES_PART: Final = 0.5
"""Held messages take up this part of `bytes_in_hand_max` at most, so that there is room for others."""

UNCOUNTED_S: Final = 0.05
"""What does not count as an attempt may go on for ever, so it waits for so long at least."""


@dataclass(slots=True)
class _Held:
    """What is known of a message being held.

    Attributes:
        due_s: when it is tried again.
        scope: encloses the wait.
        count: how many messages are held for its sake, itself included.
        size: of their bodies, in bytes.
    """

    due_s: float
    scope: anyio.CancelScope
    count: int
    size: int


class Holding:
    """The messages of one consumer that are being held.

    Args:
        in_hand: where they are counted.
        lanes: tells what waits behind a message.
        ordered: the queue is: what waits behind a message is held with it.
        lease_s_max: no lease of the broker lasts longer, over all its extensions.
        tasks: runs the waits.
        resume: is called with a message whose wait is over, or whose lease is lost.
    """

    def __init__(
        self,
        group: Group,
        *,
        in_hand: InHand,
        lanes: Lanes,
        ordered: bool,
        lease_s_max: float,
        tasks: TaskGroup,
        resume: Callable[[Lease], None],
    ) -> None:
        self._in_hand = in_hand
        self._lanes = lanes
        self._ordered = ordered
        # Its handler needs time, too.
        self._longest_s = lease_s_max - min(group.lease_s, lease_s_max / 2)
        self._count_max = HELD_PER_PLACE * group.concurrency
        bytes_max = group.bytes_in_hand_max
        self._bytes_max = float("inf") if bytes_max is None else BYTES_PART * bytes_max
        self._tasks = tasks
        self._resume = resume
        self._held: dict[Lease, _Held] = {}
        self._count = self._bytes = 0
        self._closed = False

    def __contains__(self, lease: Lease) -> bool:
        return lease in self._held

    def hold(self, lease: Lease, delay_s: float, *, counts: bool) -> bool:
        """Hold a message, and on an ordered queue all that wait behind it; False if that cannot be.

        Args:
            lease: the message; its handler has ended.
            delay_s: for how long.
            counts: that handler's call was an attempt.
        """
        if isinstance(lease.opened, Exception) or lease.lost or self._closed:
            return False
        if not counts:
            delay_s = max(delay_s, UNCOUNTED_S)
        now_s = runtime.now_s()
        due_s = now_s + delay_s
        together = (lease, *self._lanes.behind(lease)) if self._ordered else (lease,)
        size = _size(together)
        if (
            due_s > min(each.since_s for each in together) + self._longest_s
            or self._count + len(together) > self._count_max
            or self._bytes + size > self._bytes_max
        ):
            return False
        if counts:
            handler, delivery = lease.opened
            lease.opened = handler, replace(delivery, attempt=delivery.attempt + 1)
        for each in together:
            each.needed_until_s = due_s
        held = _Held(due_s, anyio.CancelScope(), len(together), size)
        self._held[lease] = held
        lease.scope = held.scope  # a lease that is lost ends the wait
        self._note(held.count, size)
        self._tasks.start_soon(self._wait, lease, held)
        return True

    def close(self) -> Sequence[tuple[Lease, float]]:
        """Hold nothing any more: let go of all there are, each with what is left of its delay."""
        self._closed = True
        now_s = runtime.now_s()
        let_go = [(lease, max(held.due_s - now_s, 0.0)) for lease, held in self._held.items()]
        for lease, _ in let_go:
            self._end(lease).scope.cancel()
        return let_go

    async def _wait(self, lease: Lease, held: _Held) -> None:
        with held.scope:
            await runtime.sleep(max(held.due_s - runtime.now_s(), 0.0))
        if self._held.get(lease) is held:
            self._end(lease)
            lease.resumed_s = runtime.now_s()
            self._resume(lease)

    def _end(self, lease: Lease) -> _Held:
        held = self._held.pop(lease)
        self._note(-held.count, -held.size)
        lease.scope = None
        return held

    def _note(self, count: int, size: int) -> None:
        self._count += count
        self._bytes += size
        self._in_hand.hold(count)


def _size(leases: Iterable[Lease]) -> int:
    return sum(size_of_text(lease.received.body) for lease in leases)
