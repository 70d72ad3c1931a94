"""Receiving: taking messages under a lease, and moving those received too often to the dead-letter queue."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, chain, islice, takewhile
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, cast

import msgspec

from busframe.message import MessageId, QueueName, Received
from busframe_sqlite.clock import to_s
from busframe_sqlite.groups import groups_whose_turn_it_is, note_taken, refresh_heads
from busframe_sqlite.sweeping import STEP, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busframe.message import Receipt
    from busframe_sqlite.transaction import Queue, Transaction

# Untyped, because MessagePack itself tells text from bytes, and msgspec takes no union of the two.
_decode: Final = cast("Callable[[bytes], dict[str, str | bytes]]", msgspec.msgpack.Decoder().decode)

_COLUMNS: Final = (
    "number, visible_at_us, receive_count, sent_at_us, sequence, message_group, message_id, deduplication_id,"
    " dead_letter_source, attributes, body"
)

_TAKEN_MAX: Final = 4_000
"""Messages taken in one transaction."""


class _Row(NamedTuple):
    number: int
    visible_at_us: int
    receive_count: int
    sent_at_us: int
    sequence: int | None
    message_group: str | None
    message_id: str
    deduplication_id: str | None
    dead_letter_source: str | None
    attributes: bytes | None
    body: str


class Claim(NamedTuple):
    """What a receive took.

    Attributes:
        received: the deliveries.
        unfinished: the transaction ended before all was looked at; if nothing was received, try again at once.
    """

    received: Sequence[Received]
    unfinished: bool


@dataclass(frozen=True, slots=True, eq=False)
class Claiming:
    """Takes visible messages for receivers, each of which asks for up to so many.

    Raises:
        QueueNotFoundError: nothing was taken.
    """

    comes_last: ClassVar[bool] = True

    queue_name: QueueName
    lease_us: int

    def carry_out(self, transaction: Transaction, asked: Sequence[int]) -> Sequence[Claim]:
        """See `busframe_sqlite.transactor.Work`."""
        queue = transaction.queue(self.queue_name)
        if not sweep(transaction, queue):
            return [Claim([], unfinished=True) for _ in asked]
        served = _as_many_as(asked, _TAKEN_MAX)
        shares = _take(transaction, queue, asked[:served])
        if shares is None:
            return [Claim([], unfinished=True) for _ in asked]
        rows = list(chain.from_iterable(shares))
        if rows:
            _lease(transaction, queue, rows, self.lease_us)
        claims = [Claim([_received(transaction, queue, row) for row in share], unfinished=False) for share in shares]
        return claims + [Claim([], unfinished=bool(shares[-1])) for _ in asked[served:]]

    def undo(self, transaction: Transaction, claim: Claim) -> None:
        """Take back a receive whose caller left before it was told: nobody saw the messages, so it does not count."""
        queue = transaction.find_queue(self.queue_name)
        if queue is None:
            return
        transaction.touched.add(self.queue_name)
        for received in claim.received:
            _give_back(transaction, queue, received.receipt)


def _as_many_as(limits: Sequence[int], most: int) -> int:
    """How many of the receivers can be served by a transaction that takes `most` messages; at least one."""
    return max(1, sum(total <= most for total in accumulate(limits)))


def _take(transaction: Transaction, queue: Queue, limits: Sequence[int]) -> list[list[_Row]] | None:
    """Find each receiver's messages, moving those to the dead-letter queue that were received too often.

    None: there are too many of those for one transaction.
    """
    moved = 0
    while True:
        shares = (_share_ordered if queue.ordered else _share)(transaction, queue, limits)
        target = _dead_letter_queue(transaction, queue)
        if target is None or queue.max_receive_count is None:
            return shares
        most = queue.max_receive_count
        spent = [row for share in shares for row in share if row.receive_count >= most]
        if not spent:
            return shares
        # Moved before anything is taken, and then looked again: the next in a group may be theirs to hold back.
        _move(transaction, queue, target, spent)
        moved += len(spent)
        if moved >= STEP:
            return None


def _give_back(transaction: Transaction, queue: Queue, receipt: Receipt) -> None:
    content = transaction.receipts.read(receipt)
    if content is None:
        return
    groups = transaction.fetch(
        "UPDATE message SET visible_at_us = ?, leased = 0, receive_count = receive_count - 1"
        " WHERE number = ? AND queue_id = ? AND receive_count = ? RETURNING message_group",
        (transaction.now_us, content.number, queue.id, content.delivery),
    )
    if queue.ordered:
        refresh_heads(transaction, queue.id, [group for (group,) in groups])


def read_attributes(stored: bytes | None) -> dict[str, str | bytes]:
    """Read a message's attributes from their column."""
    return _decode(stored) if stored else {}


