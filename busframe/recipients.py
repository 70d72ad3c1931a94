"""The recipient list: the durable table of who subscribed to what, by which a publish is routed.

A publish puts one copy on each queue that stands in the list under the message's topic. The list is shared by all
publishers and subscribers of a system, so it lives where all of them can reach it: in memory, in the SQLite file that
holds the queues, in a file or database of its own. An entry point in the group `busframe.recipients` opens one by URL.

A store has little to do: keep rows, change them in one transaction as a function says, count changes, and remember
who made them. What a registration, a pause or a move means for the rows is decided in `busframe.topology`, for all
stores alike.

Several systems may share one store: each has a *space* of its own, whose rows, versions and history the others do not
see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractAsyncContextManager

    from busframe.config import BackendUrl
    from busframe.message import QueueName

State = Literal["active", "paused", "draining"]
"""What a subscription is doing. Only an active one gets copies. A paused one keeps its queue and what is on it; a
draining one does so until its queue is empty, and then both are removed."""

_SPACE: Final = re.compile(r"[A-Za-z0-9_.-]{0,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One row of the list: a group gets copies of a topic's messages on a queue. Topic and queue name it.

    Attributes:
        group: `bus/group`; empty where it is not known.
        filter: which messages it gets: a filter policy as JSON text; None: all.
        filter_on: what the filter looks at, "headers" or "payload".
        created_at_s: seconds since 1970, by the store's clock; 0: not known.
        changed_at_s: when it was last changed.
        changed_by: who did that.
    """

    topic: str
    queue: QueueName
    group: str = ""
    filter: str | None = None
    filter_on: str = "headers"
    state: State = "active"
    created_at_s: float = 0.0
    changed_at_s: float = 0.0
    changed_by: str = ""

    @property
    def name(self) -> tuple[str, QueueName]:
        """What no other row has."""
        return self.topic, self.queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipients:
    """The rows, or those of some topics, as they were at one version.

    Attributes:
        version: grows with every change in the space; equal versions mean equal rows.
        subscriptions: in the order they were added.
    """

    version: int
    subscriptions: Sequence[Subscription]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTopics:
    """What has changed since an earlier version.

    Attributes:
        version: the present one.
        topics: those of which rows were added, changed or removed.
    """

    version: int
    topics: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry of the list's history.

    Attributes:
        version: of the list after it. Changes made together share one.
        at_s: seconds since 1970.
        by: who made it.
        what: in words: "subscribed", "unsubscribed", "state active -> paused".
    """

    version: int
    at_s: float
    by: str
    topic: str
    queue: QueueName
    group: str
    what: str


class Edit(Protocol):
    """What to do to the rows.

    It may be called more than once, on any thread, and must have no effect of its own.
    """

    def __call__(self, rows: Sequence[Subscription], /) -> Sequence[Subscription]:
        """Return the rows as they should be; what is left out is removed.

        Times and names of changers are the store's business.
        """
        ...


class RecipientList(Protocol):
    """The list of one space. All methods may be called at once from any task of one event loop."""

    @property
    def fresh_s(self) -> float:
        """For how long what was read may be used without asking whether it changed; infinity: `listen` tells all."""
        ...

    def listen(self, changed: Callable[[Collection[str]], None]) -> None:
        """Call a function with the topics concerned whenever this object has made a change, before `change` returns."""
        ...

    async def load(self, topics: Collection[str] | None = None) -> Recipients:
        """Read the rows of some topics, or all, with the version they belong to."""
        ...

    async def changed_since(self, version: int) -> ChangedTopics:
        """Tell what has changed since then. Cheap where nothing has."""
        ...

    async def change(self, edit: Edit, *, by: str, topics: Collection[str] | None = None) -> Sequence[Change]:
        """Change the rows of some topics, or all, as `edit` says: in one transaction, all or nothing.

        Two changes at once happen one after the other, also from two processes. Cancelled, it has happened or not.

        Returns:
            What was changed, as it stands in the history; empty, and the version as it was, if nothing was.
        """
        ...

    async def history(self, *, limit: int) -> Sequence[Change]:
        """Read the last changes, the newest first."""
        ...


class RecipientListFactory(Protocol):
    """What an entry point in the group `busframe.recipients` must be."""

    def __call__(self, url: BackendUrl, *, space: str) -> AbstractAsyncContextManager[RecipientList]:
        """Open the list of a space in the store the URL names, making both if they are not there."""
        ...


def check_space(space: str) -> str:
    """Check the name of a space and return it.

    Raises:
        InvalidArgumentError: it is not up to 80 letters, digits, `_`, `.` and `-`.
    """
    if not _SPACE.fullmatch(space):
        raise InvalidArgumentError("space", space, "up to 80 letters, digits, '_', '.' and '-'")
    return space


@dataclass(frozen=True, slots=True)
class Revision:
    """What an edit comes to: for stores.

    Attributes:
        put: rows to write, new ones and changed ones.
        remove: rows to take out.
        changes: for the history, and for the caller of `RecipientList.change`.
    """

    put: Sequence[Subscription]
    remove: Sequence[Subscription]
    changes: Sequence[Change]

    @property
    def topics(self) -> Collection[str]:
        """Those concerned."""
        return {change.topic for change in self.changes}


def revise(
    before: Sequence[Subscription], after: Sequence[Subscription], *, version: int, at_s: float, by: str
) -> Revision:
    """Compare rows before and after an edit.

    Args:
        before: the rows handed to the edit.
        after: what it returned.
        version: the list's next one.
        at_s: now.
        by: who made the edit.
    """
    known = {row.name: row for row in before}
    kept = {row.name for row in after}
    put: list[Subscription] = []
    entries: list[tuple[Subscription, str]] = []
    for row in after:
        old = known.get(row.name)
        if old is None:
            what = "subscribed" if row.state == "active" else f"subscribed, {row.state}"
            created_at_s = at_s
        else:
            what = _difference(old, row)
            created_at_s = old.created_at_s
        if what:
            put.append(replace(row, created_at_s=created_at_s, changed_at_s=at_s, changed_by=by))
            entries.append((row, what))
    removed = [row for row in before if row.name not in kept]
    entries += [(row, "unsubscribed") for row in removed]
    changes = [
        Change(version=version, at_s=at_s, by=by, topic=row.topic, queue=row.queue, group=row.group, what=what)
        for row, what in entries
    ]
    return Revision(put, removed, changes)


def _difference(old: Subscription, new: Subscription) -> str:
    parts = [
        f"{label} {before or 'none'} -> {after or 'none'}"
        for label, before, after in (
            ("group", old.group, new.group),
            ("filter", _filter_text(old), _filter_text(new)),
            ("state", old.state, new.state),
        )
        if before != after
    ]
    return ", ".join(parts)


def _filter_text(row: Subscription) -> str:
    return f"{row.filter} on {row.filter_on}" if row.filter else ""
