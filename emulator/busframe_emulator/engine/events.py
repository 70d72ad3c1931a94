"""What happens inside the engine, told to whoever listens: history, journal, metrics.

An event carries the time at which it happens by the rules (a lease ends when it is due), not the time at which the
engine came to notice. Whoever drives the engine lazily or tick by tick sees the same events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.engine.settings import QueueAddress

Kind = Literal[
    "queue_created",
    "queue_changed",
    "queue_deleted",
    "purged",
    "sent",
    "deduplicated",
    "visible",
    "delivered",
    "delivered_again",
    "visibility_changed",
    "deleted",
    "delete_ignored",
    "expired",
    "moved",
]


class Event(NamedTuple):
    """One thing that happened.

    Attributes:
        at_us: when, on the engine's clock.
        message: the message's ordinal in its queue; 0 where the event concerns the queue. "purged" with a message is
            of that message only, since a late purge leaves others.
        delivery: which of its deliveries; 0 where none is concerned.
        until_us: until when the message is hidden, where the event hides it.
    """

    kind: Kind
    at_us: int
    queue: QueueAddress
    message: int = 0
    delivery: int = 0
    until_us: int = 0


if TYPE_CHECKING:
    Sink = Callable[[Event], None]
