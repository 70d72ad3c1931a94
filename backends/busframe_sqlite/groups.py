"""The one rule of ordered queues.

The head of a group is its first message. A group can be received from if its head is visible; groups take turns in the
order in which their heads became visible, ties in the order in which they were last served. What is taken from a group
are its messages from the head up to the first that is not visible. So a message that is out holds back all behind it,
a released one comes back in its place, and a group whose lease ended starts over.

The table `ordered_group` holds each group's head, so that finding whose turn it is never looks through messages.
Whoever changes the messages of a group calls `refresh_heads` for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busframe_sqlite.transaction import Transaction


def refresh_heads(transaction: Transaction, queue_id: int, groups: Iterable[str]) -> None:
    """Note the head of each of these groups, or that the group is empty."""
    for group in groups:
        transaction.execute(
            "DELETE FROM ordered_group WHERE queue_id = ? AND name = ? AND NOT EXISTS ("
            "  SELECT 1 FROM message WHERE queue_id = ? AND message_group = ? AND sequence IS NOT NULL)",
            (queue_id, group, queue_id, group),
        )
        transaction.execute(
            "INSERT INTO ordered_group (queue_id, name, head_visible_at_us, served, head_sequence)"
            "  SELECT queue_id, message_group, visible_at_us, 0, sequence FROM message"
            "   WHERE queue_id = ? AND message_group = ? AND sequence IS NOT NULL"
            "   ORDER BY sequence LIMIT 1"
            "  ON CONFLICT (queue_id, name) DO UPDATE"
            "    SET head_visible_at_us = excluded.head_visible_at_us, head_sequence = excluded.head_sequence",
            (queue_id, group),
        )


def note_served(transaction: Transaction, queue_id: int, groups: Iterable[str]) -> None:
    """Put these groups, in this order, behind all others that become visible at the same time."""
    for group in groups:
        transaction.execute(
            "UPDATE ordered_group SET served = ? WHERE queue_id = ? AND name = ?",
            (transaction.new_number(), queue_id, group),
        )


def groups_whose_turn_it_is(transaction: Transaction, queue_id: int, limit: int) -> list[str]:
    """Name up to `limit` groups that can be received from, the first in turn first."""
    rows = transaction.fetch(
        "SELECT name FROM ordered_group WHERE queue_id = ? AND head_visible_at_us <= ?"
        " ORDER BY head_visible_at_us, served, head_sequence LIMIT ?",
        (queue_id, transaction.now_us, limit),
    )
    return [name for (name,) in rows]
