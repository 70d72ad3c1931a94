"""What has changed since it was last taken: for a journal that makes it durable.

The engine notes *which* messages, queues and tasks were touched, never what happened to them. Whoever takes the changes
gets their present state as records, so that a message that was sent, received and deleted in between costs nothing, and
one that was hidden ten times costs one row. What is noted is bounded by what was touched since it was last taken, and
not by what the queues hold.

What cannot be told from a message itself is noted with it: its *place* in the order of all changes, by which what
became visible first is known to come first, and when its timer is due. A message is noted whenever its timer or its
place in line changes, and at no other time.

Not noted is what a chooser made of calm: extra copies that lie visible, and how often it was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from busframe_emulator.engine.message import GONE, NOTHING_RARE, SenderOnly
from busframe_emulator.engine.records import (
    AddedRecord,
    AttemptRecord,
    DeletedQueueRecord,
    Delta,
    GroupRecord,
    MoveRecord,
    MovesRecord,
    QueueRecord,
    RareRecord,
    SeenRecord,
    StateRecord,
    TenantRecord,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from busframe_emulator.engine.message import Message, Rare
    from busframe_emulator.engine.moving import MoveTask
    from busframe_emulator.engine.queue import Queue
    from busframe_emulator.engine.requests import MessageAttribute
    from busframe_emulator.engine.settings import QueueAddress


class Changes:
    """The changes of one engine.

    Attributes:
        count: how many there ever were; the place of the last.
    """

    __slots__ = (
        "_attempts",
        "_deleted",
        "_messages",
        "_moves",
        "_moves_made",
        "_purged",
        "_queues",
        "_queues_made",
        "_removed",
        "_seen",
        "_shared",
        "_tenants",
        "count",
    )

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self._queues_made = 0
        self._moves_made = 0
        self._messages: dict[Message, tuple[int, int]] = {}
        self._queues: dict[Queue, None] = {}
        self._removed: list[int] = []
        self._deleted: list[DeletedQueueRecord] = []
        self._purged: dict[Queue, int] = {}
        self._seen: list[tuple[Queue, SeenRecord]] = []
        self._tenants: dict[tuple[Queue, str], int] = {}
        self._attempts: dict[tuple[Queue, str], None] = {}
        self._shared = (NOTHING_RARE, record_rare(NOTHING_RARE, None))
        self._moves: dict[QueueAddress, tuple[Queue, Iterable[MoveTask]]] = {}

    # --- what the engine notes --------------------------------------------------------------------------------------

    def note(self, message: Message, due_us: int = 0) -> None:
        """A message came, went, became visible (0) or is hidden until `due_us`."""
        self.count = count = self.count + 1
        self._messages[message] = (count, due_us)

    def note_time(self) -> None:
        """Nothing changed but the time."""
        self.count += 1

    def note_queue(self, queue: Queue, queues_made: int = 0) -> None:
        """A queue was made, as the `queues_made`-th, or its settings, tags or times changed."""
        self.count += 1
        self._queues[queue] = None
        self._queues_made = queues_made or self._queues_made

    def note_removal(self, queue: Queue, refused_until_us: int) -> None:
        """A queue was deleted, and its name is refused until then."""
        self.count += 1
        self._queues.pop(queue, None)
        self._purged.pop(queue, None)
        self._moves.pop(queue.address, None)
        self._tenants = {key: until_us for key, until_us in self._tenants.items() if key[0] is not queue}
        self._removed.append(queue.number)
        self._deleted.append(DeletedQueueRecord(queue.address, refused_until_us))

    def note_purge(self, queue: Queue) -> None:
        """A queue lost all its messages, and forgot all ids."""
        self.note_queue(queue)
        self._messages = {message: at for message, at in self._messages.items() if message.queue is not queue}
        self._seen = [entry for entry in self._seen if entry[0] is not queue]
        self._attempts = {key: None for key in self._attempts if key[0] is not queue}
        self._purged[queue] = queue.last_ordinal

    def note_seen(self, queue: Queue, until_us: int, scope: str, deduplication_id: str, ordinal: int) -> None:
        """A FIFO queue remembers a deduplication id."""
        self.count += 1
        self._seen.append((queue, SeenRecord(queue.number, until_us, scope, deduplication_id, ordinal)))

    def note_tenant(self, queue: Queue, name: str, until_us: int) -> None:
        """A fair queue remembers until then that a tenant sent a message."""
        self.count += 1
        self._tenants[queue, name] = until_us

    def note_attempt(self, queue: Queue, attempt_id: str) -> None:
        """A FIFO queue remembers what it handed out for a ReceiveRequestAttemptId."""
        self.count += 1
        self._attempts[queue, attempt_id] = None

    def note_moves(self, queue: Queue, tasks: Iterable[MoveTask], moves_made: int = 0) -> None:
        """A queue's message move tasks changed. `tasks` is looked at when the changes are taken."""
        self.count += 1
        self._moves[queue.address] = (queue, tasks)
        self._moves_made = moves_made or self._moves_made

    # --- what the journal takes -------------------------------------------------------------------------------------

    def take(self) -> Delta:
        """Take what changed, as it is now, and begin anew."""
        delta = Delta(
            queues_made=self._queues_made,
            moves_made=self._moves_made,
            queues=[_take_queue(queue) for queue in self._queues],
            removed=self._removed,
            deleted=self._deleted,
            purged=[(queue.number, ordinal) for queue, ordinal in self._purged.items()],
            tenants=[TenantRecord(queue.number, name, until_us) for (queue, name), until_us in self._tenants.items()],
            seen=[record for _, record in self._seen],
            attempts=[self._record_attempt(queue, attempt_id) for queue, attempt_id in self._attempts],
            moves=[
                MovesRecord(queue.number, [_record_move(task) for task in tasks])
                for queue, tasks in self._moves.values()
            ],
        )
        self._take_messages(delta)
        self._queues, self._purged, self._moves, self._attempts, self._tenants = {}, {}, {}, {}, {}
        self._removed, self._deleted, self._seen = [], [], []
        return delta

    def _take_messages(self, delta: Delta) -> None:
        messages, self._messages = self._messages, {}
        grown: dict[Queue, None] = {}
        topped: dict[Queue, None] = {}
        groups: dict[tuple[Queue, str], None] = {}
        for message, (place, due_us) in messages.items():
            queue, ordinal, rare = message.queue, message.ordinal, message.rare
            is_new = ordinal > queue.saved_ordinal
            if is_new:
                grown[queue] = None
            if queue.groups is not None and rare is not None:
                groups[queue, rare.group or ""] = None
            if message.state == GONE:
                if ordinal > queue.noted_ordinal:
                    topped[queue] = None
                if not is_new:
                    delta.gone.append((queue.number, ordinal))
                continue
            state = StateRecord(
                queue.number,
                ordinal,
                message.state,
                message.receive_count,
                place,
                due_us,
                message.received_us,
                message.first_received_us,
                (rare or NOTHING_RARE).available_us,
            )
            if is_new:
                what = self._record_rare(message)
                delta.added.append(AddedRecord(state, message.sent_us, message.body, what))
            else:
                delta.changed.append(state)
        for queue in grown:
            queue.saved_ordinal = queue.last_ordinal
        for queue in topped:
            # No message says any more how far the queue has come.
            queue.noted_ordinal = queue.last_ordinal
            delta.last_ordinals.append((queue.number, queue.last_ordinal))
        delta.groups += [
            GroupRecord(queue.number, name, queue.groups.when_served(name))
            for queue, name in groups
            if queue.groups is not None
        ]

    def _record_rare(self, message: Message) -> RareRecord | None:
        """What messages share is one record, too, so that it need not be written out again for each."""
        rare, attributes = message.rare, message.attributes
        if rare is None and not attributes:
            return None
        if attributes or type(rare) is not SenderOnly:
            return record_rare(rare or NOTHING_RARE, attributes)
        if rare is not self._shared[0]:
            self._shared = (rare, record_rare(rare, None))
        return self._shared[1]

    def _record_attempt(self, queue: Queue, attempt_id: str) -> AttemptRecord:
        hidden: list[tuple[int, int]] = []
        until_us = 0
        attempt = queue.attempts.peek(attempt_id) if queue.attempts is not None else None
        if attempt is not None:
            until_us = attempt.until_us
            # Its messages were noted when they were handed out, and not since: the timer would be another.
            hidden = [(ordinal, self._messages[queue.messages[ordinal]][0]) for ordinal, _ in attempt.hidden]
        return AttemptRecord(queue.number, attempt_id, until_us, hidden)


def record_rare(rare: Rare, attributes: Mapping[str, MessageAttribute] | None) -> RareRecord:
    """What was sent with a message, and where it came from: none of it changes."""
    return RareRecord(
        attributes,
        rare.group,
        rare.deduplication_id,
        rare.trace_header,
        rare.sender,
        rare.message_id,
        rare.source,
        rare.receives_before,
        rare.enqueued_us,
    )


def _record_move(task: MoveTask) -> MoveRecord:
    view = task.view
    return MoveRecord(
        view.task_id,
        view.destination,
        view.per_s,
        view.status,
        view.moved,
        view.to_move,
        view.failure,
        view.started_us,
        task.position,
        task.last,
    )


def _take_queue(queue: Queue) -> QueueRecord:
    queue.noted_ordinal = queue.last_ordinal
    return QueueRecord(
        number=queue.number,
        address=queue.address,
        settings=queue.settings,
        tags=dict(queue.tags),
        created_us=queue.created_us,
        modified_us=queue.modified_us,
        purged_us=queue.purged_us,
        last_ordinal=queue.last_ordinal,
    )
