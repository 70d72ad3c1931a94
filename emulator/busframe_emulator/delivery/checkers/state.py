"""What a checker at the engine's level knows of queues and messages: no more than the events have told it.

Memory goes with the messages that are there, and one byte for each that ever was.
"""

from __future__ import annotations

from heapq import heapify, heappush
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from busframe_emulator.engine.events import Content
    from busframe_emulator.engine.settings import QueueSettings

    DeduplicationKey = str | tuple[str | None, str | None] | None

UNKNOWN: Final = 0
LIVE: Final = 1
DELETED: Final = 2
EXPIRED: Final = 3
MOVED: Final = 4
PURGED: Final = 5


class MessageState:
    """A message that is there.

    Attributes:
        until_us: until when it is hidden, by whatever happened last.
        delivery: the count of its newest delivery; deliveries in other queues before it came here included.
        enqueued_us: from when its retention counts.
        first_us: when it was delivered first; 0: it was not, or in another queue.
        copies: extra copies that chance has shown.
        receive: the receive that it was last delivered by; 0 before.
        hidden, delayed, buried: how it counts, until something is told that ends it.
        released: somebody gave it back, or hid it for another time.
        risen: it was deleted and came back.
        earlier, later: the messages of its group that came before it and after it, and are there.
        last: if it is the first of its group, and there are others: the last of them.
    """

    __slots__ = (
        "buried",
        "content",
        "copies",
        "delayed",
        "delivery",
        "earlier",
        "enqueued_us",
        "first_us",
        "hidden",
        "last",
        "later",
        "ordinal",
        "receive",
        "released",
        "risen",
        "until_us",
    )

    def __init__(self, ordinal: int, content: Content, enqueued_us: int, until_us: int) -> None:
        self.ordinal = ordinal
        self.content = content
        self.enqueued_us = enqueued_us
        self.until_us = until_us
        self.delivery = content.received
        self.first_us = self.copies = self.receive = 0
        self.hidden = self.buried = self.released = self.risen = self.delayed = False
        self.earlier: MessageState | None = None
        self.later: MessageState | None = None
        self.last: MessageState | None = None


class QueueState:
    """A queue that is there.

    Attributes:
        live: messages by ordinal.
        fates: one of the constants above for each ordinal.
        in_flight, delayed, buried: how many messages are.
        groups: of a FIFO queue, those that have messages: the first of each. They are chained rather than listed: most
            groups have one message, and a list for each is dear.
        seen, seen_before: of a FIFO queue: by deduplication id, when it was sent: since `seen_since_us`, and in the
            window before. In two, so that whole windows can be forgotten.
        waiting: receives that wait: when each began and will end.
        due: since when each message could be received, soonest first, with its ordinal and `until_us`; None while
            nobody ever waited. Entries that are out of date are passed over.
        open_us: when last a limit that holds back all messages was lifted.
        changed_us: when last a count changed.
        searched_us: when last a receive that had waited ended with nothing.
    """

    __slots__ = (
        "buried",
        "changed_us",
        "delayed",
        "due",
        "fates",
        "groups",
        "in_flight",
        "live",
        "name",
        "open_us",
        "retention_us",
        "searched_us",
        "seen",
        "seen_before",
        "seen_since_us",
        "settings",
        "waiting",
    )

    def __init__(self, name: str, settings: QueueSettings, now_us: int) -> None:
        self.name = name
        self.settings = settings
        self.retention_us = settings.retention_us
        self.live: dict[int, MessageState] = {}
        self.fates = bytearray(1)
        self.in_flight = self.delayed = self.buried = 0
        self.groups: dict[str | None, MessageState] | None = {} if settings.fifo else None
        self.seen: dict[DeduplicationKey, int] = {}
        self.seen_before: dict[DeduplicationKey, int] = {}
        self.seen_since_us = now_us
        self.waiting: dict[int, tuple[int, int]] = {}
        self.due: list[tuple[int, int, int]] | None = None
        self.open_us = 0
        self.changed_us = now_us
        self.searched_us = 0

    def fate(self, ordinal: int) -> int:
        """What became of a message."""
        return self.fates[ordinal] if 0 < ordinal < len(self.fates) else UNKNOWN

    def add(self, message: MessageState) -> None:
        """A message came."""
        ordinal, fates = message.ordinal, self.fates
        self.live[ordinal] = message
        if ordinal == len(fates):
            fates.append(LIVE)
        else:
            if ordinal > len(fates):
                fates.extend(bytes(ordinal + 1 - len(fates)))
            fates[ordinal] = LIVE
        if self.groups is not None:
            first = self.groups.setdefault(message.content.group, message)
            if first is not message:
                message.earlier = last = first.last or first
                last.later = first.last = message

    def unhide(self, message: MessageState, at_us: int, in_flight_max: int) -> None:
        """It does not count as in flight, delayed or buried any more."""
        if message.hidden:
            message.hidden = False
            if self.in_flight >= in_flight_max:
                self.open_us = at_us
            self.in_flight -= 1
        elif message.delayed:
            message.delayed = False
            self.delayed -= 1
        elif message.buried:
            message.buried = False
            self.buried -= 1

    def leave_group(self, message: MessageState) -> MessageState | None:
        """It is gone: the message that is the first of its group instead, if it was that. Only of a FIFO queue."""
        groups: Any = self.groups
        earlier, later = message.earlier, message.later
        if later is not None:
            later.earlier = earlier
        if earlier is not None:
            earlier.later = later
            if later is None:
                first = groups[message.content.group]
                first.last = None if first is earlier else earlier
        elif later is None:
            del groups[message.content.group]
        else:
            groups[message.content.group] = later
            later.last = None if message.last is later else message.last
            return later
        return None

    def before(self, message: MessageState) -> Iterator[MessageState]:
        """The messages of its group that came before it, the first one first."""
        one = None if self.groups is None else self.groups.get(message.content.group)
        while one is not None and one is not message:
            yield one
            one = one.later

    def expect(self, message: MessageState, since_us: int) -> None:
        """Note that it can be received from then on, unless something happens to it; only where somebody waits."""
        if self.due is not None:
            heappush(self.due, (since_us, message.ordinal, message.until_us))

    def expect_all(self) -> None:
        """Somebody waits for the first time."""
        self.due = [(message.until_us, message.ordinal, message.until_us) for message in self.live.values()]
        heapify(self.due)

    def forget_ids(self) -> None:
        """All deduplication ids are forgotten."""
        self.seen.clear()
        self.seen_before.clear()

    def turn_ids(self, at_us: int) -> None:
        """A window is over: forget the one before."""
        self.seen_before, self.seen = self.seen, {}
        self.seen_since_us = at_us

    def clear(self, fate: int) -> None:
        """All messages are gone."""
        for ordinal in self.live:
            self.fates[ordinal] = fate
        self.live.clear()
        self.forget_ids()
        self.in_flight = self.delayed = self.buried = 0
        if self.groups is not None:
            self.groups.clear()
        if self.due is not None:
            self.due.clear()
