"""A message inside a queue.

Small on purpose: a queue may hold millions. What most messages do not have stands in `Rare`, and the message's
identifier is computed from its ordinal rather than stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe_emulator.engine.fairness import Tenant
    from busframe_emulator.engine.fifo import Group
    from busframe_emulator.engine.queue import Queue
    from busframe_emulator.engine.requests import MessageAttribute
    from busframe_emulator.engine.settings import QueueAddress

# What a message is. Plain integers: an enum member costs five times as long to compare.
VISIBLE: Final = 0
"""Can be received, unless its FIFO group holds it back."""
DELAYED: Final = 1
"""Sent, and not yet due. Its timer makes it visible."""
IN_FLIGHT: Final = 2
"""Delivered and hidden. Its timer makes it visible again."""
BURIED: Final = 3
"""Deleted, as the caller was told; a server missed it, and its timer brings it back."""
GONE: Final = 4
"""Removed. Structures that still hold it skip it."""


class Rare:
    """What most messages do not have.

    Attributes:
        message_id: where it is not computed: a dead-lettered message keeps the one it had.
        source: the queue it was dead-lettered from.
        receives_before: receive count when it came into this queue; what counts toward maxReceiveCount came later.
        enqueued_us: start of its retention, where that is not when it was sent.
        copies: extra copies lying visible while it is in flight: one at most.
        group, fifo_group, deduplication_id, sequence: of a FIFO queue; `group` also of a fair queue.
        tenant: whose messages in flight it is one of, on a fair queue.
        available_us: when it last became visible, on a FIFO queue.
    """

    __slots__ = (
        "available_us",
        "copies",
        "deduplication_id",
        "enqueued_us",
        "fifo_group",
        "group",
        "message_id",
        "receives_before",
        "sender",
        "sequence",
        "source",
        "tenant",
        "trace_header",
    )

    def __init__(self) -> None:
        self.group: str | None = None
        self.fifo_group: Group | None = None
        self.tenant: Tenant | None = None
        self.deduplication_id: str | None = None
        self.sequence: str | None = None
        self.trace_header: str | None = None
        self.sender: str | None = None
        self.message_id: str | None = None
        self.source: QueueAddress | None = None
        self.receives_before = 0
        self.enqueued_us: int | None = None
        self.copies = 0
        self.available_us = 0


class SenderOnly(Rare):
    """What a message has of which no more is known than who sent it, as of most.

    One for all of a sender's messages, since each would be half as large as its message: nobody writes to it.
    """

    __slots__ = ()


NOTHING_RARE: Final = Rare()
"""Stands in where a message has none; nobody writes to it."""


class Message:
    """One message.

    Attributes:
        ordinal: its number within its queue, from 1.
        content: its body, or its body with its attributes: a place for them in every message would take more memory.
        state: one of the constants above.
        receive_count: deliveries so far, those from a source queue included; the number of the newest delivery.
        received_us, first_received_us: when the newest and the first delivery began; 0 before.
        timer: see `timers.Subject`.
    """

    __slots__ = (
        "content",
        "first_received_us",
        "ordinal",
        "queue",
        "rare",
        "receive_count",
        "received_us",
        "sent_us",
        "state",
        "timer",
    )

    def __init__(
        self, queue: Queue, ordinal: int, body: str, attributes: Mapping[str, MessageAttribute] | None, sent_us: int
    ) -> None:
        self.queue = queue
        self.ordinal = ordinal
        self.content = (body, attributes) if attributes else body
        self.sent_us = sent_us
        self.state = VISIBLE
        self.receive_count = 0
        self.received_us = 0
        self.first_received_us = 0
        self.timer = 0
        self.rare: Rare | None = None

    @property
    def body(self) -> str:
        """As it was sent."""
        content = self.content
        return content if isinstance(content, str) else content[0]

    @property
    def attributes(self) -> Mapping[str, MessageAttribute] | None:
        """As they were sent; None if it has none."""
        content = self.content
        return None if isinstance(content, str) else content[1]

    def fire(self, at_us: int) -> None:
        """Its delay, its invisibility or its burial is over."""
        self.queue.message_due(self, at_us)

    @property
    def enqueued_us(self) -> int:
        """When its retention began."""
        rare = self.rare
        return self.sent_us if rare is None or rare.enqueued_us is None else rare.enqueued_us
