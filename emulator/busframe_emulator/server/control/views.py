"""Queues and messages as JSON shows them. Times are seconds since 1970 on the emulator's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busframe_emulator.engine.inspection import MessageSeen, QueueSeen
    from busframe_emulator.engine.settings import QueueAddress
    from busframe_emulator.server.clock import Clock

_SECOND_US: Final = 1_000_000


class ClockView(Struct, kw_only=True):
    """The clock.

    Attributes:
        mode: "real" or "manual".
        offset_s: how far it is ahead of the machine's.
    """

    now_s: float
    mode: str
    offset_s: float


class DeadLetterTarget(Struct, kw_only=True):
    """Where messages go that were received too often."""

    name: str
    arn: str
    max_receive_count: int


class QueueView(Struct, kw_only=True):
    """A queue.

    Attributes:
        oldest_age_s: since its oldest message was sent; None if it has none.
        dead_letter_sources: names of the queues whose dead-letter queue this is.
    """

    region: str
    account: str
    name: str
    url: str
    arn: str
    fifo: bool
    visible: int
    in_flight: int
    delayed: int
    oldest_age_s: float | None
    dead_letter_target: DeadLetterTarget | None
    dead_letter_sources: list[str]
    waiting_receivers: int


class AttributeView(Struct, kw_only=True):
    """A message attribute. A binary value is in base64."""

    type: str
    value: str | bytes


class MessageView(Struct, kw_only=True):
    """A message.

    Attributes:
        state: "visible", "delayed" or "in_flight".
        due_s: when it becomes visible; None if it is.
    """

    message_id: str
    state: str
    body: str
    attributes: dict[str, AttributeView]
    sent_s: float
    due_s: float | None
    expires_s: float
    receive_count: int
    first_received_s: float | None
    sender: str
    group: str | None
    deduplication_id: str | None
    sequence: str | None
    trace_header: str | None
    dead_letter_source: str | None


class MessagesView(Struct, kw_only=True):
    """Messages in the order they came.

    Attributes:
        next: what to give as `after` to see those that follow; None if these are the last.
    """

    messages: list[MessageView]
    next: str | None


def show_clock(clock: Clock) -> ClockView:
    """Show the clock."""
    return ClockView(
        now_s=clock.now_us() / _SECOND_US,
        mode="manual" if clock.manual else "real",
        offset_s=round(clock.offset_us() / 1000) / 1000,  # beyond milliseconds it is two clocks' jitter
    )


def show_queues(seen: Sequence[QueueSeen], now_us: int, url_of: Callable[[QueueAddress], str]) -> list[QueueView]:
    """Show queues, each with what it is to the others."""
    sources: dict[QueueAddress, list[str]] = {}
    for queue in seen:
        redrive = queue.view.settings.redrive
        if redrive is not None:
            sources.setdefault(redrive.target, []).append(queue.view.address.name)
    return [_show_queue(queue, now_us, url_of, sources.get(queue.view.address, [])) for queue in seen]


def show_message(seen: MessageSeen) -> MessageView:
    """Show a message."""
    return MessageView(
        message_id=seen.message_id,
        state=seen.state,
        body=seen.body,
        attributes={name: AttributeView(type=kind, value=value) for name, (kind, value) in seen.attributes.items()},
        sent_s=seen.sent_us / _SECOND_US,
        due_s=_seconds(seen.due_us),
        expires_s=seen.expires_us / _SECOND_US,
        receive_count=seen.receive_count,
        first_received_s=_seconds(seen.first_received_us),
        sender=seen.sender,
        group=seen.group,
        deduplication_id=seen.deduplication_id,
        sequence=seen.sequence,
        trace_header=seen.trace_header,
        dead_letter_source=seen.source.arn if seen.source else None,
    )


def oldest_age_s(queue: QueueSeen, now_us: int) -> float | None:
    """How long ago the queue's oldest message was sent; None if it has none."""
    oldest_us = queue.view.oldest_sent_us
    return None if oldest_us is None else (now_us - oldest_us) / _SECOND_US


def _show_queue(seen: QueueSeen, now_us: int, url_of: Callable[[QueueAddress], str], sources: list[str]) -> QueueView:
    view = seen.view
    redrive = view.settings.redrive
    return QueueView(
        region=view.address.region,
        account=view.address.account,
        name=view.address.name,
        url=url_of(view.address),
        arn=view.address.arn,
        fifo=view.settings.fifo,
        visible=view.visible,
        in_flight=view.in_flight,
        delayed=view.delayed,
        oldest_age_s=oldest_age_s(seen, now_us),
        dead_letter_target=None
        if redrive is None
        else DeadLetterTarget(
            name=redrive.target.name, arn=redrive.target.arn, max_receive_count=redrive.max_receive_count
        ),
        dead_letter_sources=sources,
        waiting_receivers=seen.waiting_receivers,
    )


def _seconds(at_us: int | None) -> float | None:
    return None if at_us is None else at_us / _SECOND_US
