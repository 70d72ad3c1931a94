"""From queue to queue: to the dead-letter queue, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busframe_emulator.engine.events import Event, content_of
from busframe_emulator.engine.ids import sequence_number
from busframe_emulator.engine.message import NOTHING_RARE, Rare

if TYPE_CHECKING:
    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.queue import Queue


def dead_letter(message: Message, target: Queue, now_us: int) -> None:
    """Move a message that was received too often: it keeps its identifier, its body and, if standard, its age."""
    source = message.queue
    sink = source.around.sink
    if sink is not None:
        redrive = source.settings.redrive
        sink(Event("moved", now_us, source.address, message.ordinal, message.receive_count, about=redrive))
    source.remove(message)
    moved = target.add(now_us if target.settings.fifo else message.sent_us, message.body, message.attributes)
    moved.sent_us = message.sent_us
    moved.receive_count = message.receive_count
    moved.first_received_us = message.first_received_us
    moved.rare = rare = _what_was_sent(message)
    rare.message_id = source.message_id(message)
    rare.source = source.address
    rare.receives_before = message.receive_count
    if target.groups is not None:
        rare.enqueued_us = now_us
        _join_group(moved, rare, target, rare.message_id)
    else:
        target.ageing.note_age(moved)
        if rare.group:
            target.serve_fairly(rare.group, now_us)
    lag_us = target.lag_us(moved)
    if sink is not None:
        about = content_of(moved)
        sink(Event("arrived", now_us, target.address, moved.ordinal, moved.receive_count, now_us + lag_us, 0, about))
    target.show_after(moved, now_us, lag_us)
    if moved.enqueued_us + target.settings.retention_us <= now_us:
        # It is too old already for where it comes to.
        target.ageing.fire(now_us)


def redrive(message: Message, target: Queue, now_us: int) -> None:
    """Move a dead letter to where it is to be tried again: as if its body and attributes were sent there now."""
    source = message.queue
    source.tell("moved", now_us, message, message.receive_count)
    source.remove(message)
    moved = target.add(now_us, message.body, message.attributes)
    moved.rare = rare = _what_was_sent(message)
    if target.groups is not None:
        # Never taken for a duplicate of what was sent there lately: it would be lost.
        known_by = (message.rare or NOTHING_RARE).deduplication_id
        _join_group(moved, rare, target, known_by or source.message_id(message))
    elif rare.group:
        target.serve_fairly(rare.group, now_us)
    target.enter(moved, now_us, target.settings.delay_us)


def _what_was_sent(message: Message) -> Rare:
    old = message.rare or NOTHING_RARE
    rare = Rare()
    rare.group = old.group
    rare.trace_header = old.trace_header
    rare.sender = old.sender
    return rare


def _join_group(moved: Message, rare: Rare, target: Queue, deduplication_id: str) -> None:
    rare.deduplication_id = deduplication_id
    rare.sequence = sequence_number(moved.ordinal)
    if target.groups is not None:
        target.groups.add(moved, rare)