def _share(transaction: Transaction, queue: Queue, limits: Sequence[int]) -> list[list[_Row]]:
    rows = transaction.fetch(
        f"SELECT {_COLUMNS} FROM message WHERE queue_id = ? AND visible_at_us <= ?"  # noqa: S608 - constant columns
        " ORDER BY visible_at_us, number LIMIT ?",
        (queue.id, transaction.now_us, sum(limits)),
    )
    found = map(_Row._make, rows)
    return [list(islice(found, limit)) for limit in limits]


def _share_ordered(transaction: Transaction, queue: Queue, limits: Sequence[int]) -> list[list[_Row]]:
    """Go through the groups in turn. A group goes to one receiver only: its rest is held back by what was taken."""
    groups = iter(groups_whose_turn_it_is(transaction, queue.id, sum(limits)))
    shares: list[list[_Row]] = []
    for limit in limits:
        share: list[_Row] = []
        while len(share) < limit and (group := next(groups, None)) is not None:
            share += _from_head(transaction, queue, group, limit - len(share))
        shares.append(share)
    return shares


def _from_head(transaction: Transaction, queue: Queue, group: str, limit: int) -> list[_Row]:
    rows = transaction.fetch(
        f"SELECT {_COLUMNS} FROM message"  # noqa: S608 - constant columns
        " WHERE queue_id = ? AND message_group = ? AND sequence IS NOT NULL ORDER BY sequence LIMIT ?",
        (queue.id, group, limit),
    )
    return list(takewhile(lambda row: row.visible_at_us <= transaction.now_us, map(_Row._make, rows)))


def _lease(transaction: Transaction, queue: Queue, rows: Sequence[_Row], lease_us: int) -> None:
    transaction.execute(
        "UPDATE message SET visible_at_us = ?, leased = 1, received_at_us = ?, receive_count = receive_count + 1"
        " WHERE number IN (SELECT value FROM json_each(?))",
        (transaction.now_us + lease_us, transaction.now_us, _numbers(rows)),
    )
    if queue.ordered:
        note_taken(transaction, queue.id, _groups(rows), transaction.now_us + lease_us)


def _received(transaction: Transaction, queue: Queue, row: _Row) -> Received:
    delivery = row.receive_count + 1
    return Received(
        message_id=MessageId(row.message_id),
        receipt=transaction.receipts.write(queue.id, row.number, delivery),
        body=row.body,
        attributes=read_attributes(row.attributes),
        receive_count=delivery,
        sent_at_s=to_s(row.sent_at_us),
        group=row.message_group,
        deduplication_id=row.deduplication_id,
        sequence=None if row.sequence is None else str(row.sequence),
        dead_letter_source=QueueName(row.dead_letter_source) if row.dead_letter_source else None,
    )


def _dead_letter_queue(transaction: Transaction, queue: Queue) -> Queue | None:
    """Find where spent messages go. If it was removed, or is the queue itself, they stay: nothing is lost."""
    if queue.dead_letter_queue is None or queue.dead_letter_queue == queue.name:
        return None
    return transaction.find_queue(queue.dead_letter_queue)


def _move(transaction: Transaction, source: Queue, target: Queue, rows: Sequence[_Row]) -> None:
    transaction.touched.add(target.name)
    sweep(transaction, target)  # see `Sending`
    transaction.unexpired_until_us.pop(target.id, None)
    transaction.note_arrived(target, len(rows))
    if not target.ordered:
        # The time of the send stays: a message does not live longer because it failed.
        transaction.execute(
            "UPDATE message SET queue_id = ?, visible_at_us = ?, leased = 0, dead_letter_source = ?"
            " WHERE number IN (SELECT value FROM json_each(?))",
            (target.id, transaction.now_us, source.name, _numbers(rows)),
        )
        return
    # At the end of its group over there, and with its retention beginning anew, as Amazon SQS has it on FIFO queues.
    now_us = transaction.now_us
    moves: list[tuple[Any, ...]] = [
        (target.id, now_us, now_us, now_us, transaction.new_number(), source.name, row.number) for row in rows
    ]
    transaction.execute_many(
        "UPDATE message SET queue_id = ?, visible_at_us = ?, leased = 0, sent_at_us = ?, kept_from_us = ?,"
        " sequence = ?, dead_letter_source = ? WHERE number = ?",
        moves,
    )
    groups = _groups(rows)
    refresh_heads(transaction, source.id, groups)
    refresh_heads(transaction, target.id, groups)


def _numbers(rows: Sequence[_Row]) -> str:
    return f"[{','.join(str(row.number) for row in rows)}]"


def _groups(rows: Sequence[_Row]) -> list[str]:
    """Name the groups of these messages, once each, in the order of their first."""
    return list(dict.fromkeys(row.message_group for row in rows if row.message_group is not None))
