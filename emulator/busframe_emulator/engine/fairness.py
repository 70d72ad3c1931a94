"""The order of a fair queue: a standard queue whose messages say which tenant they are of.

A tenant is a MessageGroupId; a message without one is a tenant of its own. A tenant is *noisy* while it has more than
its share of the messages in flight (`Limits.noisy_percent`, `Limits.noisy_in_flight_min`). Messages of quiet tenants
come first, whatever has been visible longest before the rest. When only noisy ones are left, the tenant with the fewest
in flight comes first. Nothing is held back: a noisy tenant has all the receivers that nobody else needs. One that has
sent nothing for five minutes (`Limits.noisy_memory_us`) is quiet, whatever it has in flight.

Whether a tenant is noisy is asked anew for every message, so that one receive of ten does not give it ten.

This is the testable part of what SQS does. Besides, SQS calls a tenant noisy that took more than a tenth of the
processing time of late; over how long, and from how much on, is not said, so it is not done here. Source: Amazon SQS
developer guide, "How Amazon SQS fair queues work".
"""

from __future__ import annotations

from collections import OrderedDict, deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from busframe_emulator.engine.message import VISIBLE
from busframe_emulator.engine.standard import find_place, has_copy, take_copy
from busframe_emulator.engine.timers import SWEEP_MIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.queue import Queue
    from busframe_emulator.engine.standard import StandardOrder


class Tenant:
    """The messages of one group, or (name None) all those without one, none of which can make another noisy.

    Attributes:
        line: what became visible, with its arrival number. As in `StandardOrder`, an entry counts only if its message
            is visible when it comes up.
        in_flight: how many of its messages are hidden by a receive.
    """

    __slots__ = ("in_flight", "line", "name")

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.line: deque[tuple[int, Message]] = deque()
        self.in_flight = 0


