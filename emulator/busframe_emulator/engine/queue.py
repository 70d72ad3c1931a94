"""One queue: its messages, and the moves between their states.

A message is visible, delayed, in flight, buried or gone (`message`). The moves between these states are made here and
nowhere else, so that the counts are right; what asks for them stands in files of its own:

- `sending`, `receiving`, `settling`: what clients ask for;
- `ageing`: retention, and whatever else is forgotten after a time;
- `transfers`: dead letters, and their way back;
- `standard`, `fairness` and `fifo`: the orders, which say what visible message comes next.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.ageing import Ageing
from busframe_emulator.engine.attempts import Attempts
from busframe_emulator.engine.deduplication import DeduplicationWindow, FirstSend
from busframe_emulator.engine.events import Event, content_of
from busframe_emulator.engine.fairness import FairOrder
from busframe_emulator.engine.fifo import FifoOrder
from busframe_emulator.engine.ids import sequence_number
from busframe_emulator.engine.message import (
    BURIED,
    DELAYED,
    GONE,
    IN_FLIGHT,
    NOTHING_RARE,
    VISIBLE,
    Message,
    SenderOnly,
)
from busframe_emulator.engine.requests import Deliveries
from busframe_emulator.engine.settings import QueueView
from busframe_emulator.engine.standard import StandardOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from busframe_emulator.engine.changes import Changes
    from busframe_emulator.engine.events import Kind, Sink
    from busframe_emulator.engine.ids import QueueIds
    from busframe_emulator.engine.lagging import LaterChange
    from busframe_emulator.engine.message import Rare
    from busframe_emulator.engine.requests import MessageAttribute
    from busframe_emulator.engine.settings import Limits, QueueAddress, QueueSettings
    from busframe_emulator.engine.timers import Timers
    from busframe_emulator.engine.waiter import Waiter

    Ask = Callable[[str, tuple[str | int, ...]], int | None]

LAG_US_MAX: Final = 2_000_000
"""What the chooser may ask at most; SQS names no bound, and a test needs one."""


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What all queues of an engine share.

    Attributes:
        ask: the chooser's question, or None if all is calm.
        touched: queues in which a message became visible while somebody waited.
        answers: what waiters are to be told.
        changes: is told of whatever has to survive the process; None if nothing has to.
    """

    queues: dict[QueueAddress, Queue]
    timers: Timers
    limits: Limits
    ask: Ask | None
    sink: Sink | None
    touched: list[Queue]
    answers: list[tuple[int, Deliveries]]
    changes: Changes | None

    def lag_us(self, site: str, key: tuple[str | int, ...], most_us: int) -> int:
        """Ask how much later something is to happen: 0 if all is calm."""
        lag_us = self.ask(site, key) if self.ask is not None else None
        return 0 if lag_us is None else max(0, min(lag_us, most_us))


