"""The order of a FIFO queue: message groups.

One rule explains all that was observed of Amazon SQS: the *head* of a group is its first message that is still there.
A group can be served only while its head is visible. Groups are served in the order in which their heads last became
visible (when sent, or after the delay, or when the invisibility ended); on a tie the one served longer ago comes
first, and of two that were never served the one whose head was sent first. A group that is served gives its messages
in order, up to the first that is not visible.

So a group with a message in flight gives nothing, unless it is an earlier message that came back; a released message
keeps its place; and a delayed message holds back those behind it.

SQS looks for heads among the first 120,000 messages of the queue only (`Limits.fifo_search_max`): a backlog of one
group can hide the others. Source: Amazon SQS developer guide, "Avoid having a large backlog of messages with the same
message group ID".
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from busframe_emulator.engine.message import GONE, VISIBLE
from busframe_emulator.engine.timers import SWEEP_MIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from busframe_emulator.engine.message import Message, Rare


class Group:
    """The messages of one group, in the order sent.

    Attributes:
        messages: removed ones stay until they are at the front.
        served: the larger, the later it was last served; 0 if it never was.
        ready: the ordinal of the head for which it has a live entry in the ready heap; 0 if it has none.
    """

    __slots__ = ("messages", "name", "ready", "served")

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: deque[Message] = deque()
        self.served = 0
        self.ready = 0


class FifoOrder:
    """The groups of one queue, and which of them can be served, in order.

    Args:
        messages: of the queue, by ordinal and in that order.
        search_max: a head is seen if it is among the first so many.
    """

    __slots__ = ("_groups", "_horizon", "_last", "_messages", "_near", "_ready", "_search_max", "_services", "_serving")

    def __init__(self, messages: Mapping[int, Message], search_max: int) -> None:
        self._messages = messages
        self._search_max = search_max
        # The ordinal up to which messages are seen, how many there are up to it, and the last one there is.
        self._horizon = self._near = self._last = 0
        self._groups: dict[str, Group] = {}
        self._ready: list[tuple[int, int, int, Group]] = []
        self._services = 0
        self._serving: list[Group] = []

    def add(self, message: Message, rare: Rare) -> None:
        """Append a message to its group, visible or not."""
        name = rare.group or ""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name)
        rare.fifo_group = group
        group.messages.append(message)
        self._last = message.ordinal
        if self._near < self._search_max:
            self._near += 1
            self._horizon = message.ordinal

    def became_visible(self, message: Message, at_us: int) -> None:
        """Its group can be served if it is the head."""
        rare = message.rare
        if rare is not None and rare.fifo_group is not None:
            rare.available_us = at_us
            self._refresh(rare.fifo_group)

    def removed(self, message: Message) -> None:
        """The next message of its group may be the head now, and one more message is seen."""
        if message.ordinal <= self._horizon:
            self._near -= 1
            self._see_further()
        rare = message.rare
        if rare is not None and rare.fifo_group is not None:
            self._refresh(rare.fifo_group)

    def hidden(self, message: Message) -> None:
        """Nothing is hidden here but by receiving it."""

    def withdraw(self, message: Message) -> None:
        """Nothing is in a line here."""

    def candidates(self, now_us: int) -> Iterator[Message]:  # noqa: ARG002 - a fair queue needs the time
        """Give visible messages, group by group. Until `served` is called the groups' heads stay as they are."""
        ready = self._ready
        while ready:
            _, _, head, group = heappop(ready)
            if head != group.ready:
                continue
            group.ready = 0
            self._serving.append(group)
            for message in group.messages:
                if message.state == VISIBLE:
                    yield message
                elif message.state != GONE:
                    break

    def served(self) -> None:
        """The receive is over: note whom it served."""
        if self._serving:
            groups, self._serving = self._serving, []
            for group in groups:
                self._services += 1
                group.served = self._services
                self._refresh(group)

    def when_served(self, name: str) -> int:
        """When a group was last served; 0 if it never was, or is not there."""
        group = self._groups.get(name)
        return 0 if group is None else group.served

    def put_back(self, name: str, served: int) -> None:
        """Note when a group was last served, before any of its messages becomes visible."""
        self._services = max(self._services, served)
        if name in self._groups:
            self._groups[name].served = served

    def is_head(self, message: Message) -> bool:
        """Whether it is the first of its group."""
        rare = message.rare
        return rare is not None and rare.fifo_group is not None and rare.fifo_group.messages[0] is message

    def pick(self, index: int) -> None:
        """The order of a FIFO queue is no matter of chance."""

    def sweep(self, visible: int) -> None:  # noqa: ARG002 - the groups say how many entries can count
        """Drop entries that no longer count, where they are the greater part: nobody may be receiving."""
        if len(self._ready) > 2 * len(self._groups) + SWEEP_MIN:
            self._ready[:] = [entry for entry in self._ready if entry[2] == entry[3].ready]
            heapify(self._ready)

    def clear(self) -> None:
        """Forget everything."""
        self._groups.clear()
        self._ready.clear()
        self._horizon = self._near = 0

    def _see_further(self) -> None:
        """Move the horizon to the next message, if there is one. Over time it steps over each ordinal once."""
        while self._horizon < self._last:
            self._horizon += 1
            message = self._messages.get(self._horizon)
            if message is not None:
                self._near += 1
                if message.rare is not None and message.rare.fifo_group is not None:
                    self._refresh(message.rare.fifo_group)
                return

    def _refresh(self, group: Group) -> None:
        """Bring the group's place among the ready ones in line with its head."""
        messages = group.messages
        while messages and messages[0].state == GONE:
            messages.popleft()
        if not messages:
            group.ready = 0
            if self._groups.get(group.name) is group:
                del self._groups[group.name]
            return
        head = messages[0]
        if head.state != VISIBLE or head.rare is None or head.ordinal > self._horizon:
            group.ready = 0
            return
        # A head that has an entry keeps its time: it can only be hidden by being taken out.
        if group.ready != head.ordinal:
            group.ready = head.ordinal
            heappush(self._ready, (head.rare.available_us, group.served, head.ordinal, group))
