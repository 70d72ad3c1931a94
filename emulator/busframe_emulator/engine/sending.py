"""Sending to a queue, and what its delay does."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from busframe_emulator.engine.errors import SqsError, invalid_value
from busframe_emulator.engine.events import Content, Event
from busframe_emulator.engine.ids import sequence_number
from busframe_emulator.engine.message import DELAYED, Rare
from busframe_emulator.engine.requests import DEFAULT_SENDER, Sent

if TYPE_CHECKING:
    from busframe_emulator.engine.fifo import FifoOrder
    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.queue import Queue
    from busframe_emulator.engine.requests import Send


def send(queue: Queue, now_us: int, request: Send, *, in_batch: bool = False) -> Sent:
    """Append a message, or recognise it as a duplicate."""
    settings = queue.settings
    if request.size_bytes > settings.message_bytes_max:
        # Word for word as recorded: a batch entry's text differs.
        fault = "cannot be validated" if in_batch else "are invalid"
        raise SqsError(
            "InvalidParameterValueException",
            f"One or more parameters {fault}. Reason: Message must be shorter than {settings.message_bytes_max} bytes.",
        )
    if queue.groups is not None:
        return _send_ordered(queue, now_us, request, queue.groups)
    if request.deduplication_id is not None:
        raise invalid_value(
            "MessageDeduplicationId",
            request.deduplication_id,
            "The request include parameter that is not valid for this queue type.",
        )
    message = queue.add(now_us, request.body, request.attributes)
    if request.group or request.trace_header:
        message.rare = _rare(request)
        if request.group:
            queue.serve_fairly(request.group, now_us)
    elif request.sender != DEFAULT_SENDER:
        message.rare = queue.sent_by(request.sender)
    queue.enter(message, now_us, settings.delay_us if request.delay_us is None else request.delay_us)
    return Sent(queue.ids.message_id(message.ordinal))


def _send_ordered(queue: Queue, now_us: int, request: Send, groups: FifoOrder) -> Sent:
    window = queue.deduplication
    assert window is not None  # noqa: S101 - a FIFO queue has one
    if request.group is None:
        raise SqsError("MissingRequiredParameterException", "The request must contain the parameter MessageGroupId.")
    if request.delay_us:
        raise invalid_value(
            "DelaySeconds",
            request.delay_us // 1_000_000,
            "The request include parameter that is not valid for this queue type.",
        )
    known_by = deduplication_id(queue, request)
    scope = request.group if queue.settings.deduplicates_by_group else ""
    first = window.find(now_us, scope, known_by)
    if first is not None:
        if queue.around.sink is not None:
            about = Content(request.body, request.attributes, request.group, known_by, now_us)
            queue.around.sink(Event("deduplicated", now_us, queue.address, about=about))
        return Sent(message_id=first.message_id, sequence=first.sequence, duplicate=True)
    message = queue.add(now_us, request.body, request.attributes)
    message.rare = rare = _rare(request)
    rare.deduplication_id = known_by
    rare.sequence = sequence_number(message.ordinal)
    groups.add(message, rare)
    queue.enter(message, now_us, queue.settings.delay_us)
    first = queue.first_send(message.ordinal)
    until_us = window.remember(now_us, scope, known_by, first)
    if queue.around.changes is not None:
        queue.around.changes.note_seen(queue, until_us, scope, known_by, message.ordinal)
    return Sent(message_id=first.message_id, sequence=first.sequence)


def deduplication_id(queue: Queue, request: Send) -> str:
    """The id a message is known by on a FIFO queue: its own, or its body's hash.

    Raises:
        SqsError: it has none, and the queue does not hash bodies.
    """
    if request.deduplication_id is not None:
        return request.deduplication_id
    if queue.settings.content_deduplication:
        return sha256(request.body.encode()).hexdigest()
    raise SqsError(
        "InvalidParameterValueException",
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
    )


def delay_again(queue: Queue, now_us: int) -> None:
    """Apply a FIFO queue's changed delay to the messages it is delaying: each counts from when it was sent.

    Source: Amazon SQS API, SetQueueAttributes; on a standard queue it applies to later messages only.
    """
    delayed: list[Message] = []
    # They are among those that came last.
    for message in reversed(queue.messages.values()):
        if len(delayed) == queue.delayed:
            break
        if message.state == DELAYED:
            delayed.append(message)
    for message in reversed(delayed):
        due_us = message.sent_us + queue.settings.delay_us + queue.lag_us(message)
        if due_us > now_us:
            queue.around.timers.arm(due_us, message)
            if queue.around.changes is not None:
                queue.around.changes.note(message, due_us)
            if queue.around.sink is not None:
                queue.around.sink(Event("visibility_changed", now_us, queue.address, message.ordinal, 0, due_us))
        else:
            queue.around.timers.disarm(message)
            if queue.around.sink is not None:
                queue.around.sink(Event("visibility_changed", now_us, queue.address, message.ordinal, 0, now_us))
            queue.message_due(message, now_us)


def _rare(request: Send) -> Rare:
    rare = Rare()
    rare.group = request.group
    rare.trace_header = request.trace_header
    if request.sender != DEFAULT_SENDER:
        rare.sender = request.sender
    return rare
