"""One queue: what sending, receiving, deleting, hiding and time do to its messages.

A message is visible, delayed, in flight, buried or gone (`message`); this file holds the moves between these states
and nothing else may change one. Which visible message comes next is the business of the queue's order: `standard` or
`fifo`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.deduplication import DeduplicationWindow, FirstSend
from busframe_emulator.engine.errors import SqsError, invalid_value
from busframe_emulator.engine.events import Event
from busframe_emulator.engine.fifo import FifoOrder
from busframe_emulator.engine.ids import sequence_number
from busframe_emulator.engine.message import BURIED, DELAYED, GONE, IN_FLIGHT, NOTHING_RARE, VISIBLE, Message, Rare
from busframe_emulator.engine.requests import Deliveries, Delivery, Done, Sent
from busframe_emulator.engine.standard import StandardOrder
from busframe_emulator.engine.timers import SWEEP_MIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from busframe_emulator.engine.events import Kind, Sink
    from busframe_emulator.engine.ids import QueueIds
    from busframe_emulator.engine.requests import ChangeVisibility, Delete, Send
    from busframe_emulator.engine.settings import Limits, QueueAddress, QueueSettings
    from busframe_emulator.engine.timers import Timers
    from busframe_emulator.engine.waiter import Waiter

DEFAULT_SENDER: Final = "AIDAEXAMPLEBUSFRAME00"
"""`Send.sender` where nobody said who sends; messages do not store it."""

LAG_US_MAX: Final = 2_000_000
BURIAL_US_MAX: Final = 60_000_000
"""What the chooser may ask at most; SQS names no bound, and a test needs one."""

_DONE: Final = Done()


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What all queues of an engine share.

    Attributes:
        ask: the chooser's question, or None if all is calm.
        touched: queues in which a message became visible while somebody waited.
        answers: what waiters are to be told.
    """

    queues: dict[QueueAddress, Queue]
    timers: Timers
    limits: Limits
    ask: Callable[[str, tuple[str | int, ...]], int | None] | None
    sink: Sink | None
    touched: list[Queue]
    answers: list[tuple[int, Deliveries]]


class Housekeeping:
    """A queue's own timer: retention and the deduplication window.

    Attributes:
        due_us: when it fires, while it has a timer.
    """

    __slots__ = ("_queue", "due_us", "timer")

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.due_us = 0
        self.timer = 0

    def fire(self, at_us: int) -> None:
        """Something is too old."""
        self._queue.housekeep(at_us)


