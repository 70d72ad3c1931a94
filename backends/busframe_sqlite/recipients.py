"""The recipient list in the file: rows, a counter for each space, and a history that tells which topics changed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from busframe.message import QueueName
from busframe.recipients import Change, ChangedTopics, Recipients, Subscription, check_space, revise
from busframe_sqlite.clock import to_s, to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from busframe.recipients import Edit, Revision
    from busframe_sqlite.committer import Committer
    from busframe_sqlite.transaction import Rows, Transaction

# What several processes share is asked for as often as this: each question is one read, some 0.2 ms.
FRESH_S: Final = 0.2

UNCLAIMED: Final = "*"
"""The space of rows from before there were spaces. Such a file served one system alone: its next user takes them."""

_TOPICS_MAX: Final = 500
"""Topics in one question; SQLite takes some thousands of parameters."""

_ROW: Final = "topic, queue, subscriber, filter, filter_on, state, created_at_us, changed_at_us, changed_by"


class SqliteRecipients:
    """See `busframe.recipients.RecipientList`."""

    def __init__(self, committer: Committer, space: str = "") -> None:
        self.fresh_s: Final = FRESH_S
        self._committer = committer
        self._space = check_space(space)
        self._claimed = False
        self._listeners: list[Callable[[Collection[str]], None]] = []

    def in_space(self, space: str) -> SqliteRecipients:
        """The list of another space in the same file."""
        return SqliteRecipients(self._committer, space)

    def listen(self, changed: Callable[[Collection[str]], None]) -> None:
        """See `busframe.recipients.RecipientList`."""
        self._listeners.append(changed)

    async def load(self, topics: Collection[str] | None = None) -> Recipients:
        """See `busframe.recipients.RecipientList`."""
        await self._claim()
        return await self._committer.run(partial(_load, space=self._space, topics=topics), reads_only=True)

    async def changed_since(self, version: int) -> ChangedTopics:
        """See `busframe.recipients.RecipientList`. One read; does not wait for other processes' writing."""
        return await self._committer.run(partial(_changed_since, space=self._space, version=version), reads_only=True)

    async def change(self, edit: Edit, *, by: str, topics: Collection[str] | None = None) -> Sequence[Change]:
        """See `busframe.recipients.RecipientList`."""
        await self._claim()
        revision = await self._committer.run(partial(_change, space=self._space, edit=edit, by=by, topics=topics))
        if revision.changes:
            for changed in self._listeners:
                changed(revision.topics)
        return revision.changes

    async def history(self, *, limit: int) -> Sequence[Change]:
        """See `busframe.recipients.RecipientList`."""
        return await self._committer.run(partial(_history, space=self._space, limit=limit), reads_only=True)

    async def _claim(self) -> None:
        if not self._claimed:
            if await self._committer.run(_has_unclaimed, reads_only=True):
                await self._committer.run(partial(_claim, space=self._space))
            self._claimed = True


def _has_unclaimed(transaction: Transaction) -> bool:
    return bool(transaction.fetch("SELECT 1 FROM subscription WHERE space = ? LIMIT 1", (UNCLAIMED,)))


def _claim(transaction: Transaction, space: str) -> None:
    transaction.execute("UPDATE OR IGNORE subscription SET space = ? WHERE space = ?", (space, UNCLAIMED))
    transaction.execute("DELETE FROM subscription WHERE space = ?", (UNCLAIMED,))  # those the space has already


def _load(transaction: Transaction, space: str, topics: Collection[str] | None) -> Recipients:
    return Recipients(version=_version(transaction, space), subscriptions=_rows(transaction, space, topics))


def _version(transaction: Transaction, space: str) -> int:
    rows = transaction.fetch("SELECT version FROM subscription_space WHERE space = ?", (space,))
    return int(rows[0][0]) if rows else 0


def _rows(transaction: Transaction, space: str, topics: Collection[str] | None) -> list[Subscription]:
    columns = f"SELECT id, {_ROW} FROM subscription WHERE space = ?"  # noqa: S608 - constants
    found: Rows = []
    if topics is None:
        found = transaction.fetch(f"{columns} ORDER BY id", (space,))
    else:
        wanted = list(topics)
        for start in range(0, len(wanted), _TOPICS_MAX):
            some = wanted[start : start + _TOPICS_MAX]
            marks = ", ".join("?" * len(some))
            found += transaction.fetch(f"{columns} AND topic IN ({marks})", (space, *some))
        found.sort()
    return [
        Subscription(
            topic=topic,
            queue=QueueName(queue),
            group=group,
            filter=policy,
            filter_on=filter_on,
            state=state,
            created_at_s=to_s(created_at_us),
            changed_at_s=to_s(changed_at_us),
            changed_by=changed_by,
        )
        for _, topic, queue, group, policy, filter_on, state, created_at_us, changed_at_us, changed_by in found
    ]


def _changed_since(transaction: Transaction, space: str, version: int) -> ChangedTopics:
    present = _version(transaction, space)
    if present == version:
        return ChangedTopics(version=present, topics=())
    topics = transaction.fetch(
        "SELECT DISTINCT topic FROM subscription_log WHERE space = ? AND version > ?", (space, version)
    )
    return ChangedTopics(version=present, topics={topic for (topic,) in topics})


def _change(transaction: Transaction, space: str, edit: Edit, by: str, topics: Collection[str] | None) -> Revision:
    before = _rows(transaction, space, topics)
    version = _version(transaction, space) + 1
    revision = revise(before, edit(before), version=version, at_s=to_s(transaction.now_us), by=by)
    if not revision.changes:
        return revision
    transaction.execute_many(
        "DELETE FROM subscription WHERE space = ? AND topic = ? AND queue = ?",
        [(space, *row.name) for row in revision.remove],
    )
    transaction.execute_many(
        f"INSERT INTO subscription (space, {_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
        " ON CONFLICT (space, topic, queue) DO UPDATE SET subscriber = excluded.subscriber, filter = excluded.filter,"
        " filter_on = excluded.filter_on, state = excluded.state, changed_at_us = excluded.changed_at_us,"
        " changed_by = excluded.changed_by",
        [
            (
                space,
                *row.name,
                row.group,
                row.filter,
                row.filter_on,
                row.state,
                to_us(row.created_at_s),
                to_us(row.changed_at_s),
                row.changed_by,
            )
            for row in revision.put
        ],
    )
    transaction.execute("INSERT OR REPLACE INTO subscription_space VALUES (?, ?)", (space, version))
    transaction.execute_many(
        "INSERT INTO subscription_log (space, version, at_us, changed_by, topic, queue, subscriber, what)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(space, version, to_us(c.at_s), c.by, c.topic, c.queue, c.group, c.what) for c in revision.changes],
    )
    return revision


def _history(transaction: Transaction, space: str, limit: int) -> list[Change]:
    found = transaction.fetch(
        "SELECT version, at_us, changed_by, topic, queue, subscriber, what FROM subscription_log"
        " WHERE space = ? ORDER BY version DESC, id DESC LIMIT ?",
        (space, limit),
    )
    return [
        Change(version=version, at_s=to_s(at_us), by=by, topic=topic, queue=QueueName(queue), group=group, what=what)
        for version, at_us, by, topic, queue, group, what in found
    ]
