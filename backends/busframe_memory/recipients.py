"""The recipient list in memory: shared by whoever holds the object."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from busframe.errors import InvalidArgumentError
from busframe.recipients import Recipients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from busframe.config import BackendUrl
    from busframe.message import QueueName
    from busframe.recipients import Recipient


class MemoryRecipients:
    """Implements `busframe.recipients.RecipientList`."""

    def __init__(self) -> None:
        self._version = 0
        self._by_topic: dict[str, dict[QueueName, None]] = {}

    async def add(self, recipients: Sequence[Recipient]) -> None:
        """Write lines."""
        for recipient in recipients:
            queues = self._by_topic.setdefault(recipient.topic, {})
            if recipient.queue not in queues:
                queues[recipient.queue] = None
                self._version += 1

    async def remove(self, recipients: Sequence[Recipient]) -> None:
        """Strike lines out."""
        for recipient in recipients:
            queues = self._by_topic.get(recipient.topic, {})
            if recipient.queue in queues:
                del queues[recipient.queue]
                self._version += 1

    async def version(self) -> int:
        """Tell the version now."""
        return self._version

    async def load(self) -> Recipients:
        """Copy the list."""
        by_topic = {topic: tuple(queues) for topic, queues in self._by_topic.items() if queues}
        return Recipients(version=self._version, by_topic=by_topic)


@asynccontextmanager
async def open_memory_recipients(url: BackendUrl) -> AsyncGenerator[MemoryRecipients, None]:
    """Open an empty list: `memory://`."""
    url.require_only(())
    if url.place:
        raise InvalidArgumentError("url", url.place, "memory:// names no place")
    yield MemoryRecipients()
