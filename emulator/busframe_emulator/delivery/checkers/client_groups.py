"""What must be so within one message group, as clients saw it: order, and one receive at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from busframe_emulator.delivery.checkers.client_messages import SECOND_US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe_emulator.delivery.checkers.client_messages import DeliverySeen, MessageSeen
    from busframe_emulator.delivery.client_history import Call

RETENTION_S_MIN: Final = 60
"""Amazon SQS API, SetQueueAttributes, MessageRetentionPeriod: no queue keeps messages for less."""


class Find(Protocol):
    """Is told what must not be."""

    def __call__(self, check: str, call: Call, message: str, text: str, delivery: DeliverySeen | None = None) -> None:
        """Say so."""
        ...


def check_order(members: Sequence[MessageSeen], find: Find) -> None:
    """Sent certainly one after the other, delivered first certainly the other way round."""
    seen = [one for one in members if one.deliveries and one.sends]
    by_end = sorted(seen, key=lambda one: one.sends[0].ended_us)
    latest: MessageSeen | None = None  # of those sent before: the one whose first delivery began last
    place = 0
    for message in sorted(seen, key=lambda one: one.sends[0].began):
        while place < len(by_end) and by_end[place].sends[0].ended_us < message.sends[0].began:
            if latest is None or by_end[place].first.began > latest.first.began:
                latest = by_end[place]
            place += 1
        if latest is not None and _overtook(message, latest):
            text = f"message {latest.id} was sent before it, and delivered after it for the first time"
            find("fifo_order", message.first.call, message.id, text, message.first)


def check_never_delivered(members: Sequence[MessageSeen], find: Find, *, blind_us: int) -> None:
    """Sent certainly before a message that was delivered, and neither delivered nor gone by then.

    Args:
        members: of one group, those that nobody can have moved to another queue.
        find: is told.
        blind_us: from when on somebody may have taken what the history does not know of.
    """
    waiting = sorted(
        (one for one in members if not one.deliveries and one.sends and one.sends[0].outcome == "ok"),
        key=lambda one: one.sends[0].ended_us,
    )
    latest: MessageSeen | None = None  # of those sent before: the one that is kept longest
    place = 0
    for message in sorted((one for one in members if one.deliveries and one.sends), key=lambda one: one.sends[0].began):
        while place < len(waiting) and waiting[place].sends[0].ended_us < message.sends[0].began:
            if latest is None or waiting[place].sends[0].began > latest.sends[0].began:
                latest = waiting[place]
            place += 1
        first = message.first
        if latest is None or first.ended > min(blind_us, latest.sends[0].began + _kept_us(latest)):
            continue
        text = f"message {latest.id} was sent before it, and has never been delivered"
        find("fifo_order", first.call, message.id, text, first)


def _overtook(message: MessageSeen, earlier: MessageSeen) -> bool:
    if message.first.call is earlier.first.call:
        return message.first.slot < earlier.first.slot
    return message.first.ended < earlier.first.began


def check_exclusion(members: Sequence[MessageSeen], find: Find) -> None:
    """A group was served while an earlier message of it was certainly in flight by another receive."""
    deliveries = sorted(
        ((one, message) for message in members for one in message.deliveries), key=lambda pair: pair[0].began
    )
    flying: list[tuple[DeliverySeen, MessageSeen]] = []
    for delivery, message in deliveries:
        still: list[tuple[DeliverySeen, MessageSeen]] = []
        for other, earlier in flying:
            hidden = other.hidden_until(delivery.ended)
            if hidden is None or hidden[1] < delivery.began:
                continue
            still.append((other, earlier))
            if (
                other.call is not delivery.call
                and earlier is not message
                and _comes_before(earlier, message)
                and other.ended < delivery.began
                and delivery.ended < hidden[0]
                and not any(delete.began < delivery.ended for delete in other.deletes)
                and (delivery.call.attempt is None or delivery.call.attempt != other.call.attempt)
            ):
                text = f"message {earlier.id}, which comes before it in group {message.group!r}, was in flight"
                find("fifo_exclusion", delivery.call, message.id, text, delivery)
                break
        else:
            flying = still
        flying.append((delivery, message))


def _kept_us(message: MessageSeen) -> int:
    retention_s = message.facts.retention_s
    return round((RETENTION_S_MIN if retention_s is None else retention_s) * SECOND_US)


def _comes_before(earlier: MessageSeen, message: MessageSeen) -> bool:
    one, other = earlier.first.seen.sequence, message.first.seen.sequence
    if one and other and one.isdecimal() and other.isdecimal():
        return int(one) < int(other)
    return bool(earlier.sends and message.sends) and earlier.sends[0].ended_us < message.sends[0].began
