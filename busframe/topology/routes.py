"""Which recipients a publish goes to, from a copy of the recipient list in memory.

The copy holds the topics that were asked for, each indexed, so that finding a publish's recipients costs what it has of
recipients and not what the list has of rows. It is brought up to date topic by topic: what this connection changes at
once, what others change after `RecipientList.fresh_s` at the latest.
"""

from __future__ import annotations

import logging
import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import anyio

from busframe import runtime
from busframe.errors import InvalidArgumentError
from busframe.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from busframe.filters import FilterOn
    from busframe.recipients import RecipientList, Subscription

_log = logging.getLogger("busframe")


class Facts(Protocol):
    """What filters can look at."""

    def on(self, what: FilterOn) -> Mapping[str, Any] | None:
        """The headers, or the payload after `filters.nested`; None: it is no JSON object, so no filter matches."""
        ...


class Routes:
    """Looks recipients up. Belongs to one event loop."""

    def __init__(self, recipients: RecipientList) -> None:
        self._recipients = recipients
        self._fresh_s = recipients.fresh_s
        self._ages = not math.isinf(recipients.fresh_s)  # else the clock need not be asked
        self._topics: dict[str, _Topic] = {}
        self._version: int | None = None
        self._asked_s = float("-inf")
        self._forgotten = 0
        self._under_way: dict[str, anyio.Event] = {}
        recipients.listen(self._forget)

    async def recipients_of(self, topic: str, facts: Facts) -> Sequence[Subscription]:
        """Name those that get a copy of a message of this topic, as the list was at most `fresh_s` ago.

        Raises:
            BackendError: the list cannot be read.
        """
        while self._version is None or (self._ages and runtime.now_s() - self._asked_s > self._fresh_s):
            await self._once("", self.refresh)
        while (found := self._topics.get(topic)) is None:
            await self._once(topic, partial(self._read, topic))
        return found.matching(facts)

    def everybody(self, topic: str) -> Sequence[Subscription] | None:
        """Name those that get a copy, if that takes neither a look at the message nor at the list."""
        found = self._topics.get(topic)
        return None if found is None or self._ages or self._version is None else found.unconditional()

    async def refresh(self) -> None:
        """Ask what has changed, even if that was asked a moment ago."""
        asked_s = runtime.now_s()
        if self._version is None:
            self._version = (await self._recipients.load(())).version
        else:
            changed = await self._recipients.changed_since(self._version)
            # A smaller version is another list: the store was set back, or made anew.
            self._forget(changed.topics if changed.version >= self._version else tuple(self._topics))
            self._version = changed.version
        self._asked_s = max(self._asked_s, asked_s)

    async def _read(self, topic: str) -> None:
        forgotten = self._forgotten
        found = _Topic((await self._recipients.load((topic,))).subscriptions)
        if forgotten == self._forgotten:  # Otherwise this may be what was there before a change.
            self._topics[topic] = found

    async def _once(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do some work, or, if it is being done, wait for its end, whatever that is."""
        if what in self._under_way:
            await self._under_way[what].wait()
            return
        ended = self._under_way[what] = anyio.Event()
        try:
            await work()
        finally:
            del self._under_way[what]
            ended.set()

    def _forget(self, topics: Collection[str]) -> None:
        if topics:
            self._forgotten += 1
        for topic in topics:
            self._topics.pop(topic, None)


class _Topic:
    """The active subscriptions of one topic.

    Those without a filter stand by themselves. Those with one stand, where they can, under a value that a message must
    have for it to match, so that a hundred thousand subscriptions of a tenant each cost one look.
    """

    __slots__ = ("_all", "_by_value", "_others")

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        self._all: list[Subscription] = []
        self._by_value: dict[tuple[FilterOn, str], dict[Any, list[_Chosen]]] = {}
        self._others: list[_Chosen] = []
        for row in subscriptions:
            if row.state != "active":
                continue
            chosen = None if row.filter is None else _filter(row.filter, row.filter_on)
            if chosen is None:
                self._all.append(row)
            elif chosen.index is None:
                self._others.append((row, chosen))
            else:
                key, values = chosen.index
                by_value = self._by_value.setdefault((chosen.on, key), {})
                for value in values:
                    by_value.setdefault(value, []).append((row, chosen))

    def unconditional(self) -> Sequence[Subscription] | None:
        """All of them, if none has a filter."""
        return None if self._others or self._by_value else self._all

    def matching(self, facts: Facts) -> Sequence[Subscription]:
        """Those that want the message."""
        if not self._others and not self._by_value:
            return self._all
        candidates = list(self._others)
        for (on, key), by_value in self._by_value.items():
            seen = facts.on(on)
            for value in () if seen is None else _values(seen.get(key)):
                candidates += by_value.get(value, ())
        matching = {
            row.queue: row
            for row, chosen in candidates
            if (seen := facts.on(chosen.on)) is not None and chosen.matches(seen)
        }
        return [*self._all, *matching.values()]


_Chosen = tuple["Subscription", Filter]


def _values(value: object) -> Iterable[object]:
    """The values that an index may know: a list counts as each of its elements, an object as none."""
    if isinstance(value, list):
        return [inner for element in cast("list[object]", value) for inner in _values(element)]
    return () if isinstance(value, dict) else (value,)


@lru_cache(maxsize=100_000)
def _filter(text: str, on: FilterOn) -> Filter | None:
    try:
        return Filter.from_text(text, on)
    except (InvalidArgumentError, ValueError):
        # Written by a later version, or by hand. Copies too many can be dropped by the handler, missing ones are lost.
        _log.exception("the filter %s on %s cannot be read: its subscriber gets all messages", text, on)
        return None