class Queue:
    """A queue and its messages.

    Attributes:
        visible, in_flight, delayed: how many messages are in that state.
        waiters: by number, first come first.
    """

    __slots__ = (
        "_aged",
        "_around",
        "_deduplication",
        "_groups",
        "_housekeeping",
        "_ids",
        "_messages",
        "_order",
        "_ordinal",
        "_receives",
        "address",
        "created_us",
        "delayed",
        "in_flight",
        "modified_us",
        "purged_us",
        "settings",
        "tags",
        "visible",
        "waiters",
    )

    def __init__(
        self,
        around: Surroundings,
        address: QueueAddress,
        *,
        ids: QueueIds,
        settings: QueueSettings,
        tags: Mapping[str, str],
        now_us: int,
    ) -> None:
        self._around = around
        self.address = address
        self._ids = ids
        self.settings = settings
        self.tags = dict(tags)
        self.created_us = self.modified_us = now_us
        self.purged_us: int | None = None
        self.visible = self.in_flight = self.delayed = 0
        self.waiters: OrderedDict[int, Waiter] = OrderedDict()
        self._messages: dict[int, Message] = {}
        self._ordinal = 0
        self._receives = 0
        # Messages that are older than their place in `_messages` says: dead-lettered ones keep their age.
        self._aged: list[tuple[int, int]] = []
        self._groups = FifoOrder() if settings.fifo else None
        self._order = self._groups or StandardOrder()
        self._deduplication = DeduplicationWindow(around.limits.deduplication_us) if settings.fifo else None
        self._housekeeping = Housekeeping(self)

    # --- sending ----------------------------------------------------------------------------------------------------

    def send(self, now_us: int, request: Send, *, in_batch: bool = False) -> Sent:
        """Append a message, or recognise it as a duplicate."""
        settings = self.settings
        if request.size_bytes > settings.message_bytes_max:
            # Word for word as recorded: a batch entry's text differs.
            fault = "cannot be validated" if in_batch else "are invalid"
            raise SqsError(
                "InvalidParameterValueException",
                f"One or more parameters {fault}. "
                f"Reason: Message must be shorter than {settings.message_bytes_max} bytes.",
            )
        if self._groups is not None:
            return self._send_ordered(now_us, request, self._groups)
        if request.deduplication_id is not None:
            raise invalid_value(
                "MessageDeduplicationId",
                request.deduplication_id,
                "The request include parameter that is not valid for this queue type.",
            )
        message = self._new_message(now_us, request.body)
        if request.attributes or request.group or request.trace_header or request.sender != DEFAULT_SENDER:
            message.rare = _rare(request)
        self._enter(message, now_us, settings.delay_us if request.delay_us is None else request.delay_us)
        return Sent(self._ids.message_id(message.ordinal))

    def _send_ordered(self, now_us: int, request: Send, groups: FifoOrder) -> Sent:
        window = self._deduplication
        assert window is not None  # noqa: S101 - a FIFO queue has one
        if request.group is None:
            raise SqsError(
                "MissingRequiredParameterException", "The request must contain the parameter MessageGroupId."
            )
        if request.delay_us:
            raise invalid_value(
                "DelaySeconds",
                request.delay_us // 1_000_000,
                "The request include parameter that is not valid for this queue type.",
            )
        deduplication_id = self.deduplication_id(request)
        scope = request.group if self.settings.deduplication_scope == "messageGroup" else ""
        first = window.find(now_us, scope, deduplication_id)
        if first is not None:
            self._tell("deduplicated", now_us)
            return Sent(message_id=first.message_id, sequence=first.sequence, duplicate=True)
        message = self._new_message(now_us, request.body)
        message.rare = rare = _rare(request)
        rare.deduplication_id = deduplication_id
        rare.sequence = sequence_number(message.ordinal)
        groups.add(message, rare)
        self._enter(message, now_us, self.settings.delay_us)
        message_id = self._ids.message_id(message.ordinal)
        window.remember(now_us, scope, deduplication_id, FirstSend(message_id, rare.sequence))
        return Sent(message_id=message_id, sequence=rare.sequence)

    def deduplication_id(self, request: Send) -> str:
        """The id a message is known by on a FIFO queue: its own, or its body's hash.

        Raises:
            SqsError: it has none, and the queue does not hash bodies.
        """
        if request.deduplication_id is not None:
            return request.deduplication_id
        if self.settings.content_deduplication:
            return sha256(request.body.encode()).hexdigest()
        raise SqsError(
            "InvalidParameterValueException",
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly",
        )

    def _new_message(self, now_us: int, body: str) -> Message:
        self._ordinal = ordinal = self._ordinal + 1
        message = self._messages[ordinal] = Message(self, ordinal, body, now_us)
        due_us = now_us + self.settings.retention_us
        housekeeping = self._housekeeping
        # It may be set already, for something that falls due later than this message: a deduplication id.
        if not housekeeping.timer or due_us < housekeeping.due_us:
            self._plan(due_us)
        return message

    def _plan(self, due_us: int) -> None:
        self._housekeeping.due_us = due_us
        self._around.timers.arm(due_us, self._housekeeping)

    def _enter(self, message: Message, now_us: int, delay_us: int) -> None:
        around = self._around
        if around.ask is not None:
            lag_us = around.ask("send.lag", (self.address.name, message.ordinal))
            if lag_us is not None:
                delay_us += max(0, min(lag_us, LAG_US_MAX))
        if around.sink is not None:
            around.sink(Event("sent", now_us, self.address, message.ordinal, 0, now_us + delay_us))
        if delay_us:
            message.state = DELAYED
            self.delayed += 1
            around.timers.arm(now_us + delay_us, message)
        else:
            self._show(message, now_us)

    # --- receiving --------------------------------------------------------------------------------------------------

    def receive(self, now_us: int, limit: int, visibility_us: int, *, short: bool) -> list[Delivery]:
        """Hand out up to `limit` messages.

        Args:
            now_us: when.
            limit: 1 to 10.
            visibility_us: how long they are hidden; 0 leaves them visible.
            short: it is a short poll, which samples some servers and may miss messages.

        Raises:
            SqsError: OverLimit: a short poll on a standard queue with too many messages in flight.
        """
        around = self._around
        room = around.limits.in_flight_max - self.in_flight
        if room <= 0:
            if short and self._groups is None:
                raise SqsError(
                    "OverLimit",
                    "Too many messages have been received without being deleted. "
                    "Please delete your received messages or let them timeout before receiving more.",
                )
            return []
        if not self.visible and around.ask is None:
            return []
        limit = min(limit, room)
        if around.ask is not None:
            self._receives += 1
            if short and around.ask("recv.empty", (self.address.name, self._receives)) is not None:
                return []
            fewer = around.ask("recv.fewer", (self.address.name, self._receives))
            if fewer is not None:
                limit = max(1, min(limit, fewer))
        return [self._deliver(message, now_us, visibility_us) for message in self._pick(limit, now_us)]

    def _pick(self, limit: int, now_us: int) -> list[Message]:
        """Take up to `limit` messages out of the order; those received too often go to the dead-letter queue."""
        around = self._around
        redrive = self.settings.redrive
        target = around.queues.get(redrive.target) if redrive is not None else None
        picked: list[Message] = []
        dead: list[Message] = []
        order = self._order
        candidates = order.candidates()
        while len(picked) < limit:
            if around.ask is not None and self._groups is None:
                index = around.ask("recv.pick", (self.address.name, self._receives, len(picked)))
                if index is not None:
                    order.pick(index)
            message = next(candidates, None)
            if message is None:
                break
            if target is not None and redrive is not None and _receives_here(message) >= redrive.max_receive_count:
                dead.append(message)
            else:
                picked.append(message)
            if message.state == VISIBLE:
                # Not visible from here on, so that the order cannot offer it twice in one receive.
                message.state = IN_FLIGHT
                self.visible -= 1
                self.in_flight += 1
        # Before the moves: a queue that is its own dead-letter queue shows them again in groups that were served now.
        order.served()
        if target is not None:
            for message in dead:
                self._move(message, target, now_us)
        return picked

    def _deliver(self, message: Message, now_us: int, visibility_us: int) -> Delivery:
        around = self._around
        message.receive_count = delivery = message.receive_count + 1
        message.received_us = now_us
        if delivery == 1:
            message.first_received_us = now_us
        if visibility_us:
            around.timers.arm(now_us + visibility_us, message)
        else:
            around.timers.disarm(message)
            self.in_flight -= 1
            self._show(message, now_us)
        if around.sink is not None:
            around.sink(Event("delivered", now_us, self.address, message.ordinal, delivery, now_us + visibility_us))
        if around.ask is not None and self._groups is None and visibility_us:
            copy = around.ask("recv.dup", (self.address.name, message.ordinal, delivery))
            if copy is not None:
                self._keep_copy(message, now_us)
        rare = message.rare or NOTHING_RARE
        return Delivery(
            rare.message_id or self._ids.message_id(message.ordinal),
            self._ids.receipt(message.ordinal, delivery),
            message.body,
            rare.attributes,
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

    def _keep_copy(self, message: Message, now_us: int) -> None:
        """A second server has the message too, and has not heard of the delivery."""
        if message.rare is None:
            message.rare = Rare()
        message.rare.copies += 1
        self._order.became_visible(message, now_us)
        self._wake()

    # --- settling ---------------------------------------------------------------------------------------------------

    def delete(self, now_us: int, request: Delete) -> Done:
        """Remove the message the receipt speaks of.

        On a standard queue the newest receipt deletes whether or not the message is hidden, an older one need not do
        anything, and a message that is gone already is fine. On a FIFO queue a receipt is good while its message is
        hidden by it.
        """
        around = self._around
        ordinal, delivery = self._ids.read_receipt(request.receipt)
        message = self._messages.get(ordinal)
        if message is None or message.state == BURIED:
            return _DONE
        newest = delivery == message.receive_count
        if self._groups is not None:
            if not newest or message.state != IN_FLIGHT:
                raise invalid_value("ReceiptHandle", request.receipt, "The receipt handle has expired.")
        elif around.ask is not None:
            key = (self.address.name, ordinal, delivery)
            if not newest:
                newest = around.ask("delete.stale", key) is not None
            if newest and (burial_us := around.ask("delete.zombie", key)) is not None:
                self._bury(message, now_us, max(1, min(burial_us, BURIAL_US_MAX)))
                return _DONE
        if newest:
            if around.sink is not None:
                self._tell("deleted", now_us, message, delivery)
            self._remove(message)
        else:
            self._tell("delete_ignored", now_us, message, delivery)
        return _DONE

    def change_visibility(self, now_us: int, request: ChangeVisibility) -> Done:
        """Let the message be hidden until `visibility_us` from now; 0 shows it at once.

        Raises:
            SqsError: it is gone; it would be hidden for more than twelve hours in all; on a FIFO queue, the receipt's
                time is over.
        """
        around = self._around
        ordinal, delivery = self._ids.read_receipt(request.receipt)
        message = self._messages.get(ordinal)
        if message is None or message.state == BURIED:
            reason = "Message does not exist or is not available for visibility timeout change."
            raise invalid_value("ReceiptHandle", request.receipt, reason)
        visibility_us = request.visibility_us
        if self._groups is not None and (delivery != message.receive_count or message.state != IN_FLIGHT):
            raise invalid_value("ReceiptHandle", request.receipt, "The receipt handle has expired.")
        if message.state == VISIBLE and not (around.limits.rehide_expired and visibility_us):
            return _DONE
        longest_us = around.limits.visibility_us_max
        if message.state == IN_FLIGHT and now_us + visibility_us > message.received_us + longest_us:
            reason = f"Total VisibilityTimeout for the message is beyond the limit [{longest_us // 1_000_000} seconds]"
            raise invalid_value("VisibilityTimeout", visibility_us // 1_000_000, reason)
        if around.sink is not None:
            around.sink(Event("visibility_changed", now_us, self.address, ordinal, delivery, now_us + visibility_us))
        if visibility_us:
            self._hide(message, now_us + visibility_us)
        else:
            around.timers.disarm(message)
            self.in_flight -= 1
            self._show(message, now_us)
        return _DONE

    # --- time -------------------------------------------------------------------------------------------------------

    def message_due(self, message: Message, at_us: int) -> None:
        """A delay, an invisibility or a burial is over."""
        self._count_out(message)
        self._show(message, at_us)
        self._tell("visible", at_us, message)

    def housekeep(self, at_us: int) -> None:
        """Drop what is older than the retention period, and deduplication ids older than their window."""
        oldest_us = at_us - self.settings.retention_us
        expired: dict[int, Message] = {}
        for message in self._messages.values():
            if message.enqueued_us > oldest_us:
                break
            expired[message.ordinal] = message
        while self._aged and self._aged[0][0] <= oldest_us:
            ordinal = heappop(self._aged)[1]
            if ordinal in self._messages:
                expired[ordinal] = self._messages[ordinal]
        for message in expired.values():
            self._tell("expired", at_us, message)
            self._remove(message)
        if self._deduplication is not None:
            self._deduplication.forget(at_us)
        self._order.sweep(self.visible)
        self._plan_housekeeping()

    def _plan_housekeeping(self) -> None:
        """Set the queue's own timer to when something will be too old."""
        retention_us = self.settings.retention_us
        due: list[int] = []
        if self._messages:
            due.append(next(iter(self._messages.values())).enqueued_us + retention_us)
        if self._aged:
            due.append(self._aged[0][0] + retention_us)
        if self._deduplication is not None and (forget_us := self._deduplication.next_due()) is not None:
            due.append(forget_us)
        if due:
            self._plan(min(due))
        else:
            self._around.timers.disarm(self._housekeeping)

    def end_wait(self, waiter: Waiter) -> None:
        """Answer a waiting receive with nothing."""
        del self.waiters[waiter.number]
        self._around.timers.disarm(waiter)
        self._around.answers.append((waiter.number, Deliveries(deliveries=())))

    # --- the whole queue --------------------------------------------------------------------------------------------

    def oldest_sent_us(self) -> int | None:
        """When the oldest message still here was sent; None if there is none."""
        oldest = [next(iter(self._messages.values())).sent_us] if self._messages else []
        while self._aged and self._aged[0][1] not in self._messages:
            heappop(self._aged)
        if self._aged:
            oldest.append(self._aged[0][0])
        return min(oldest, default=None)

    def purge(self, now_us: int) -> None:
        """Remove all messages and forget all deduplication ids."""
        for message in self._messages.values():
            message.state = GONE
            self._around.timers.disarm(message)
        self._messages.clear()
        self._aged.clear()
        self._order.clear()
        if self._deduplication is not None:
            self._deduplication.clear()
        self.visible = self.in_flight = self.delayed = 0
        self.purged_us = now_us
        self._around.timers.disarm(self._housekeeping)
        self._tell("purged", now_us)

    def close(self, now_us: int) -> None:
        """The queue is being deleted: let go of everything that holds it."""
        self.purge(now_us)
        for waiter in list(self.waiters.values()):
            self.end_wait(waiter)

    # --- moves between states ---------------------------------------------------------------------------------------

    def _show(self, message: Message, at_us: int) -> None:
        message.state = VISIBLE
        if message.rare is not None:
            message.rare.copies = 0
        self.visible += 1
        self._order.became_visible(message, at_us)
        if self.waiters:
            self._around.touched.append(self)

    def _wake(self) -> None:
        if self.waiters:
            self._around.touched.append(self)

    def _hide(self, message: Message, until_us: int) -> None:
        if message.state != IN_FLIGHT:
            self._count_out(message)
            message.state = IN_FLIGHT
            self.in_flight += 1
        self._around.timers.arm(until_us, message)

    def _bury(self, message: Message, now_us: int, burial_us: int) -> None:
        self._tell("deleted", now_us, message, message.receive_count)
        self._count_out(message)
        message.state = BURIED
        if message.rare is not None:
            message.rare.copies = 0
        self._around.timers.arm(now_us + burial_us, message)
        if self.visible:
            # There is room in flight for one more.
            self._wake()

    def _remove(self, message: Message) -> None:
        self._count_out(message)
        message.state = GONE
        self._around.timers.disarm(message)
        if message.rare is not None:
            message.rare.copies = 0
        del self._messages[message.ordinal]
        self._order.removed(message)
        if self.visible:
            # The head of a FIFO group left: those behind it may be what a waiting receive waits for.
            self._wake()

    def _move(self, message: Message, target: Queue, now_us: int) -> None:
        """Dead-letter a message: it keeps its identifier, its body and, on a standard queue, its age."""
        self._tell("moved", now_us, message, message.receive_count)
        self._remove(message)
        old = message.rare or NOTHING_RARE
        moved = target._new_message(now_us if target.settings.fifo else message.sent_us, message.body)
        moved.sent_us = message.sent_us
        moved.receive_count = message.receive_count
        moved.first_received_us = message.first_received_us
        moved.rare = rare = Rare()
        rare.message_id = old.message_id or self._ids.message_id(message.ordinal)
        rare.source = self.address
        rare.receives_before = message.receive_count
        rare.attributes = old.attributes
        rare.group = old.group
        rare.trace_header = old.trace_header
        rare.sender = old.sender
        if target._groups is not None:
            rare.deduplication_id = rare.message_id
            rare.sequence = sequence_number(moved.ordinal)
            rare.enqueued_us = now_us
            target._groups.add(moved, rare)
        else:
            target._note_age(moved)
        target._show(moved, now_us)
        if moved.enqueued_us + target.settings.retention_us <= now_us:
            # It is too old already for where it comes to.
            target.housekeep(now_us)

    def _note_age(self, message: Message) -> None:
        aged = self._aged
        heappush(aged, (message.enqueued_us, message.ordinal))
        if len(aged) > 2 * len(self._messages) + SWEEP_MIN:
            aged[:] = [entry for entry in aged if entry[1] in self._messages]
            heapify(aged)

    def _count_out(self, message: Message) -> None:
        state = message.state
        if state == IN_FLIGHT:
            self.in_flight -= 1
        elif state == VISIBLE:
            self.visible -= 1
        elif state == DELAYED:
            self.delayed -= 1

    def _tell(self, kind: Kind, at_us: int, message: Message | None = None, delivery: int = 0) -> None:
        if self._around.sink is not None:
            self._around.sink(Event(kind, at_us, self.address, message.ordinal if message else 0, delivery))


def _rare(request: Send) -> Rare:
    rare = Rare()
    rare.attributes = request.attributes
    rare.group = request.group
    rare.trace_header = request.trace_header
    if request.sender != DEFAULT_SENDER:
        rare.sender = request.sender
    return rare


def _receives_here(message: Message) -> int:
    return message.receive_count - (message.rare or NOTHING_RARE).receives_before
