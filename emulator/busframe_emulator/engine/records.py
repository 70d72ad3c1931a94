"""The engine's state as plain values: what `changes` hands out to be stored, and what `restoring` takes back.

Queues are named by their number, which no two queues of an engine share, whatever their names; messages by their
queue's number and their ordinal. What is not here follows from what is: identifiers and receipts from the salt, counts
and orders from the messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from busframe_emulator.engine.requests import MessageAttribute
    from busframe_emulator.engine.settings import QueueAddress, QueueSettings


class QueueRecord(NamedTuple):
    """A queue without its messages. Times are engine time.

    Attributes:
        last_ordinal: of the message that came last, whether or not it is still there; or less, while messages that are
            there have greater ones.
    """

    number: int
    address: QueueAddress
    settings: QueueSettings
    tags: Mapping[str, str]
    created_us: int
    modified_us: int
    purged_us: int | None
    last_ordinal: int


class DeletedQueueRecord(NamedTuple):
    """The name of a deleted queue, and until when it is refused."""

    address: QueueAddress
    until_us: int


class StateRecord(NamedTuple):
    """What changes about a message.

    Attributes:
        state: one of the constants of `message`.
        place: in the order of all changes of the engine.
        due_us: when its timer is due; 0 if it is visible.
        available_us: when it last became visible, on a FIFO queue.
    """

    queue: int
    ordinal: int
    state: int
    receive_count: int
    place: int
    due_us: int
    received_us: int
    first_received_us: int
    available_us: int


class RareRecord(NamedTuple):
    """Of `message.Rare`, what was sent and where it came from."""

    attributes: Mapping[str, MessageAttribute] | None
    group: str | None
    deduplication_id: str | None
    trace_header: str | None
    sender: str | None
    message_id: str | None
    source: QueueAddress | None
    receives_before: int
    enqueued_us: int | None


class AddedRecord(NamedTuple):
    """A message, whole."""

    state: StateRecord
    sent_us: int
    body: str
    rare: RareRecord | None


class GroupRecord(NamedTuple):
    """When a message group was last served, as `fifo.Group` counts it; 0 if it never was, or is gone."""

    queue: int
    name: str
    served: int


class TenantRecord(NamedTuple):
    """Until when a fair queue remembers that a tenant sent a message."""

    queue: int
    name: str
    until_us: int


class SeenRecord(NamedTuple):
    """A deduplication id, and the message it came with. Each queue's come in the order of time."""

    queue: int
    until_us: int
    scope: str
    deduplication_id: str
    ordinal: int


class AttemptRecord(NamedTuple):
    """What was handed out for a ReceiveRequestAttemptId.

    Attributes:
        hidden: ordinal and place of each message. If a message has another place by now, something happened to it, and
            the attempt cannot be repeated. Empty if that is known already.
    """

    queue: int
    attempt_id: str
    until_us: int
    hidden: Sequence[tuple[int, int]]


class MoveRecord(NamedTuple):
    """A message move task: what can be seen of it, and how far it is.

    Attributes:
        position, last: the ordinals of the next message to look at (0: none looked at yet) and of the last.
    """

    task_id: str
    destination: QueueAddress | None
    per_s: int | None
    status: Literal["RUNNING", "COMPLETED", "CANCELLED", "FAILED"]
    moved: int
    to_move: int
    failure: str | None
    started_us: int
    position: int
    last: int


class MovesRecord(NamedTuple):
    """The tasks of a queue, newest first."""

    queue: int
    tasks: Sequence[MoveRecord]


@dataclass(slots=True, kw_only=True)
class Delta:
    """What changed. To be applied in the order of the fields, all of it or nothing.

    Attributes:
        queues_made, moves_made: how many there ever were; 0 if that is as it was.
        removed: numbers of queues that are gone, with all that belonged to them.
        deleted: names that are refused for a while.
        purged: queues that lost all messages up to that ordinal, with their groups, deduplication ids and attempts.
        queues: made or changed.
        last_ordinals: by queue number; `QueueRecord.last_ordinal` from now on.
        gone, added, changed: messages.
    """

    queues_made: int
    moves_made: int
    removed: Sequence[int]
    deleted: Sequence[DeletedQueueRecord]
    purged: Sequence[tuple[int, int]]
    queues: Sequence[QueueRecord]
    last_ordinals: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    gone: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    added: list[AddedRecord] = field(default_factory=list[AddedRecord])
    changed: list[StateRecord] = field(default_factory=list[StateRecord])
    groups: list[GroupRecord] = field(default_factory=list[GroupRecord])
    tenants: Sequence[TenantRecord]
    seen: Sequence[SeenRecord]
    attempts: Sequence[AttemptRecord]
    moves: Sequence[MovesRecord]


@dataclass(slots=True, kw_only=True)
class Saved:
    """A whole engine.

    Attributes:
        queues_made, moves_made: how many there ever were.
        messages: each queue's in the order of their ordinals. Looked at once.
        tenants, seen, attempts: each queue's in the order of their times.
    """

    queues_made: int = 0
    moves_made: int = 0
    queues: Iterable[QueueRecord] = ()
    deleted: Iterable[DeletedQueueRecord] = ()
    messages: Iterable[AddedRecord] = ()
    groups: Iterable[GroupRecord] = ()
    tenants: Iterable[TenantRecord] = ()
    seen: Iterable[SeenRecord] = ()
    attempts: Iterable[AttemptRecord] = ()
    moves: Iterable[MovesRecord] = ()
