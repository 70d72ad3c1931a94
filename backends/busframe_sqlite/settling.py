"""Settling and extending: what a receipt may still do.

A receipt names a delivery. It acknowledges as long as the message was not delivered again since, lease or no lease; it
releases and extends only while its lease runs. A message that is gone was acknowledged already, as far as anyone can
tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from busframe.errors import LeaseLostError, ReceiptInvalidError
from busframe.message import Acknowledge, Failed, Settled
from busframe_sqlite.clock import to_s, to_us
from busframe_sqlite.groups import refresh_heads
from busframe_sqlite.transaction import LEASE_US_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.errors import BackendError
    from busframe.message import Extension, QueueName, Receipt, Settlement, SettleOutcome
    from busframe_sqlite.receipts import ReceiptContent
    from busframe_sqlite.transaction import Queue, Transaction


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


def settle(transaction: Transaction, queue_name: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
    """Acknowledge or release deliveries.

    Raises:
        QueueNotFoundError: nothing was settled.
    """
    desk = _Desk(transaction, transaction.queue(queue_name), [entry.receipt for entry in batch])
    for entry in batch:
        if isinstance(entry, Acknowledge):
            desk.acknowledge(entry.receipt)
        else:
            desk.hide(entry.receipt, until_us=transaction.now_us + to_us(entry.delay_s), leased=0)
    return desk.finish()


def extend(transaction: Transaction, queue_name: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
    """Move the ends of leases.

    Raises:
        QueueNotFoundError: nothing was moved.
    """
    desk = _Desk(transaction, transaction.queue(queue_name), [entry.receipt for entry in batch])
    for entry in batch:
        desk.hide(entry.receipt, until_us=transaction.now_us + to_us(entry.lease_s), leased=1)
    return desk.finish()


class _Desk:
    """Looks up the deliveries of one batch at once, decides entry by entry, writes all changes at once."""

    def __init__(self, transaction: Transaction, queue: Queue, receipts: Sequence[Receipt]) -> None:
        self._transaction = transaction
        self._queue = queue
        self._contents = [transaction.receipts.read(receipt) for receipt in receipts]
        self._deliveries = self._find({content.number for content in self._contents if content is not None})
        self._outcomes: list[SettleOutcome] = []
        self._removed: list[int] = []
        self._moved: dict[int, _Delivery] = {}
        self._groups: set[str] = set()

    def acknowledge(self, receipt: Receipt) -> None:
        """Remove the message, if it is still this receipt's."""
        content = self._contents[len(self._outcomes)]
        if content is None or content.queue_id != self._queue.id:
            self._refuse(self._invalid(receipt))
            return
        delivery = self._deliveries.get(content.number)
        if delivery is not None:
            if not self._is_last(content, delivery):
                self._refuse(self._lost("the message was delivered again, or moved to the dead-letter queue"))
                return
            del self._deliveries[delivery.number]
            self._moved.pop(delivery.number, None)
            self._removed.append(delivery.number)
            self._note_group(delivery)
        self._outcomes.append(Settled())

    def hide(self, receipt: Receipt, *, until_us: int, leased: int) -> None:
        """Let the message be visible from then on; `leased` 0 ends the lease."""
        content = self._contents[len(self._outcomes)]
        if content is None or content.queue_id != self._queue.id:
            self._refuse(self._invalid(receipt))
            return
        delivery = self._deliveries.get(content.number)
        if delivery is None or not self._is_last(content, delivery):
            self._refuse(self._lost("the message was acknowledged, delivered again, moved or removed"))
        elif not delivery.leased or delivery.visible_at_us <= self._transaction.now_us:
            self._refuse(self._lost("the lease has ended"))
        elif leased and until_us > delivery.received_at_us + LEASE_US_MAX:
            self._refuse(self._lost(f"it would last longer than {to_s(LEASE_US_MAX):g} seconds in all"))
        else:
            delivery.visible_at_us = until_us
            delivery.leased = leased
            if not leased and until_us > self._transaction.now_us:
                delivery.delayed_to_us = until_us
            self._moved[delivery.number] = delivery
            self._note_group(delivery)
            self._outcomes.append(Settled())

    def finish(self) -> Sequence[SettleOutcome]:
        """Write the changes and tell the outcomes."""
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
        return self._outcomes

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

    def _refuse(self, error: BackendError) -> None:
        self._outcomes.append(Failed(error=error))

    def _invalid(self, receipt: Receipt) -> ReceiptInvalidError:
        return ReceiptInvalidError(f"the queue {self._queue.name!r} gave out no receipt {receipt[:80]!r}")

    def _lost(self, why: str) -> LeaseLostError:
        return LeaseLostError(f"the lease on a message of {self._queue.name!r} is lost: {why}")


def _json(numbers: Sequence[int] | set[int]) -> str:
    return f"[{','.join(map(str, numbers))}]"
