"""Looks into the engine without changing it: every queue, and every message whoever holds it.

Apart from the requests, since no client of SQS can ask for this, and most runs never load it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from busframe_emulator.engine import requests
from busframe_emulator.engine.errors import no_such_queue
from busframe_emulator.engine.message import DELAYED, IN_FLIGHT, NOTHING_RARE, VISIBLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe_emulator.engine.engine import Engine
    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.queue import Queue
    from busframe_emulator.engine.requests import MessageAttribute
    from busframe_emulator.engine.settings import QueueAddress, QueueView

State = Literal["visible", "delayed", "in_flight"]

_STATES: Final[dict[int, State]] = {VISIBLE: "visible", DELAYED: "delayed", IN_FLIGHT: "in_flight"}


@dataclass(slots=True, kw_only=True)
class QueueSeen:
    """A queue.

    Attributes:
        waiting_receivers: receives that wait for a message.
    """

    view: QueueView
    waiting_receivers: int


@dataclass(slots=True, kw_only=True)
class MessageSeen:
    """A message.

    Attributes:
        ordinal: its number in its queue; those that came later have greater ones.
        state: a message that its FIFO group holds back counts as visible, as with SQS.
        sent_us, expires_us: engine time; it is removed when it expires, wherever it is then.
        due_us: when its delay or its visibility timeout is over; None if it is visible.
        receive_count: deliveries so far, those before it was dead-lettered included.
        first_received_us: None before.
        source: the queue it was dead-lettered from.
    """

    ordinal: int
    message_id: str
    body: str
    attributes: Mapping[str, MessageAttribute]
    state: State
    sent_us: int
    expires_us: int
    due_us: int | None
    receive_count: int
    first_received_us: int | None
    sender: str
    group: str | None
    deduplication_id: str | None
    sequence: str | None
    trace_header: str | None
    source: QueueAddress | None


@dataclass(slots=True, kw_only=True)
class MessagesSeen:
    """Some messages of a queue, in the order they came.

    Attributes:
        more: whether there are others after these.
    """

    messages: Sequence[MessageSeen]
    more: bool


def inspect_queues(engine: Engine, now_us: int) -> Sequence[QueueSeen]:
    """See all queues of all accounts and regions, in the order of region, account and name."""
    queues, _ = engine.look(now_us)
    return [
        QueueSeen(
            view=engine.apply(now_us, requests.GetQueue(queue=address)), waiting_receivers=len(queues[address].waiters)
        )
        for address in sorted(queues)
    ]


def inspect_messages(engine: Engine, now_us: int, address: QueueAddress, *, after: int, limit: int) -> MessagesSeen:
    """See a queue's messages. Takes time in proportion to the messages there are, so it is for people and tests.

    Args:
        engine: where.
        now_us: when.
        address: which queue.
        after: only messages whose ordinal is greater.
        limit: at most so many.

    Raises:
        SqsError: QueueDoesNotExist.
    """
    queues, timers = engine.look(now_us)
    queue = queues.get(address)
    if queue is None:
        raise no_such_queue()
    found = list(islice(queue.messages_after(after), limit + 1))
    shown = found[:limit]
    due_times = timers.due_times(shown)
    messages = [_see(queue, message, due_times.get(message.timer)) for message in shown]
    return MessagesSeen(messages=messages, more=len(found) > limit)


def _see(queue: Queue, message: Message, due_us: int | None) -> MessageSeen:
    rare = message.rare or NOTHING_RARE
    return MessageSeen(
        ordinal=message.ordinal,
        message_id=queue.message_id(message),
        body=message.body,
        attributes=message.attributes or {},
        state=_STATES[message.state],
        sent_us=message.sent_us,
        expires_us=message.enqueued_us + queue.settings.retention_us,
        due_us=due_us,
        receive_count=message.receive_count,
        first_received_us=message.first_received_us or None,
        sender=rare.sender or requests.DEFAULT_SENDER,
        group=rare.group,
        deduplication_id=rare.deduplication_id,
        sequence=rare.sequence,
        trace_header=rare.trace_header,
        source=rare.source,
    )