class Queue:
    """A queue and its messages.

    Attributes:
        number: it is the so manieth queue of its engine.
        messages: all but those that are gone, by ordinal and in that order.
        last_ordinal: of the message that came last; 0 if none ever came.
        visible, in_flight, delayed: how many messages are in that state.
        counters: how often there was an occasion to ask the chooser, by its kind.
        pending: settings that were accepted and have no effect yet (`lagging`).
        shown: the counts that a client was shown last, and when.
        order: what comes next.
        groups, deduplication, attempts: of a FIFO queue; `groups` is its order.
        waiters: by number, first come first.
        saved_ordinal: of the last message that `changes` handed out, or saw come and go.
        noted_ordinal: as far as `changes` handed out how far the queue has come.
    """

    __slots__ = (
        "_sender_only",
        "address",
        "ageing",
        "around",
        "attempts",
        "counters",
        "created_us",
        "deduplication",
        "delayed",
        "groups",
        "ids",
        "in_flight",
        "last_ordinal",
        "messages",
        "modified_us",
        "noted_ordinal",
        "number",
        "order",
        "pending",
        "purged_us",
        "saved_ordinal",
        "settings",
        "shown",
        "tags",
        "visible",
        "waiters",
    )

    def __init__(
        self,
        around: Surroundings,
        address: QueueAddress,
        *,
        number: int,
        ids: QueueIds,
        settings: QueueSettings,
        tags: Mapping[str, str],
        now_us: int,
    ) -> None:
        self.around = around
        self.address = address
        self.number = number
        self.ids = ids
        self.settings = settings
        self.tags = dict(tags)
        self.created_us = self.modified_us = now_us
        self.purged_us: int | None = None
        self.visible = self.in_flight = self.delayed = 0
        self.waiters: OrderedDict[int, Waiter] = OrderedDict()
        self.messages: dict[int, Message] = {}
        self.last_ordinal = 0
        self.saved_ordinal = self.noted_ordinal = 0
        self.counters: dict[str, int] = {}
        self.pending: LaterChange | None = None
        self.shown = (now_us, (0, 0, 0))
        self._sender_only: SenderOnly | None = None
        self.groups = FifoOrder(self.messages, around.limits.fifo_search_max) if settings.fifo else None
        self.order: StandardOrder | FairOrder | FifoOrder = self.groups or StandardOrder()
        self.deduplication = DeduplicationWindow(around.limits.deduplication_us) if settings.fifo else None
        self.attempts = Attempts(self, around.limits.attempts_us) if settings.fifo else None
        self.ageing = Ageing(self)

    # --- messages come ----------------------------------------------------------------------------------------------

    def add(self, enqueued_us: int, body: str, attributes: Mapping[str, MessageAttribute] | None) -> Message:
        """Make a message that is in no state yet: `enter` or `show` has to follow."""
        self.last_ordinal = ordinal = self.last_ordinal + 1
        message = self.messages[ordinal] = Message(self, ordinal, body, attributes, enqueued_us)
        due_us = enqueued_us + self.settings.retention_us
        ageing = self.ageing
        if not ageing.timer or due_us < ageing.due_us:
            ageing.expect(due_us)
        return message

    def enter(self, message: Message, now_us: int, delay_us: int) -> None:
        """Let a message that was just sent be delayed or visible."""
        around = self.around
        if around.ask is not None:
            delay_us += self.lag_us(message)
        if around.sink is not None:
            about = content_of(message)
            around.sink(Event("sent", now_us, self.address, message.ordinal, 0, now_us + delay_us, 0, about))
        if delay_us:
            self.show_after(message, now_us, delay_us)
        else:
            self.show(message, now_us)

    def show_after(self, message: Message, now_us: int, delay_us: int) -> None:
        """Let a message that is new here be visible, now or after a delay."""
        if delay_us:
            message.state = DELAYED
            self.delayed += 1
            self.around.timers.arm(now_us + delay_us, message)
            if self.around.changes is not None:
                self.around.changes.note(message, now_us + delay_us)
        else:
            self.show(message, now_us)

    def lag_us(self, message: Message) -> int:
        """How long it takes until a message that came can be received, beyond its delay."""
        return self.around.lag_us("send.lag", (self.address.name, message.ordinal), LAG_US_MAX)

    def sent_by(self, sender: str) -> SenderOnly:
        """What a message has of which no more is known than who sent it."""
        rare = self._sender_only
        if rare is None or rare.sender != sender:
            rare = self._sender_only = SenderOnly()
            rare.sender = sender
        return rare

    def serve_fairly(self, group: str, now_us: int) -> None:
        """A message with a group comes to a standard queue: look after its tenants from now on."""
        order = self.look_after_tenants()
        if order is not None:
            until_us = order.note_sent(group, now_us)
            if self.around.changes is not None:
                self.around.changes.note_tenant(self, group, until_us)

    def look_after_tenants(self) -> FairOrder | None:
        """Let a standard queue be a fair one from now on; None if it is a FIFO queue."""
        order = self.order
        if isinstance(order, StandardOrder):
            self.order = order = FairOrder(self, order)
        return order if isinstance(order, FairOrder) else None

    def put_back_tenant(self, name: str, until_us: int) -> None:
        """Remember until then that a tenant sent a message."""
        order = self.look_after_tenants()
        if order is not None:
            order.put_back(name, until_us)

    # --- moves between states ---------------------------------------------------------------------------------------

    def show(self, message: Message, at_us: int) -> None:
        """Make it visible. It has been counted out of the state it was in."""
        message.state = VISIBLE
        if message.rare is not None and message.rare.copies:
            self._drop_copy(message, message.rare)
        self.visible += 1
        self.order.became_visible(message, at_us)
        if self.around.changes is not None:
            self.around.changes.note(message)
        if self.waiters:
            self.around.touched.append(self)

    def release(self, message: Message, now_us: int) -> None:
        """End its invisibility before its time."""
        self.around.timers.disarm(message)
        self.in_flight -= 1
        self.show(message, now_us)

    def hide(self, message: Message, until_us: int) -> None:
        """Hide it until then, whether or not it was hidden."""
        if message.state != IN_FLIGHT:
            self._count_out(message)
            self.order.withdraw(message)
            message.state = IN_FLIGHT
            self.in_flight += 1
            self.order.hidden(message)
        self.around.timers.arm(until_us, message)
        if self.around.changes is not None:
            self.around.changes.note(message, until_us)

    def bury(self, message: Message, now_us: int, burial_us: int) -> None:
        """Delete it, as far as the caller can see, until it comes back."""
        if self.around.sink is not None:
            delivery, until_us = message.receive_count, now_us + burial_us
            self.around.sink(Event("deleted", now_us, self.address, message.ordinal, delivery, until_us))
        self._count_out(message)
        message.state = BURIED
        self._drop_copy(message, message.rare)
        self.order.removed(message)
        self.around.timers.arm(now_us + burial_us, message)
        if self.around.changes is not None:
            self.around.changes.note(message, now_us + burial_us)
        # There is room in flight for one more: a message, or a copy of one.
        self.wake()

    def remove(self, message: Message) -> None:
        """Take it out of the queue for good."""
        if message.state == IN_FLIGHT:
            self.in_flight -= 1
        else:
            self._count_out(message)
        message.state = GONE
        if message.timer:
            self.around.timers.disarm(message)
        if message.rare is not None and message.rare.copies:
            self._drop_copy(message, message.rare)
        del self.messages[message.ordinal]
        self.order.removed(message)
        if self.around.changes is not None:
            self.around.changes.note(message)
        if self.waiters and (self.visible or self.around.ask is not None):
            # The head of a FIFO group left: those behind it may be what a waiting receive waits for.
            self.around.touched.append(self)

    def message_due(self, message: Message, at_us: int) -> None:
        """A delay, an invisibility or a burial is over."""
        self._count_out(message)
        self.show(message, at_us)
        self.tell("visible", at_us, message)

    def _drop_copy(self, message: Message, rare: Rare | None) -> None:
        """Let neither it nor a copy of it be in line any more."""
        if rare is not None:
            rare.copies = 0
        self.order.withdraw(message)

    def _count_out(self, message: Message) -> None:
        state = message.state
        if state == IN_FLIGHT:
            self.in_flight -= 1
        elif state == VISIBLE:
            self.visible -= 1
        elif state == DELAYED:
            self.delayed -= 1

    # --- who waits, who listens -------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something may be there for those who wait."""
        if self.waiters:
            self.around.touched.append(self)

    def end_wait(self, waiter: Waiter, at_us: int) -> None:
        """Answer a waiting receive with nothing."""
        del self.waiters[waiter.number]
        self.around.timers.disarm(waiter)
        if self.around.sink is not None:
            self.around.sink(Event("wait_ended", at_us, self.address, 0, waiter.number))
        self.around.answers.append((waiter.number, Deliveries(deliveries=())))

    def tell(self, kind: Kind, at_us: int, message: Message | None = None, delivery: int = 0) -> None:
        """Tell of an event of this queue, if anybody listens."""
        if self.around.sink is not None:
            self.around.sink(Event(kind, at_us, self.address, message.ordinal if message else 0, delivery))

    # --- looking at it ----------------------------------------------------------------------------------------------

    def messages_after(self, ordinal: int) -> Iterator[Message]:
        """The messages with a greater ordinal, in the order they came, hidden and delayed ones included."""
        return (message for message in self.messages.values() if message.ordinal > ordinal and message.state != BURIED)

    def first_send(self, ordinal: int) -> FirstSend:
        """What a FIFO queue answered when this message was sent."""
        return FirstSend(self.ids.message_id(ordinal), sequence_number(ordinal))

    def message_id(self, message: Message) -> str:
        """What clients know a message of this queue by."""
        return (message.rare or NOTHING_RARE).message_id or self.ids.message_id(message.ordinal)

    @property
    def accepted(self) -> QueueSettings:
        """The settings that were accepted last, be they in effect or not."""
        return self.settings if self.pending is None else self.pending.settings

    def view(self) -> QueueView:
        """The queue as it is, with the settings that were accepted last."""
        return QueueView(
            address=self.address,
            settings=self.accepted,
            tags=self.tags,
            created_us=self.created_us,
            modified_us=self.modified_us,
            visible=self.visible,
            in_flight=self.in_flight,
            delayed=self.delayed,
            oldest_sent_us=self.ageing.oldest_sent_us(),
            arrived=self.last_ordinal,
        )

    def count(self, occasion: str) -> int:
        """Number the occasions of a kind, from 1: for the key of a question."""
        number = self.counters.get(occasion, 0) + 1
        self.counters[occasion] = number
        return number

    # --- the whole queue --------------------------------------------------------------------------------------------

    def purge(self, now_us: int) -> None:
        """Remove all messages and forget all deduplication and attempt ids."""
        for message in self.messages.values():
            message.state = GONE
            self.around.timers.disarm(message)
        self.messages.clear()
        self.order.clear()
        self.forget_ids()
        self.ageing.clear()
        self.visible = self.in_flight = self.delayed = 0
        self.purged_us = now_us
        if self.around.changes is not None:
            self.around.changes.note_purge(self)
        self.tell("purged", now_us)

    def purge_up_to(self, at_us: int, last: int) -> None:
        """Remove the messages up to this ordinal."""
        for message in [message for message in self.messages.values() if message.ordinal <= last]:
            self.tell("purged", at_us, message)
            self.remove(message)

    def forget_ids(self) -> None:
        """Forget all deduplication and attempt ids."""
        if self.deduplication is not None:
            self.deduplication.clear()
        if self.attempts is not None:
            self.attempts.clear()

    def close(self, now_us: int) -> None:
        """The queue is being deleted: let go of everything that holds it."""
        if self.pending is not None:
            self.around.timers.disarm(self.pending)
        self.purge(now_us)
        for waiter in list(self.waiters.values()):
            self.end_wait(waiter, now_us)