class FairOrder:
    """Messages by tenant, and whose turn it is.

    A heap has each tenant that has something in line, by the arrival number of its first entry. Noisy tenants that come
    up are set aside until the receive is over: with a share above a tenth there are never more than nine.

    Args:
        queue: whose order it is.
        older: what is in line already. None of it has a group, so it comes before all that is still to come.
    """

    __slots__ = (
        "_arrivals",
        "_aside",
        "_entries",
        "_heads",
        "_now_us",
        "_older",
        "_queue",
        "_sent",
        "_skip",
        "_tenants",
    )

    def __init__(self, queue: Queue, older: StandardOrder) -> None:
        self._queue = queue
        self._older = older
        self._tenants: dict[str | None, Tenant] = {}
        self._heads: list[tuple[int, Tenant]] = []
        self._aside: list[Tenant] = []
        self._arrivals = 0
        self._entries = 0
        self._skip = 0
        self._now_us = 0
        # Who sent within the last five minutes, and when last; the one who did so longest ago comes first.
        self._sent: OrderedDict[str, int] = OrderedDict()

    def note_sent(self, name: str, now_us: int) -> int:
        """A tenant has sent a message: tell until when that is remembered."""
        memory_us = self._queue.around.limits.noisy_memory_us
        sent, oldest_us = self._sent, now_us - memory_us
        sent[name] = now_us
        sent.move_to_end(name)
        while sent and next(iter(sent.values())) <= oldest_us:
            sent.popitem(last=False)
        return now_us + memory_us

    def put_back(self, name: str, until_us: int) -> None:
        """A tenant sent a message, which is remembered until then; no earlier than those before it."""
        self._sent[name] = until_us - self._queue.around.limits.noisy_memory_us
        self._sent.move_to_end(name)

    def became_visible(self, message: Message, at_us: int) -> None:  # noqa: ARG002 - a FIFO queue needs the time
        """Put it at the end of its tenant's line."""
        tenant = self._tenant(message)
        self._arrivals += 1
        if not tenant.line:
            heappush(self._heads, (self._arrivals, tenant))
        tenant.line.append((self._arrivals, message))
        self._entries += 1
        # A copy becomes visible while the message itself stays in flight.
        if message.state == VISIBLE:
            self._count_out(message)

    def removed(self, message: Message) -> None:
        """It is not in flight any more."""
        self._count_out(message)

    def hidden(self, message: Message) -> None:
        """It is in flight, without having been received."""
        self._count_in(message, self._tenant(message))

    def withdraw(self, message: Message) -> None:
        """Take it out of its line, which has to be searched, as in `StandardOrder`."""
        self._older.withdraw(message)
        tenant = self._tenant(message)
        tenant.line = deque(entry for entry in tenant.line if entry[1] is not message)
        self._line_up()

    def candidates(self, now_us: int) -> Iterator[Message]:
        """Take visible messages out of the lines, one by one, from the tenant whose turn it is."""
        self._now_us = now_us
        for message in self._older.candidates(now_us):
            self._skip = 0
            yield message
        while (tenant := self._next_tenant()) is not None:
            message = self._take_from(tenant)
            if tenant.line:
                heappush(self._heads, (tenant.line[0][0], tenant))
            if message.state == VISIBLE:
                self._count_in(message, tenant)
                yield message
            elif take_copy(message):
                yield message

    def served(self) -> None:
        """The receive is over: those set aside are in the running again."""
        for tenant in self._aside:
            heappush(self._heads, (tenant.line[0][0], tenant))
        self._aside.clear()
        self._skip = 0

    def pick(self, index: int) -> None:
        """Let the `index`-th message of the line whose turn it is be the next candidate, or the last there is."""
        self._older.pick(index)
        self._skip = max(0, index)

    def sweep(self, visible: int) -> None:
        """Drop entries that no longer count, where they are the greater part: nobody may be receiving."""
        self._older.sweep(visible)
        if self._entries > 2 * visible + SWEEP_MIN:
            for tenant in list(self._tenants.values()):
                tenant.line = deque(entry for entry in tenant.line if _counts(entry[1]))
                self._forget_if_idle(tenant)
            self._line_up()

    def clear(self) -> None:
        """Forget everything."""
        self._older.clear()
        self._tenants.clear()
        self._heads.clear()
        self._entries = 0

    # --- whose turn it is -------------------------------------------------------------------------------------------

    def _next_tenant(self) -> Tenant | None:
        """Take the tenant whose turn it is off the heap, or out of those set aside; None if no message is left."""
        # With every message that is taken, a share gets smaller.
        for tenant in [tenant for tenant in self._aside if not self._is_noisy(tenant)]:
            self._aside.remove(tenant)
            heappush(self._heads, (tenant.line[0][0], tenant))
        while self._heads:
            arrival, tenant = heappop(self._heads)
            self._drop_outdated(tenant)
            if not tenant.line:
                self._forget_if_idle(tenant)
            elif tenant.line[0][0] != arrival:
                heappush(self._heads, (tenant.line[0][0], tenant))
            elif self._is_noisy(tenant):
                self._aside.append(tenant)
            else:
                return tenant
        if not self._aside:
            return None
        calmest = min(self._aside, key=lambda tenant: (tenant.in_flight, tenant.line[0][0]))
        self._aside.remove(calmest)
        return calmest

    def _line_up(self) -> None:
        """Make the heap anew, after lines were cut."""
        self._heads = [(tenant.line[0][0], tenant) for tenant in self._tenants.values() if tenant.line]
        heapify(self._heads)
        self._entries = sum(len(tenant.line) for _, tenant in self._heads)

    def _is_noisy(self, tenant: Tenant) -> bool:
        limits = self._queue.around.limits
        if tenant.name is None or tenant.in_flight < limits.noisy_in_flight_min:
            return False
        sent_us = self._sent.get(tenant.name)
        if sent_us is None or self._now_us >= sent_us + limits.noisy_memory_us:
            return False
        return tenant.in_flight * 100 > self._queue.in_flight * limits.noisy_percent

    def _take_from(self, tenant: Tenant) -> Message:
        """Take the first message in line, or one further back if that was picked and counts."""
        line = tenant.line
        index = find_place((message for _, message in line), self._skip) if self._skip else 0
        self._skip = 0
        message = line[index][1]
        del line[index]
        self._entries -= 1
        return message

    def _drop_outdated(self, tenant: Tenant) -> None:
        line = tenant.line
        while line and not _counts(line[0][1]):
            line.popleft()
            self._entries -= 1

    # --- what is in flight ------------------------------------------------------------------------------------------

    def _tenant(self, message: Message) -> Tenant:
        name = message.rare.group if message.rare is not None else None
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = Tenant(name)
        return tenant

    def _count_in(self, message: Message, tenant: Tenant) -> None:
        rare = message.rare
        if rare is not None and rare.group is not None and rare.tenant is None:
            rare.tenant = tenant
            tenant.in_flight += 1

    def _count_out(self, message: Message) -> None:
        rare = message.rare
        if rare is not None and rare.tenant is not None:
            tenant, rare.tenant = rare.tenant, None
            tenant.in_flight -= 1
            self._forget_if_idle(tenant)

    def _forget_if_idle(self, tenant: Tenant) -> None:
        if not tenant.line and not tenant.in_flight:
            self._tenants.pop(tenant.name, None)


def _counts(message: Message) -> bool:
    return message.state == VISIBLE or has_copy(message)
