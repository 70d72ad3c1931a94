"""Showing messages without receiving them. Reads only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from busframe.errors import InvalidArgumentError
from busframe.message import MessageId, Peeked, QueueName
from busframe_sqlite.claiming import read_attributes
from busframe_sqlite.clock import to_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.message import MessageState
    from busframe_sqlite.transaction import Transaction

# The order of the index by age, the message's number breaking ties.
_POSITION: Final = re.compile(r"(\d{1,18})-(\d{1,18})")

Position = tuple[int, int]


class _Row(NamedTuple):
    kept_from_us: int
    number: int
    visible_at_us: int
    leased: int
    message_id: str
    body: str
    attributes: bytes | None
    receive_count: int
    sent_at_us: int
    message_group: str | None
    deduplication_id: str | None
    sequence: int | None
    dead_letter_source: str | None


def read_position(text: str | None) -> Position:
    """Read what `Peeked.position` said; None is before everything.

    Raises:
        InvalidArgumentError: no message ever had it.
    """
    if text is None:
        return (0, 0)
    match = _POSITION.fullmatch(text)
    if match is None:
        raise InvalidArgumentError("after", text, "the position of a message that was shown before")
    return (int(match.group(1)), int(match.group(2)))


def peek(transaction: Transaction, name: QueueName, limit: int, start: Position) -> Sequence[Peeked]:
    """Show messages behind `start` that are within their retention.

    Raises:
        QueueNotFoundError: there is no such queue.
    """
    queue = transaction.queue(name)
    rows = transaction.fetch(
        f"SELECT {', '.join(_Row._fields)} FROM message WHERE queue_id = ?"  # noqa: S608 - constant columns
        " AND kept_from_us > ? AND (kept_from_us, number) > (?, ?)"
        "  ORDER BY kept_from_us, number LIMIT ?",
        (queue.id, transaction.now_us - queue.retention_us, *start, limit),
    )
    return [_peeked(transaction.now_us, _Row(*row)) for row in rows]


def _peeked(now_us: int, row: _Row) -> Peeked:
    state: MessageState = "visible" if row.visible_at_us <= now_us else "in_flight" if row.leased else "delayed"
    return Peeked(
        position=f"{row.kept_from_us}-{row.number}",
        message_id=MessageId(row.message_id),
        body=row.body,
        attributes=read_attributes(row.attributes),
        state=state,
        due_at_s=None if state == "visible" else to_s(row.visible_at_us),
        receive_count=row.receive_count,
        sent_at_s=to_s(row.sent_at_us),
        group=row.message_group,
        deduplication_id=row.deduplication_id,
        sequence=None if row.sequence is None else str(row.sequence),
        dead_letter_source=QueueName(row.dead_letter_source) if row.dead_letter_source else None,
    )
