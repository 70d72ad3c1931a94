"""Records to rows, and back."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from busframe_emulator.engine.records import (
    AddedRecord,
    AttemptRecord,
    DeletedQueueRecord,
    GroupRecord,
    MoveRecord,
    MovesRecord,
    QueueRecord,
    RareRecord,
    SeenRecord,
    StateRecord,
    TenantRecord,
)
from busframe_emulator.engine.requests import MessageAttribute
from busframe_emulator.engine.settings import QueueAddress, QueueSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = tuple[Any, ...]

_ORDINAL_BITS: Final = 38
_QUEUES_MAX: Final = 1 << 25
_ORDINAL_MAX: Final = (1 << _ORDINAL_BITS) - 1

_STATE: Final = Struct(">BIQQQQQ")
"""The fields of `StateRecord` from the third on. Of one length, whatever they say."""

_pack_state: Final = _STATE.pack

_decode_rare: Final = cast("Any", msgspec.msgpack.Decoder().decode)
_encode_rare: Final = msgspec.msgpack.Encoder().encode
_encode: Final = msgspec.json.Encoder().encode
_decode_settings: Final = msgspec.json.Decoder(QueueSettings).decode
_decode_tags: Final = msgspec.json.Decoder(dict[str, str]).decode
_decode_hidden: Final = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_moves: Final = msgspec.json.Decoder(list[Any]).decode


def message_number(queue: int, ordinal: int) -> int:
    """The row of a message: each queue has a range of rows, and its messages stand there in their order.

    Raises:
        OverflowError: there were more queues, or more messages in this one, than the file has room for.
    """
    if queue >= _QUEUES_MAX or ordinal > _ORDINAL_MAX:
        raise OverflowError(f"no room for message {ordinal} of queue {queue}: at most {_QUEUES_MAX} queues in all")
    return queue << _ORDINAL_BITS | ordinal


def last_message_number(queue: int) -> int:
    """The last row that a queue can have."""
    return queue << _ORDINAL_BITS | _ORDINAL_MAX


def write_state(record: StateRecord) -> Row:
    """Number and state of a message."""
    return message_number(record.queue, record.ordinal), _pack_state(*record[2:])


def write_messages(records: Iterable[AddedRecord]) -> list[Row]:
    """Rows of `message`."""
    written: list[Row] = []
    before: RareRecord | None = None
    encoded: bytes | None = None
    for state, sent_us, body, rare in records:
        if rare is not before:  # messages of one sender share it
            before, encoded = rare, None if rare is None else _encode_rare(rare)
        written.append((message_number(state.queue, state.ordinal), _pack_state(*state[2:]), sent_us, body, encoded))
    return written


def read_messages(rows: Iterable[Row]) -> Iterable[AddedRecord]:
    """The messages of such rows."""
    for number, packed, sent_us, body, rare in rows:
        state = StateRecord(number >> _ORDINAL_BITS, number & _ORDINAL_MAX, *_STATE.unpack(packed))
        yield AddedRecord(state, sent_us, body, None if rare is None else _read_rare(rare))


def _read_rare(encoded: bytes) -> RareRecord:
    # Untyped, because MessagePack itself tells text from bytes, and msgspec takes no union of the two.
    record = RareRecord(*_decode_rare(encoded))
    return record._replace(
        attributes=None
        if record.attributes is None
        else {name: MessageAttribute(*attribute) for name, attribute in record.attributes.items()},
        source=None if record.source is None else QueueAddress(*record.source),
    )


def write_queue(record: QueueRecord) -> Row:
    """A row of `queue`."""
    return (
        record.number,
        *record.address,
        _encode(record.settings).decode(),
        _encode(record.tags).decode(),
        record.created_us,
        record.modified_us,
        record.purged_us,
        record.last_ordinal,
    )


def read_queue(row: Row) -> QueueRecord:
    """The queue of such a row."""
    number, region, account, name, settings, tags, *rest = row
    return QueueRecord(
        number, QueueAddress(region, account, name), _decode_settings(settings), _decode_tags(tags), *rest
    )


def read_deleted_queue(row: Row) -> DeletedQueueRecord:
    """The deleted queue of a row of `deleted_queue`."""
    region, account, name, until_us = row
    return DeletedQueueRecord(QueueAddress(region, account, name), until_us)


def read_group(row: Row) -> GroupRecord:
    """The group of a row of `message_group`."""
    return GroupRecord(*row)


def read_tenant(row: Row) -> TenantRecord:
    """The tenant of a row of `tenant`."""
    return TenantRecord(*row)


def read_seen(row: Row) -> SeenRecord:
    """The deduplication id of a row of `deduplication` without its number."""
    return SeenRecord(*row)


def write_attempt(record: AttemptRecord) -> Row:
    """A row of `receive_attempt`."""
    return (record.queue, record.attempt_id, record.until_us, _encode(record.hidden).decode())


def read_attempt(row: Row) -> AttemptRecord:
    """The attempt of such a row."""
    queue, attempt_id, until_us, hidden = row
    return AttemptRecord(queue, attempt_id, until_us, _decode_hidden(hidden))


def write_moves(record: MovesRecord) -> Row:
    """A row of `move_tasks`."""
    return (record.queue, _encode(record.tasks).decode())


def read_moves(row: Row) -> MovesRecord:
    """The tasks of such a row."""
    queue, tasks = row
    return MovesRecord(queue, [_read_move(MoveRecord(*task)) for task in _decode_moves(tasks)])


def _read_move(record: MoveRecord) -> MoveRecord:
    destination = record.destination
    return record._replace(destination=None if destination is None else QueueAddress(*destination))
