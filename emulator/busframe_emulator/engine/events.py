"""What happens inside the engine, told to whoever listens: history, journal, metrics.

An event carries the time at which it happens by the rules (a lease ends when it is due), not the time at which the
engine came to notice. Whoever drives the engine lazily or tick by tick sees the same events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.requests import Delivery, MessageAttribute
    from busframe_emulator.engine.settings import QueueAddress, QueueSettings, Redrive

Kind = Literal[
    "queue_created",
    "queue_changed",
    "queue_deleted",
    "purging",
    "purged",
    "looked",
    "sent",
    "arrived",
    "deduplicated",
    "visible",
    "delivered",
    "delivered_again",
    "copied",
    "visibility_changed",
    "deleted",
    "delete_ignored",
    "expired",
    "moved",
    "waiting",
    "wait_ended",
]


class Content(NamedTuple):
    """What was put into a queue.

    Attributes:
        sent_us: when it was sent first of all, which a dead letter's receiver is told.
        source: the queue that it was moved from; None if it was sent.
        received: how often it was received before it came here.
    """

    body: str
    attributes: Mapping[str, MessageAttribute] | None
    group: str | None
    deduplication_id: str | None
    sent_us: int
    source: QueueAddress | None = None
    received: int = 0


class Counts(NamedTuple):
    """What a look at a queue was shown."""

    visible: int
    in_flight: int
    delayed: int


class Event(NamedTuple):
    """One thing that happened.

    | kind                           | what                                                          | about         |
    |--------------------------------|---------------------------------------------------------------|---------------|
    | queue_created, queue_changed   | a queue is there, or has other settings from now on           | QueueSettings |
    | queue_deleted                  | it is gone                                                    |               |
    | purging                        | PurgeQueue was called: deduplication ids are forgotten        |               |
    | purged                         | a message is gone; without a message: all of them             |               |
    | looked                         | a client was shown counts                                     | Counts        |
    | sent                           | a message came in, sent or moved back                         | Content       |
    | arrived                        | a dead letter came in                                         | Content       |
    | deduplicated                   | what was sent is a duplicate                                  | Content       |
    | visible                        | a delay, an invisibility or a burial is over                  |               |
    | delivered                      | handed out                                                    | Delivery      |
    | delivered_again                | the same receive was asked for again (ReceiveRequestAttemptId)| Delivery      |
    | copied                         | by chance, a copy stays visible while it is in flight         |               |
    | visibility_changed             | hidden until another time                                     |               |
    | deleted                        | gone; with `until_us` it comes back then, by chance           |               |
    | delete_ignored                 | an outdated receipt had no effect                             |               |
    | expired                        | older than the retention period                               |               |
    | moved                          | to the dead-letter queue (about: why), or by a move task      | Redrive       |
    | waiting, wait_ended            | a receive waits, until then at most; does so no longer        |               |

    Attributes:
        at_us: when, on the engine's clock.
        message: the message's ordinal in its queue; 0 where the event concerns the queue.
        delivery: which of its deliveries; 0 where none is concerned. Of one that waits, its number.
        until_us: until when the message is hidden, where the event hides it.
        slot: the how manieth message of its receive, from 0.
        about: by kind, as above.
    """

    kind: Kind
    at_us: int
    queue: QueueAddress
    message: int = 0
    delivery: int = 0
    until_us: int = 0
    slot: int = 0
    about: QueueSettings | Content | Delivery | Counts | Redrive | None = None


def content_of(message: Message) -> Content:
    """What a message is, for whoever is told that it came."""
    rare = message.rare
    if rare is None:
        return Content(message.body, message.attributes, None, None, message.sent_us)
    return Content(
        message.body,
        message.attributes,
        rare.group,
        rare.deduplication_id,
        message.sent_us,
        rare.source,
        rare.receives_before,
    )


if TYPE_CHECKING:
    Sink = Callable[[Event], None]
