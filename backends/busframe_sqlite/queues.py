"""The queues themselves: making, comparing, describing, listing, counting, removing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from busframe.backend import DeadLetters, QueueSpec, QueueStats
from busframe.errors import QueueMismatchError, QueueNotFoundError
from busframe.message import QueueName
from busframe_sqlite.clock import to_s, to_us
from busframe_sqlite.sweeping import sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe_sqlite.transaction import Transaction

_read_labels: Final = msgspec.json.Decoder(dict[str, str]).decode

_SETTINGS: Final = ("lease_us", "delay_us", "retention_us", "dead_letter_queue", "max_receive_count", "labels")


def create(transaction: Transaction, specs: Sequence[QueueSpec]) -> None:
    """Make what is missing and change what differs. All or nothing.

    Raises:
        QueueNotFoundError: a dead-letter queue is neither there nor before its source in the plan.
    """
    for spec in specs:
        if spec.dead_letters is not None and spec.dead_letters.queue != spec.name:
            _require_dead_letter_queue(transaction, spec, spec.dead_letters.queue)
        transaction.execute(
            "INSERT INTO queue"
            "  (name, lease_us, delay_us, retention_us, dead_letter_queue, max_receive_count, labels)"
            "  VALUES (?, ?, ?, ?, ?, ?, ?)"
            "  ON CONFLICT (name) DO UPDATE SET lease_us = excluded.lease_us, delay_us = excluded.delay_us,"
            "    retention_us = excluded.retention_us, dead_letter_queue = excluded.dead_letter_queue,"
            "    max_receive_count = excluded.max_receive_count, labels = excluded.labels",
            (spec.name, *_row(spec)),
        )
        transaction.queues_changed()
        transaction.touched.add(spec.name)


def check(transaction: Transaction, specs: Sequence[QueueSpec]) -> None:
    """Compare and change nothing.

    Raises:
        QueueNotFoundError: one is missing.
        QueueMismatchError: one differs; says in what.
    """
    for spec in specs:
        stored = _stored(transaction, spec.name)
        if stored is None:
            raise QueueNotFoundError(f"the queue {spec.name!r} is not there")
        differences = [
            f"{setting} is {found!r}, planned is {planned!r}"
            for setting, found, planned in zip(_SETTINGS, stored, _row(spec), strict=True)
            if found != planned
        ]
        if differences:
            raise QueueMismatchError(f"the queue {spec.name!r} is set up otherwise: {'; '.join(differences)}")


def describe(transaction: Transaction, name: QueueName) -> QueueSpec | None:
    """Tell how a queue is set up, or None."""
    stored = _stored(transaction, name)
    if stored is None:
        return None
    lease_us, delay_us, retention_us, dead_letter_queue, max_receive_count, labels = stored
    dead_letters = (
        None
        if dead_letter_queue is None
        else DeadLetters(queue=QueueName(dead_letter_queue), max_receive_count=max_receive_count)
    )
    return QueueSpec(
        name=name,
        lease_s=to_s(lease_us),
        delay_s=to_s(delay_us),
        retention_s=to_s(retention_us),
        dead_letters=dead_letters,
        labels=_read_labels(labels),
    )


def list_queues(transaction: Transaction, prefix: str) -> Sequence[QueueName]:
    """Name the queues that start with `prefix`, sorted."""
    rows = transaction.fetch(
        "SELECT name FROM queue WHERE substr(name, 1, length(?)) = ? ORDER BY name", (prefix, prefix)
    )
    return [QueueName(name) for (name,) in rows]


def count(transaction: Transaction, name: QueueName) -> QueueStats | None:
    """Count a queue's messages, or return None if there was first too much to sweep: call again.

    Raises:
        QueueNotFoundError: it is not there.
    """
    queue = transaction.queue(name)
    if not sweep(transaction, queue):
        return None
    now_us = transaction.now_us
    ((visible,),) = transaction.fetch(
        "SELECT count(*) FROM message WHERE queue_id = ? AND visible_at_us <= ?", (queue.id, now_us)
    )
    ((hidden, in_flight),) = transaction.fetch(
        "SELECT count(*), total(leased) FROM message WHERE queue_id = ? AND visible_at_us > ?", (queue.id, now_us)
    )
    oldest = transaction.fetch(
        "SELECT sent_at_us FROM message WHERE queue_id = ? ORDER BY kept_from_us LIMIT 1", (queue.id,)
    )
    ((arrived,),) = transaction.fetch("SELECT arrived FROM queue WHERE id = ?", (queue.id,))
    return QueueStats(
        visible=visible,
        in_flight=int(in_flight),
        delayed=hidden - int(in_flight),
        oldest_age_s=max(0.0, to_s(now_us - oldest[0][0])) if oldest else None,
        arrived=arrived,
    )


def remove(transaction: Transaction, name: QueueName) -> None:
    """Remove a queue with all that is left in it."""
    queue = transaction.find_queue(name)
    if queue is None:
        return
    for table in ("message", "ordered_group", "deduplication"):
        transaction.execute(f"DELETE FROM {table} WHERE queue_id = ?", (queue.id,))  # noqa: S608 - from the line above
    transaction.execute("DELETE FROM queue WHERE id = ?", (queue.id,))
    transaction.queues_changed()
    transaction.touched.add(name)


def _require_dead_letter_queue(transaction: Transaction, spec: QueueSpec, dead: QueueName) -> None:
    if transaction.find_queue(dead) is None:
        raise QueueNotFoundError(f"the queue {dead!r} is not there: {spec.name!r} names it as its dead-letter queue")


def _row(spec: QueueSpec) -> tuple[Any, ...]:
    """The settings as they are stored, so that two specs are equal if and only if their rows are."""
    dead_letters = spec.dead_letters
    return (
        to_us(spec.lease_s),
        to_us(spec.delay_s),
        to_us(spec.retention_s),
        None if dead_letters is None else dead_letters.queue,
        None if dead_letters is None else dead_letters.max_receive_count,
        msgspec.json.encode(dict(sorted(spec.labels.items()))).decode(),
    )


def _stored(transaction: Transaction, name: QueueName) -> tuple[Any, ...] | None:
    rows = transaction.fetch(f"SELECT {', '.join(_SETTINGS)} FROM queue WHERE name = ?", (name,))  # noqa: S608 - constant columns
    return rows[0] if rows else None
