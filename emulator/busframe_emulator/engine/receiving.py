"""Receiving from a queue: which messages, and what is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.events import Event
from busframe_emulator.engine.message import IN_FLIGHT, NOTHING_RARE, VISIBLE, Rare, SenderOnly
from busframe_emulator.engine.requests import DEFAULT_SENDER, Delivery
from busframe_emulator.engine.transfers import dead_letter

if TYPE_CHECKING:
    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.queue import Ask, Queue

OVER_LIMIT_PERCENT: Final = 90
"""From how much of the in-flight limit on the chooser may say that it is reached; SQS names no bound."""


def receive(queue: Queue, now_us: int, limit: int, visibility_us: int, nth: int, *, short: bool) -> list[Delivery]:
    """Hand out up to `limit` messages.

    Args:
        queue: of which.
        now_us: when.
        limit: 1 to 10.
        visibility_us: how long they are hidden; 0 leaves them visible.
        nth: receive of this queue it is, where a chooser is asked. One that waits is the same receive all the time.
        short: it is a short poll, which samples some servers and may miss messages.

    Raises:
        SqsError: OverLimit: a short poll on a standard queue with too many messages in flight.
    """
    return [
        _deliver(queue, message, now_us, visibility_us, slot)
        for slot, message in enumerate(_choose(queue, now_us, limit, nth, short=short))
    ]


def receive_attempt(
    queue: Queue, now_us: int, limit: int, visibility_us: int, nth: int, *, attempt_id: str, short: bool
) -> list[Delivery]:
    """Do as `receive` does on a FIFO queue, or do again what was done for the same id before (`attempts`)."""
    attempts = queue.attempts
    assert attempts is not None  # noqa: S101 - a FIFO queue has them
    messages = attempts.find(now_us, attempt_id)
    if messages is None:
        messages = _choose(queue, now_us, limit, nth, short=short)
        deliveries = [_deliver(queue, message, now_us, visibility_us, slot) for slot, message in enumerate(messages)]
    else:
        deliveries = [
            _deliver_again(queue, message, now_us, visibility_us, slot) for slot, message in enumerate(messages)
        ]
    if messages:
        attempts.remember(now_us, attempt_id, messages)
    return deliveries


def _choose(queue: Queue, now_us: int, limit: int, nth: int, *, short: bool) -> list[Message]:
    """Decide how many, and pick them."""
    around = queue.around
    room = around.limits.in_flight_max - queue.in_flight
    if room <= 0:
        if short and queue.groups is None:
            raise _over_limit()
        return []
    if not queue.visible and around.ask is None:
        return []
    limit = min(limit, room)
    if around.ask is not None:
        limit = _ask_how_many(queue, around.ask, limit, nth, short=short)
        if not limit:
            return []
    return _pick(queue, now_us, limit, nth)


def _ask_how_many(queue: Queue, ask: Ask, limit: int, nth: int, *, short: bool) -> int:
    """Let the chooser make it fewer, or none, or too many already."""
    limits = queue.around.limits
    key = (queue.address.name, nth)
    if short:
        # SQS says "about 120,000".
        near = queue.in_flight * 100 >= limits.in_flight_max * OVER_LIMIT_PERCENT
        if near and queue.groups is None and ask("recv.overlimit", key) is not None:
            raise _over_limit()
        if ask("recv.empty", key) is not None:
            return 0
    fewer = ask("recv.fewer", key)
    return limit if fewer is None else max(1, min(limit, fewer))


def _over_limit() -> SqsError:
    text = "Too many messages have been received without being deleted. "
    return SqsError(
        "OverLimit", text + "Please delete your received messages or let them timeout before receiving more."
    )


def _pick(queue: Queue, now_us: int, limit: int, nth: int) -> list[Message]:
    """Take up to `limit` messages out of the order; those received too often go to the dead-letter queue."""
    around = queue.around
    redrive = queue.settings.redrive
    target = around.queues.get(redrive.target) if redrive is not None else None
    picked: list[Message] = []
    dead: list[Message] = []
    order = queue.order
    candidates = order.candidates(now_us)
    while len(picked) < limit:
        if around.ask is not None and queue.groups is None:
            index = around.ask("recv.pick", (queue.address.name, nth, len(picked)))
            if index is not None:
                order.pick(index)
        message = next(candidates, None)
        if message is None:
            break
        if (
            target is not None
            and redrive is not None
            and message.receive_count >= redrive.max_receive_count  # it may have been received elsewhere before
            and _receives_here(message) >= redrive.max_receive_count
        ):
            dead.append(message)
        else:
            picked.append(message)
        if message.state == VISIBLE:
            # Not visible from here on, so that the order cannot offer it twice in one receive.
            message.state = IN_FLIGHT
            queue.visible -= 1
            queue.in_flight += 1
    # Before the moves: a queue that is its own dead-letter queue shows them again in groups that were served now.
    order.served()
    if target is not None:
        for message in dead:
            dead_letter(message, target, now_us)
    return picked


def _deliver(queue: Queue, message: Message, now_us: int, visibility_us: int, slot: int) -> Delivery:
    around = queue.around
    message.receive_count = delivery = message.receive_count + 1
    message.received_us = now_us
    if delivery == 1:
        message.first_received_us = now_us
    if visibility_us:
        around.timers.arm(now_us + visibility_us, message)
        if around.changes is not None:
            around.changes.note(message, now_us + visibility_us)
    else:
        queue.release(message, now_us)
    handed = _delivery(queue, message, delivery)
    if around.sink is not None:
        until_us = now_us + visibility_us
        around.sink(Event("delivered", now_us, queue.address, message.ordinal, delivery, until_us, slot, handed))
    if around.ask is not None and queue.groups is None and visibility_us:
        copy = around.ask("recv.dup", (queue.address.name, message.ordinal, delivery))
        if copy is not None:
            queue.tell("copied", now_us, message, delivery)
            _keep_copy(queue, message, now_us)
    return handed


def _deliver_again(queue: Queue, message: Message, now_us: int, visibility_us: int, slot: int) -> Delivery:
    """The same delivery once more: it counts as one, and its time begins anew."""
    message.received_us = now_us
    if visibility_us:
        queue.hide(message, now_us + visibility_us)
    else:
        queue.release(message, now_us)
    delivery, until_us = message.receive_count, now_us + visibility_us
    handed = _delivery(queue, message, delivery)
    sink = queue.around.sink
    if sink is not None:
        sink(Event("delivered_again", now_us, queue.address, message.ordinal, delivery, until_us, slot, handed))
    return handed


def _delivery(queue: Queue, message: Message, delivery: int) -> Delivery:
    ids, ordinal, rare, content = queue.ids, message.ordinal, message.rare, message.content
    body, attributes = (content, None) if isinstance(content, str) else content
    # Most have nothing rare. Not asking `NOTHING_RARE` seven times is three hundredths of a message's whole way.
    if rare is None:
        return Delivery(
            ids.message_id(ordinal),
            ids.receipt(ordinal, delivery),
            body,
            attributes,
            delivery,
            message.sent_us,
            message.first_received_us,
        )
    return Delivery(
        rare.message_id or ids.message_id(ordinal),
        ids.receipt(ordinal, delivery),
        body,
        attributes,
        delivery,
        message.sent_us,
        message.first_received_us,
        rare.sender or DEFAULT_SENDER,
        rare.group,
        rare.deduplication_id,
        rare.sequence,
        rare.trace_header,
        rare.source,
    )


def _keep_copy(queue: Queue, message: Message, now_us: int) -> None:
    """A second server has the message too, and has not heard of the delivery."""
    rare = message.rare
    if rare is None or isinstance(rare, SenderOnly):
        message.rare = own = Rare()
        own.sender = (rare or NOTHING_RARE).sender
        rare = own
    rare.copies += 1
    queue.order.became_visible(message, now_us)
    queue.wake()


def _receives_here(message: Message) -> int:
    return message.receive_count - (message.rare or NOTHING_RARE).receives_before
