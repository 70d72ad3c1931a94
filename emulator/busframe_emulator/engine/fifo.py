"""The order of a FIFO queue: message groups.

One rule explains all that was observed of Amazon SQS: the *head* of a group is its first message that is still there.
A group can be served only while its head is visible. Groups are served in the order in which their heads last became
visible (when sent, or after the delay, or when the invisibility ended); on a tie the one served longer ago comes
first. A group that is served gives its messages in order, up to the first that is not visible.

So a group with a message in flight gives nothing, unless it is an earlier message that came back; a released message
keeps its place; and a delayed message holds back those behind it.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from busframe_emulator.engine.message import GONE, VISIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busframe_emulator.engine.message import Message, Rare


class Group:
    """The messages of one group, in the order sent.

    Attributes:
        messages: removed ones stay until they are at the front.
        served: the number of the receive that last served it; 0 if none did.
        ready: the number of its live entry in the ready heap; 0 if it has none.
        ready_us: the time in that entry.
    """

    __slots__ = ("messages", "name", "ready", "ready_us", "served")

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: deque[Message] = deque()
        self.served = 0
        self.ready = 0
        self.ready_us = 0


class FifoOrder:
    """The groups of one queue, and which of them can be served, in order."""

    __slots__ = ("_entries", "_groups", "_ready", "_services", "_serving")

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._ready: list[tuple[int, int, int, Group]] = []
        self._entries = 0
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

    def became_visible(self, message: Message, at_us: int) -> None:
        """Its group can be served if it is the head."""
        rare = message.rare
        if rare is not None and rare.fifo_group is not None:
            rare.available_us = at_us
            self._refresh(rare.fifo_group)

    def removed(self, message: Message) -> None:
        """The next message of its group may be the head now."""
        rare = message.rare
        if rare is not None and rare.fifo_group is not None:
            self._refresh(rare.fifo_group)

    def candidates(self) -> Iterator[Message]:
        """Give visible messages, group by group. Until `served` is called the groups' heads stay as they are."""
        ready = self._ready
        while ready:
            _, _, entry, group = heappop(ready)
            if entry != group.ready:
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
            self._services += 1
            groups, self._serving = self._serving, []
            for group in groups:
                group.served = self._services
                self._refresh(group)

    def pick(self, index: int) -> None:
        """The order of a FIFO queue is no matter of chance."""

    def clear(self) -> None:
        """Forget everything."""
        self._groups.clear()
        self._ready.clear()

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
        if head.state != VISIBLE or head.rare is None:
            group.ready = 0
            return
        available_us = head.rare.available_us
        if group.ready and group.ready_us == available_us:
            return
        self._entries += 1
        group.ready = self._entries
        group.ready_us = available_us
        heappush(self._ready, (available_us, group.served, self._entries, group))
