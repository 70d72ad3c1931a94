"""Removing many messages in bounded steps: what is beyond its retention, and what is purged.

Retention is counted from the send, or from the end of the last delay: a delay longer than the retention would otherwise
lose the message before anybody could have received it.

A step ends its transaction, so that neither the other callers nor the other processes wait for long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_sqlite.groups import refresh_heads

if TYPE_CHECKING:
    from busframe.message import QueueName
    from busframe_sqlite.transaction import Queue, Rows, Transaction

STEP: Final = 1_000
"""Messages removed or moved in one transaction: some 10 ms."""


def sweep(transaction: Transaction, queue: Queue) -> bool:
    """Remove messages beyond their retention, delivered or not. True if that is all; else call again."""
    if transaction.unexpired_until_us.get(queue.id, 0) > transaction.now_us:
        return True
    expired = transaction.fetch(
        "SELECT number, message_group FROM message WHERE queue_id = ? AND kept_from_us <= ?"
        " ORDER BY kept_from_us LIMIT ?",
        (queue.id, transaction.now_us - queue.retention_us, STEP),
    )
    _remove_messages(transaction, queue, expired)
    if len(expired) == STEP:
        return False
    oldest = transaction.fetch(
        "SELECT kept_from_us FROM message WHERE queue_id = ? ORDER BY kept_from_us LIMIT 1", (queue.id,)
    )
    # What comes later is kept longer, save what is moved here; whoever moves it forgets this.
    kept_from_us = oldest[0][0] if oldest else transaction.now_us
    transaction.unexpired_until_us[queue.id] = kept_from_us + queue.retention_us
    return True


def newest_number(transaction: Transaction, queue_name: QueueName) -> int:
    """A number that all messages now in the file are below: what a purge that starts now has to remove.

    Raises:
        QueueNotFoundError: the queue is not there.
    """
    transaction.queue(queue_name)
    return transaction.new_number()


def purge(transaction: Transaction, queue_name: QueueName, below_number: int) -> bool:
    """Remove messages older than that number. True if that is all; else call again.

    Raises:
        QueueNotFoundError: it is not there, or not any more.
    """
    queue = transaction.queue(queue_name)
    rows = transaction.fetch(
        "SELECT number, message_group FROM message WHERE queue_id = ? AND number < ? ORDER BY kept_from_us LIMIT ?",
        (queue.id, below_number, STEP),
    )
    _remove_messages(transaction, queue, rows)
    transaction.execute("DELETE FROM deduplication WHERE queue_id = ?", (queue.id,))
    return len(rows) < STEP


def _remove_messages(transaction: Transaction, queue: Queue, rows: Rows) -> None:
    if not rows:
        return
    numbers = ",".join(str(number) for number, _ in rows)
    transaction.execute("DELETE FROM message WHERE number IN (SELECT value FROM json_each(?))", (f"[{numbers}]",))
    if queue.ordered:
        refresh_heads(transaction, queue.id, {group for _, group in rows})
