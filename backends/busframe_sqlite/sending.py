"""Sending: rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import msgspec

from busframe.errors import MessageTooLargeError
from busframe.message import Failed, MessageId, QueueName, Sent
from busframe_sqlite.clock import to_us
from busframe_sqlite.groups import note_appended
from busframe_sqlite.sweeping import sweep
from busframe_sqlite.transaction import DEDUPLICATION_WINDOW_US, NewMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.message import Outgoing, SendOutcome
    from busframe_sqlite.transaction import Queue, Transaction

_encode: Final = msgspec.msgpack.Encoder().encode


class Batch(NamedTuple):
    """What one caller sends: checked messages, and how large each is."""

    messages: Sequence[Outgoing]
    sizes_bytes: Sequence[int]


@dataclass(frozen=True, slots=True, eq=False)
class Sending:
    """Appends the messages of batches to a queue, those that are too large excepted.

    Raises:
        QueueNotFoundError: nothing was sent.
    """

    comes_last: ClassVar[bool] = False

    queue_name: QueueName
    message_bytes_max: int

    def carry_out(self, transaction: Transaction, asked: Sequence[Batch]) -> Sequence[Sequence[SendOutcome]]:
        """See `busframe_sqlite.transactor.Work`."""
        desk = _Desk(transaction, transaction.queue(self.queue_name))
        # Whoever adds also clears away: nobody may ever receive from a dead-letter queue. What is left is for the next.
        sweep(transaction, desk.queue)
        if desk.queue.ordered:
            desk.recall(asked)
        outcomes = [
            [
                desk.send(message) if size_bytes <= self.message_bytes_max else self._refuse(size_bytes)
                for message, size_bytes in zip(*batch, strict=True)
            ]
            for batch in asked
        ]
        desk.finish()
        return outcomes

    def _refuse(self, size_bytes: int) -> Failed:
        text = f"the message has {size_bytes} bytes, the queue {self.queue_name!r} takes {self.message_bytes_max}"
        return Failed(error=MessageTooLargeError(text))


class _Desk:
    """Takes in messages one by one, and writes all at once."""

    def __init__(self, transaction: Transaction, queue: Queue) -> None:
        self.queue = queue
        self._transaction = transaction
        self._known: dict[str, Sent] = {}
        self._new: list[tuple[object, ...]] = []
        self._appended: list[NewMessage] = []
        self._count = 0

    def recall(self, batches: Sequence[Batch]) -> None:
        """Find what was sent before within the window."""
        ids = [
            message.deduplication_id
            for batch in batches
            for message in batch.messages
            if message.deduplication_id is not None
        ]
        if not ids:
            return
        window_start_us = self._transaction.now_us - DEDUPLICATION_WINDOW_US
        # Two forgotten for each one remembered: the table shrinks to what the window holds, and no call pays for many.
        self._transaction.execute(
            "DELETE FROM deduplication WHERE rowid IN ("
            "  SELECT rowid FROM deduplication WHERE first_sent_at_us <= ? ORDER BY first_sent_at_us LIMIT ?)",
            (window_start_us, 2 * len(ids)),
        )
        known = self._transaction.fetch(
            "SELECT deduplication_id, message_id, sequence FROM deduplication"
            " WHERE queue_id = ? AND first_sent_at_us > ? AND deduplication_id IN (SELECT value FROM json_each(?))",
            (self.queue.id, window_start_us, msgspec.json.encode(ids).decode()),
        )
        self._known = {
            known_id: Sent(message_id=MessageId(message_id), sequence=str(sequence))
            for known_id, message_id, sequence in known
        }

    def send(self, message: Outgoing) -> Sent:
        """Append a message, unless it was sent before."""
        deduplication_id = message.deduplication_id
        if deduplication_id is None:
            return self._append(message)
        sent = self._known.get(deduplication_id)
        if sent is None:
            sent = self._known[deduplication_id] = self._append(message)
            self._new.append(
                (self.queue.id, deduplication_id, self._transaction.now_us, sent.message_id, int(sent.sequence or 0))
            )
        return sent

    def finish(self) -> None:
        """Write what goes with the messages."""
        if self._count:
            self._transaction.note_arrived(self.queue, self._count)
        if self._appended:
            note_appended(self._transaction, self._appended)
        if self._new:
            self._transaction.execute_many("INSERT OR REPLACE INTO deduplication VALUES (?, ?, ?, ?, ?)", self._new)

    def _append(self, message: Outgoing) -> Sent:
        transaction, queue = self._transaction, self.queue
        number = transaction.new_number()
        message_id = transaction.new_message_id(number)
        now_us = transaction.now_us
        # A message says 0 where it says nothing: the queue's own delay applies.
        due_at_us = now_us + (to_us(message.delay_s) or queue.delay_us)
        # By position, in the order of the columns: by name it takes three times as long, for every message.
        row = NewMessage(
            number,
            queue.id,
            due_at_us,
            0,  # not leased
            now_us,
            0,  # never received
            now_us,
            due_at_us,
            number if queue.ordered else None,
            message.group,
            message_id,
            message.deduplication_id,
            None,  # no dead letter
            _encode(dict(message.attributes)) if message.attributes else None,
            message.body,
        )
        transaction.insert(row)
        self._count += 1
        if not queue.ordered:
            return Sent(message_id=MessageId(message_id))
        self._appended.append(row)
        return Sent(message_id=MessageId(message_id), sequence=str(number))
