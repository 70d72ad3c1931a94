"""The one rule of ordered queues.

The head of a group is its first message. A group can be received from if its head is visible; groups take turns in the
order in which their heads became visible, ties in the order in which they were last served. What is taken from a group
are its messages from the head up to the first that is not visible. So a message that is out holds back all behind it,
a released one comes back in its place, and a group whose lease ended starts over.

The table `ordered_group` holds each group's head, so that finding whose turn it is never looks through messages.
Whoever changes the messages of a group says so here: what was appended, what was taken from the head on, or, of any
other change, that the head may be another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from busframe_sqlite.transaction import NewMessage, Transaction


def note_appended(transaction: Transaction, messages: Iterable[NewMessage]) -> None:
    """Note messages that were added at the ends of their groups: each is the head if there was none."""
    transaction.execute_many(
        "INSERT INTO ordered_group (queue_id, name, head_visible_at_us, served, head_sequence)"
        "  VALUES (?, ?, ?, 0, ?) ON CONFLICT (queue_id, name) DO NOTHING",
        [(message.queue_id, message.message_group, message.visible_at_us, message.sequence) for message in messages],
    )


def note_taken(transaction: Transaction, queue_id: int, groups: Iterable[str], visible_at_us: int) -> None:
    """Note that messages from the head on were hidden until then.

    These groups, in this order, go behind all others that become visible at the same time.
    """
    transaction.execute_many(
        "UPDATE ordered_group SET head_visible_at_us = ?, served = ? WHERE queue_id = ? AND name = ?",
        [(visible_at_us, transaction.new_number(), queue_id, group) for group in groups],
    )


def refresh_heads(transaction: Transaction, queue_id: int, groups: Collection[str]) -> None:
    """Look for the head of each of these groups anew."""
    if not groups:
        return
    parameters = {"queue_id": queue_id, "groups": msgspec.json.encode(list(groups)).decode()}
    transaction.execute(
        "DELETE FROM ordered_group"
        " WHERE queue_id = :queue_id AND name IN (SELECT value FROM json_each(:groups)) AND NOT EXISTS ("
        "  SELECT 1 FROM message"
        "   WHERE queue_id = :queue_id AND message_group = ordered_group.name AND sequence IS NOT NULL)",
        parameters,
    )
    transaction.execute(
        "INSERT INTO ordered_group (queue_id, name, head_visible_at_us, served, head_sequence)"
        "  SELECT queue_id, message_group, visible_at_us, 0, sequence"
        "    FROM json_each(:groups) AS wanted JOIN message ON message.number = ("
        "      SELECT number FROM message"
        "       WHERE queue_id = :queue_id AND message_group = wanted.value AND sequence IS NOT NULL"
        "       ORDER BY sequence LIMIT 1)"
        "   WHERE true"  # which tells SQLite's parser that the next ON is not the join's
        "  ON CONFLICT (queue_id, name) DO UPDATE"
        "    SET head_visible_at_us = excluded.head_visible_at_us, head_sequence = excluded.head_sequence",
        parameters,
    )


def groups_whose_turn_it_is(transaction: Transaction, queue_id: int, limit: int) -> list[str]:
    """Name up to `limit` groups that can be received from, the first in turn first."""
    rows = transaction.fetch(
        "SELECT name FROM ordered_group WHERE queue_id = ? AND head_visible_at_us <= ?"
        " ORDER BY head_visible_at_us, served, head_sequence LIMIT ?",
        (queue_id, transaction.now_us, limit),
    )
    return [name for (name,) in rows]
