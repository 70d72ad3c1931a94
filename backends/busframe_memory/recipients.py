"""The recipient list in memory: shared by whoever holds the object."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from busframe import runtime
from busframe.errors import InvalidArgumentError
from busframe.recipients import Change, ChangedTopics, Recipients, Subscription, check_space, revise

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Sequence

    from busframe.config import BackendUrl
    from busframe.recipients import Edit


class MemoryRecipients:
    """Implements `busframe.recipients.RecipientList`."""

    def __init__(self) -> None:
        self.fresh_s: Final = math.inf
        self._version = 0
        # Rows stand with a number, that says in which order they were added.
        self._by_topic: dict[str, dict[tuple[str, str], tuple[int, Subscription]]] = {}
        self._numbers = count()
        self._history: list[Change] = []
        self._listeners: list[Callable[[Collection[str]], None]] = []

    def listen(self, changed: Callable[[Collection[str]], None]) -> None:
        """See `RecipientList.listen`."""
        self._listeners.append(changed)

    async def load(self, topics: Collection[str] | None = None) -> Recipients:
        """See `RecipientList.load`."""
        return Recipients(version=self._version, subscriptions=self._rows(topics))

    async def changed_since(self, version: int) -> ChangedTopics:
        """See `RecipientList.changed_since`."""
        topics = {change.topic for change in self._history if change.version > version}
        return ChangedTopics(version=self._version, topics=topics)

    async def change(self, edit: Edit, *, by: str, topics: Collection[str] | None = None) -> Sequence[Change]:
        """See `RecipientList.change`. Nothing waits in between, so nobody sees it half done."""
        before = self._rows(topics)
        revision = revise(before, edit(before), version=self._version + 1, at_s=runtime.wall_s(), by=by)
        if not revision.changes:
            return ()
        self._version += 1
        for row in revision.remove:
            rows = self._by_topic[row.topic]
            del rows[row.name]
            if not rows:
                del self._by_topic[row.topic]
        for row in revision.put:
            rows = self._by_topic.setdefault(row.topic, {})
            number, _ = rows.get(row.name) or (next(self._numbers), row)
            rows[row.name] = (number, row)
        self._history.extend(revision.changes)
        for changed in self._listeners:
            changed(revision.topics)
        return revision.changes

    async def history(self, *, limit: int) -> Sequence[Change]:
        """See `RecipientList.history`."""
        return self._history[: -limit - 1 : -1]

    def _rows(self, topics: Collection[str] | None) -> list[Subscription]:
        wanted = self._by_topic if topics is None else topics
        found = [numbered for topic in wanted for numbered in self._by_topic.get(topic, {}).values()]
        return [row for _, row in sorted(found, key=itemgetter(0))]


@asynccontextmanager
async def open_memory_recipients(url: BackendUrl, *, space: str) -> AsyncGenerator[MemoryRecipients, None]:
    """Open an empty list: `memory://`. No two are the same, whatever their space."""
    url.require_only(())
    check_space(space)
    if url.place:
        raise InvalidArgumentError("url", url.place, "memory:// names no place")
    yield MemoryRecipients()
