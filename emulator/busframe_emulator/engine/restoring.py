"""Puts an engine back to where it was, from the records that `changes` handed out.

An engine that was put back answers as the old one would have, save that nobody waits in it: those who did are gone, and
so is what a chooser made of calm (`changes`), and when a tenant sent what was deleted since. What fell due in the
meantime is done when the engine is told the time, each at its own time, as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.changes import record_rare
from busframe_emulator.engine.message import BURIED, DELAYED, GONE, IN_FLIGHT, NOTHING_RARE, VISIBLE, Message, Rare
from busframe_emulator.engine.queue import Queue

if TYPE_CHECKING:
    from busframe_emulator.engine.directory import Directory
    from busframe_emulator.engine.ids import Ids
    from busframe_emulator.engine.moving import MoveTasks
    from busframe_emulator.engine.queue import Surroundings
    from busframe_emulator.engine.records import AddedRecord, AttemptRecord, QueueRecord, RareRecord, Saved, SeenRecord

_NOTHING: Final = record_rare(NOTHING_RARE, None)
_Placed = tuple[int, Message, int]
"""A message, between its place and when it is due."""


def restore(saved: Saved, around: Surroundings, directory: Directory, moves: MoveTasks, ids: Ids) -> None:
    """Fill an engine that was just made.

    Raises:
        ValueError: the records contradict each other.
    """
    queues = {record.number: _restore_queue(record, around, ids) for record in saved.queues}
    directory.put_back(queues.values(), saved.queues_made, saved.deleted)
    placed = _restore_messages(saved, queues)
    for group in saved.groups:
        queue = _named(queues, group.queue)
        if queue.groups is not None:
            queue.groups.put_back(group.name, group.served)
    for tenant in saved.tenants:
        _named(queues, tenant.queue).put_back_tenant(tenant.name, tenant.until_us)
    # In the order in which it came about: lines are as they were, and timers that are due at once fire as they would.
    placed.sort(key=lambda each: each[0])
    if placed and around.changes is not None:
        around.changes.count = placed[-1][0]
    for _, message, due_us in placed:
        _put_in_place(message, due_us)
    _restore_seen(saved, queues)
    _restore_attempts(saved, queues, {message: place for place, message, due_us in placed if due_us})
    for queue in queues.values():
        queue.ageing.put_back()
    for record in saved.moves:
        moves.put_back(_named(queues, record.queue), record.tasks)
    moves.made = saved.moves_made


def _restore_queue(record: QueueRecord, around: Surroundings, ids: Ids) -> Queue:
    queue = Queue(
        around,
        record.address,
        number=record.number,
        ids=ids.for_queue(record.number),
        settings=record.settings,
        tags=record.tags,
        now_us=record.created_us,
    )
    queue.modified_us = record.modified_us
    queue.purged_us = record.purged_us
    queue.last_ordinal = queue.saved_ordinal = queue.noted_ordinal = record.last_ordinal
    return queue


def _restore_messages(saved: Saved, queues: dict[int, Queue]) -> list[_Placed]:
    placed: list[_Placed] = []
    for record in saved.messages:
        state = record.state
        queue = _named(queues, state.queue)
        message = _restore_message(record, queue)
        queue.messages[message.ordinal] = message
        if message.ordinal > queue.last_ordinal:
            queue.last_ordinal = queue.saved_ordinal = message.ordinal
        rare = message.rare
        if rare is not None:
            if queue.groups is not None:
                queue.groups.add(message, rare)
            elif rare.group:
                queue.look_after_tenants()
            if queue.groups is None and rare.source is not None:
                queue.ageing.note_age(message)
        placed.append((state.place, message, state.due_us))
    return placed


def _restore_message(record: AddedRecord, queue: Queue) -> Message:
    state = record.state
    rare = record.rare
    message = Message(queue, state.ordinal, record.body, None if rare is None else rare.attributes, record.sent_us)
    message.state = state.state
    message.receive_count = state.receive_count
    message.received_us = state.received_us
    message.first_received_us = state.first_received_us
    # What is left without them makes the difference.
    rest = _NOTHING if rare is None else rare._replace(attributes=None)
    if rest == _NOTHING:
        return message
    sender = rest.sender
    if queue.groups is None and sender is not None and rest == record_rare(queue.sent_by(sender), None):
        message.rare = queue.sent_by(sender)
    else:
        message.rare = _restore_rare(rest, queue, message)
        message.rare.available_us = state.available_us
    return message


def _restore_rare(record: RareRecord, queue: Queue, message: Message) -> Rare:
    rare = Rare()
    rare.group = record.group
    rare.deduplication_id = record.deduplication_id
    rare.trace_header = record.trace_header
    rare.sender = record.sender
    rare.message_id = record.message_id
    rare.source = record.source
    rare.receives_before = record.receives_before
    rare.enqueued_us = record.enqueued_us
    if queue.groups is not None:
        rare.sequence = queue.first_send(message.ordinal).sequence
    return rare


def _put_in_place(message: Message, due_us: int) -> None:
    """Count it, and put it in line or set its timer."""
    queue = message.queue
    state = message.state
    if state == VISIBLE:
        queue.visible += 1
        rare = message.rare
        queue.order.became_visible(message, 0 if rare is None else rare.available_us)
        return
    if state == DELAYED:
        queue.delayed += 1
    elif state == IN_FLIGHT:
        queue.in_flight += 1
        queue.order.hidden(message)
    elif state != BURIED:
        what = "gone" if state == GONE else f"in state {state}"
        raise ValueError(f"message {message.ordinal} of queue {queue.number} is {what}")
    queue.around.timers.arm(due_us, message)


def _restore_seen(saved: Saved, queues: dict[int, Queue]) -> None:
    latest: dict[tuple[int, str, str], SeenRecord] = {}
    for record in saved.seen:
        key = (record.queue, record.scope, record.deduplication_id)
        # An id is there a second time where the first was forgotten in between; and the order is that of time.
        latest.pop(key, None)
        latest[key] = record
    for record in latest.values():
        queue = _named(queues, record.queue)
        if queue.deduplication is not None:
            first = queue.first_send(record.ordinal)
            queue.deduplication.put_back(record.until_us, record.scope, record.deduplication_id, first)


def _restore_attempts(saved: Saved, queues: dict[int, Queue], places: dict[Message, int]) -> None:
    for record in saved.attempts:
        queue = _named(queues, record.queue)
        messages = _still_hidden(record, queue, places)
        if messages and queue.attempts is not None:
            queue.attempts.put_back(record.until_us, record.attempt_id, messages)


def _still_hidden(record: AttemptRecord, queue: Queue, places: dict[Message, int]) -> list[Message]:
    """The messages of an attempt, if all of them are as it left them."""
    messages: list[Message] = []
    for ordinal, place in record.hidden:
        message = queue.messages.get(ordinal)
        if message is None or places.get(message) != place:
            return []
        messages.append(message)
    return messages


def _named(queues: dict[int, Queue], number: int) -> Queue:
    queue = queues.get(number)
    if queue is None:
        raise ValueError(f"there is no queue {number}")
    return queue
