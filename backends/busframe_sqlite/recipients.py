"""The recipient list in the file: two statements a change, one number that tells of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from busframe.message import QueueName
from busframe.recipients import Recipients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.recipients import Recipient
    from busframe_sqlite.committer import Committer
    from busframe_sqlite.transaction import Transaction


class SqliteRecipients:
    """See `busframe.recipients.RecipientList`."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def add(self, recipients: Sequence[Recipient]) -> None:
        """See `busframe.recipients.RecipientList`."""
        await self._committer.run(partial(_add, recipients=recipients))

    async def remove(self, recipients: Sequence[Recipient]) -> None:
        """See `busframe.recipients.RecipientList`."""
        await self._committer.run(partial(_remove, recipients=recipients))

    async def version(self) -> int:
        """See `busframe.recipients.RecipientList`. One read; does not wait for other processes' writing."""
        return await self._committer.run(_version, reads_only=True)

    async def load(self) -> Recipients:
        """See `busframe.recipients.RecipientList`."""
        return await self._committer.run(_load, reads_only=True)


def _add(transaction: Transaction, recipients: Sequence[Recipient]) -> None:
    _change(transaction, "INSERT OR IGNORE INTO recipient (topic, queue) VALUES (?, ?)", recipients)


def _remove(transaction: Transaction, recipients: Sequence[Recipient]) -> None:
    _change(transaction, "DELETE FROM recipient WHERE topic = ? AND queue = ?", recipients)


def _change(transaction: Transaction, statement: str, recipients: Sequence[Recipient]) -> None:
    before = transaction.changes
    transaction.execute_many(statement, [(recipient.topic, recipient.queue) for recipient in recipients])
    if transaction.changes != before:
        transaction.execute("UPDATE store SET recipients_version = recipients_version + 1")


def _version(transaction: Transaction) -> int:
    ((version,),) = transaction.fetch("SELECT recipients_version FROM store")
    return int(version)


def _load(transaction: Transaction) -> Recipients:
    by_topic: dict[str, list[QueueName]] = {}
    for topic, queue in transaction.fetch("SELECT topic, queue FROM recipient ORDER BY id"):
        by_topic.setdefault(topic, []).append(QueueName(queue))
    return Recipients(version=_version(transaction), by_topic=by_topic)
