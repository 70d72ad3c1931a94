"""What code that only sends needs of a bus, to be handed in by whoever makes the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.message import MessageId, QueueName
    from busframe.message_type import Command, Event
    from busframe.writing import SendOptions


class Producer(Protocol):
    """Publishes events and sends commands. `Live` is one; a test's own may be another.

    Stricter than `Live` with type checkers: what is not derived from `Event` cannot be published, what is not derived
    from `Command` cannot be sent. For the arguments see `Live.publish`.
    """

    async def publish(self, event: Event, **options: Unpack[SendOptions]) -> Sequence[QueueName]:
        """Put a copy of an event on the queue of every group that subscribed to it. As `Live.publish`."""
        ...

    async def send(self, command: Command, **options: Unpack[SendOptions]) -> MessageId:
        """Put a command on its owner's queue. As `Live.send`."""
        ...
