"""Which queues a publish goes to, from a copy of the recipient list that is read again only when the list changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.message import QueueName
    from busframe.recipients import RecipientList, Recipients


class Routes:
    """Looks recipients up."""

    def __init__(self, recipients: RecipientList) -> None:
        self._recipients = recipients
        self._copy: Recipients | None = None

    async def queues_for(self, topic: str) -> Sequence[QueueName]:
        """Name the queues that get a copy of a message of this topic, as the list is now."""
        version = await self._recipients.version()
        if self._copy is None or self._copy.version != version:
            self._copy = await self._recipients.load()
        return self._copy.by_topic.get(topic, ())
