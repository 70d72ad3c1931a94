"""Settling and extending: what a receipt may still do.

A receipt names a delivery. It acknowledges as long as the message was not delivered again since, lease or no lease; it
releases and extends only while its lease runs. A message that is gone was acknowledged already, as far as anyone can
tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from busframe.errors import LeaseLostError, ReceiptInvalidError
from busframe.message import Acknowledge, Failed, Settled
from busframe_sqlite.clock import to_s, to_us
from busframe_sqlite.groups import refresh_heads
from busframe_sqlite.transaction import LEASE_US_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.message import Extension, QueueName, Receipt, Settlement, SettleOutcome
    from busframe_sqlite.receipts import ReceiptContent
    from busframe_sqlite.transaction import Queue, Transaction

_SETTLED: Final = Settled()


@dataclass(slots=True)
class _Delivery:
    """A message as the file has it."""

    number: int
    queue_id: int
    visible_at_us: int
    leased: int
    received_at_us: int
    receive_count: int
    message_group: str | None
    delayed_to_us: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Settling:
    """Acknowledges or releases deliveries.

    Raises:
        QueueNotFoundError: nothing was settled.
    """

    comes_last: ClassVar[bool] = False

    queue_name: QueueName

    def carry_out(
        self, transaction: Transaction, asked: Sequence[Sequence[Settlement]]
    ) -> Sequence[Sequence[SettleOutcome]]:
        """See `busframe_sqlite.transactor.Work`."""
        queue = transaction.queue(self.queue_name)
        if not queue.ordered and _acknowledge_at_once(transaction, queue, asked):
            return [[_SETTLED] * len(batch) for batch in asked]
        desk = _Desk(transaction, queue, [entry.receipt for batch in asked for entry in batch])
        outcomes = [[desk.settle(entry) for entry in batch] for batch in asked]
        desk.finish()
        return outcomes


@dataclass(frozen=True, slots=True, eq=False)
class Extending:
    """Moves the ends of leases.

    Raises:
        QueueNotFoundError: nothing was moved.
    """

    comes_last: ClassVar[bool] = False

    queue_name: QueueName

    def carry_out(
        self, transaction: Transaction, asked: Sequence[Sequence[Extension]]
    ) -> Sequence[Sequence[SettleOutcome]]:
        """See `busframe_sqlite.transactor.Work`."""
        queue = transaction.queue(self.queue_name)
        desk = _Desk(transaction, queue, [entry.receipt for batch in asked for entry in batch])
        outcomes = [[desk.extend(entry) for entry in batch] for batch in asked]
        desk.finish()
        return outcomes


def _acknowledge_at_once(transaction: Transaction, queue: Queue, asked: Sequence[Sequence[Settlement]]) -> bool:
    """Remove the messages if all there is to do is to acknowledge, as it mostly is.

    False: it is not, or some message is not this receipt's any more. Some may have been removed all the same; each of
    them is one that its receipt acknowledges, so that looking at all entries one by one comes to the right outcomes.
    """
    by_delivery: dict[int, list[int]] = {}
    for batch in asked:
        for entry in batch:
            content = transaction.receipts.read(entry.receipt) if isinstance(entry, Acknowledge) else None
            if content is None or content.queue_id != queue.id:
                return False
            by_delivery.setdefault(content.delivery, []).append(content.number)
    wanted = removed = 0
    for delivery, numbers in by_delivery.items():
        # The + keeps SQLite from looking for the numbers among all messages of the queue, by an index of that.
        wanted += len(numbers)
        removed += transaction.execute(
            "DELETE FROM message"
            " WHERE number IN (SELECT value FROM json_each(?)) AND +queue_id = ? AND receive_count = ?",
            (_json(numbers), queue.id, delivery),
        )
    return removed == wanted


class _Desk:
    """Looks up the deliveries of all batches at once, decides entry by entry, writes all changes at once."""

    def __init__(self, transaction: Transaction, queue: Queue, receipts: Sequence[Receipt]) -> None:
        self._transaction = transaction
        self._queue = queue
        contents = map(transaction.receipts.read, receipts)
        self._contents = {
            receipt: content
            for receipt, content in zip(receipts, contents, strict=True)
            if content is not None and content.queue_id == queue.id
        }
        self._deliveries = self._find({content.number for content in self._contents.values()})
        self._removed: list[int] = []
        self._moved: dict[int, _Delivery] = {}
        self._groups: set[str] = set()

    def settle(self, entry: Settlement) -> SettleOutcome:
        """Acknowledge or release."""
        if isinstance(entry, Acknowledge):
            return self._acknowledge(entry.receipt)
        return self._hide(entry.receipt, until_us=self._transaction.now_us + to_us(entry.delay_s), leased=0)

    def extend(self, entry: Extension) -> SettleOutcome:
        """Move the end of a lease."""
        return self._hide(entry.receipt, until_us=self._transaction.now_us + to_us(entry.lease_s), leased=1)

    def finish(self) -> None:
        """Write the changes."""
        if self._removed:
            self._transaction.execute(
                "DELETE FROM message WHERE number IN (SELECT value FROM json_each(?))", (_json(self._removed),)
            )
        if self._moved:
            self._transaction.execute_many(
                "UPDATE message SET visible_at_us = ?, leased = ?, kept_from_us = max(kept_from_us, ?)"
                " WHERE number = ?",
                [
                    (moved.visible_at_us, moved.leased, moved.delayed_to_us, moved.number)
                    for moved in self._moved.values()
                ],
            )
        refresh_heads(self._transaction, self._queue.id, self._groups)

    def _acknowledge(self, receipt: Receipt) -> SettleOutcome:
        """Remove the message, if it is still this receipt's."""
        content = self._contents.get(receipt)
        if content is None:
            return self._invalid(receipt)
        delivery = self._deliveries.get(content.number)
        if delivery is None:
            return _SETTLED
        if not self._is_last(content, delivery):
            return self._lost("the message was delivered again, or moved to the dead-letter queue")
        del self._deliveries[delivery.number]
        self._moved.pop(delivery.number, None)
        self._removed.append(delivery.number)
        self._note_group(delivery)
        return _SETTLED

    def _hide(self, receipt: Receipt, *, until_us: int, leased: int) -> SettleOutcome:
        """Let the message be visible from then on; `leased` 0 ends the lease."""
        content = self._contents.get(receipt)
        if content is None:
            return self._invalid(receipt)
        delivery = self._deliveries.get(content.number)
        if delivery is None or not self._is_last(content, delivery):
            return self._lost("the message was acknowledged, delivered again, moved or removed")
        if not delivery.leased or delivery.visible_at_us <= self._transaction.now_us:
            return self._lost("the lease has ended")
        if leased and until_us > delivery.received_at_us + LEASE_US_MAX:
            return self._lost(f"it would last longer than {to_s(LEASE_US_MAX):g} seconds in all")
        delivery.visible_at_us = until_us
        delivery.leased = leased
        if not leased and until_us > self._transaction.now_us:
            delivery.delayed_to_us = until_us
        self._moved[delivery.number] = delivery
        self._note_group(delivery)
        return _SETTLED

    def _find(self, numbers: set[int]) -> dict[int, _Delivery]:
        rows = self._transaction.fetch(
            "SELECT number, queue_id, visible_at_us, leased, received_at_us, receive_count, message_group"
            "  FROM message WHERE number IN (SELECT value FROM json_each(?))",
            (_json(numbers),),
        )
        return {row[0]: _Delivery(*row) for row in rows}

    def _is_last(self, content: ReceiptContent, delivery: _Delivery) -> bool:
        return delivery.queue_id == content.queue_id and delivery.receive_count == content.delivery

    def _note_group(self, delivery: _Delivery) -> None:
        if self._queue.ordered and delivery.message_group is not None:
            self._groups.add(delivery.message_group)

    def _invalid(self, receipt: Receipt) -> Failed:
        text = f"the queue {self._queue.name!r} gave out no receipt {receipt[:80]!r}"
        return Failed(error=ReceiptInvalidError(text))

    def _lost(self, why: str) -> Failed:
        return Failed(error=LeaseLostError(f"the lease on a message of {self._queue.name!r} is lost: {why}"))


def _json(numbers: Sequence[int] | set[int]) -> str:
    return f"[{','.join(map(str, numbers))}]"
