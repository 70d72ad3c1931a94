"""The recipient list: the durable table topic -> queues by which a publish is routed.

A publish puts one copy on each queue that is listed under the message's topic. The list is shared by all publishers
and subscribers of a system, so it lives where all of them can reach it: in memory, in the SQLite file that holds the
queues, in a file or database of its own. An entry point in the group `busframe.recipients` opens one by URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from busframe.config import BackendUrl
    from busframe.message import QueueName


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One line of the list: messages of `topic` go to `queue`."""

    topic: str
    queue: QueueName


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """The whole list as it was at one version.

    Attributes:
        version: grows with every change; equal versions mean equal lists.
        by_topic: queues by topic, in the order they were added.
    """

    version: int
    by_topic: Mapping[str, Sequence[QueueName]]


class RecipientList(Protocol):
    """The list. All methods may be called at once from any task of one event loop."""

    async def add(self, recipients: Sequence[Recipient]) -> None:
        """Write lines, all or none. One that is already there stays as it is."""
        ...

    async def remove(self, recipients: Sequence[Recipient]) -> None:
        """Strike lines out, all or none. One that is not there is passed over."""
        ...

    async def version(self) -> int:
        """Tell the version now. Cheap: called before a publish to learn whether a kept copy is still good."""
        ...

    async def load(self) -> Recipients:
        """Read the whole list, with the version it belongs to."""
        ...


class RecipientListFactory(Protocol):
    """What an entry point in the group `busframe.recipients` must be."""

    def __call__(self, url: BackendUrl) -> AbstractAsyncContextManager[RecipientList]:
        """Open the list the URL names, making it if it is not there."""
        ...
