"""Sending: rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from busframe.errors import MessageTooLargeError
from busframe.message import Failed, MessageId, QueueName, Sent
from busframe_sqlite.clock import to_us
from busframe_sqlite.groups import refresh_heads
from busframe_sqlite.transaction import DEDUPLICATION_WINDOW_US, NewMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.message import Outgoing, SendOutcome
    from busframe_sqlite.transaction import Queue, Transaction

_encode: Final = msgspec.msgpack.Encoder().encode


def send(
    transaction: Transaction, queue_name: QueueName, batch: Sequence[Outgoing], message_bytes_max: int
) -> Sequence[SendOutcome]:
    """Append the messages of a checked batch, those that are too large excepted.

    Raises:
        QueueNotFoundError: nothing was sent.
    """
    queue = transaction.queue(queue_name)
    outcomes: list[SendOutcome] = []
    for message in batch:
        size_bytes = message.size_bytes
        if size_bytes > message_bytes_max:
            text = f"the message has {size_bytes} bytes, the queue {queue_name!r} takes {message_bytes_max}"
            outcomes.append(Failed(error=MessageTooLargeError(text)))
        elif queue.ordered:
            outcomes.append(_send_ordered(transaction, queue, message))
        else:
            outcomes.append(_append(transaction, queue, message))
    if queue.ordered:
        refresh_heads(transaction, queue.id, {message.group for message in batch if message.group is not None})
    return outcomes


def _append(transaction: Transaction, queue: Queue, message: Outgoing) -> Sent:
    number = transaction.new_number()
    message_id = transaction.new_message_id(number)
    now_us = transaction.now_us
    # A message says 0 where it says nothing: the queue's own delay applies.
    due_at_us = now_us + (to_us(message.delay_s) or queue.delay_us)
    transaction.insert(
        NewMessage(
            number=number,
            queue_id=queue.id,
            visible_at_us=due_at_us,
            leased=0,
            received_at_us=now_us,
            receive_count=0,
            sent_at_us=now_us,
            kept_from_us=due_at_us,
            sequence=number if queue.ordered else None,
            message_group=message.group,
            message_id=message_id,
            deduplication_id=message.deduplication_id,
            dead_letter_source=None,
            attributes=_encode(dict(message.attributes)) if message.attributes else None,
            body=message.body,
        )
    )
    return Sent(message_id=MessageId(message_id), sequence=str(number) if queue.ordered else None)


def _send_ordered(transaction: Transaction, queue: Queue, message: Outgoing) -> Sent:
    if message.deduplication_id is None:
        return _append(transaction, queue, message)
    _forget_old(transaction)
    known = transaction.fetch(
        "SELECT message_id, sequence FROM deduplication"
        " WHERE queue_id = ? AND deduplication_id = ? AND first_sent_at_us > ?",
        (queue.id, message.deduplication_id, transaction.now_us - DEDUPLICATION_WINDOW_US),
    )
    if known:
        message_id, sequence = known[0]
        return Sent(message_id=MessageId(message_id), sequence=str(sequence))
    sent = _append(transaction, queue, message)
    transaction.execute(
        "INSERT OR REPLACE INTO deduplication VALUES (?, ?, ?, ?, ?)",
        (queue.id, message.deduplication_id, transaction.now_us, sent.message_id, int(sent.sequence or 0)),
    )
    return sent


def _forget_old(transaction: Transaction) -> None:
    # Two for each one remembered: the table shrinks to what the window holds, and no call pays for many.
    transaction.execute(
        "DELETE FROM deduplication WHERE rowid IN ("
        "  SELECT rowid FROM deduplication WHERE first_sent_at_us <= ? ORDER BY first_sent_at_us LIMIT 2)",
        (transaction.now_us - DEDUPLICATION_WINDOW_US,),
    )
