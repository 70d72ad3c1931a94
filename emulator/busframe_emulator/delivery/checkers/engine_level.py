"""Checks of what an engine did, from its events: one pass, one step for each event.

The checks together are one fold rather than one each, since they look at the same state: told apart they would cost
several times as much. That is also why this file is long. What each of them asks stands where its name is.

The events say when each effect took place and what the engine meant (until when a message is to be hidden), so that
nothing here is a matter of opinion: with an engine that is right no check is ever violated, whatever chance answered.
Chance says so in the events: `copied` is the right to one delivery too many, `deleted` with a time to one return.
"""

from __future__ import annotations

from heapq import heappop
from typing import TYPE_CHECKING, Any, Final

from busframe_emulator.delivery.checkers.state import (
    DELETED,
    EXPIRED,
    MOVED,
    PURGED,
    UNKNOWN,
    MessageState,
    QueueState,
)
from busframe_emulator.delivery.checkers.verdicts import CHECKS, Finding, Findings, Report
from busframe_emulator.engine.settings import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from busframe_emulator.delivery.checkers.state import DeduplicationKey
    from busframe_emulator.engine.events import Content, Counts, Event
    from busframe_emulator.engine.requests import Delivery
    from busframe_emulator.engine.settings import QueueAddress, QueueSettings, Redrive

COUNTS_SETTLE_US: Final = 60_000_000
"""Amazon SQS API, GetQueueAttributes: counts are consistent a minute after producers stop."""

ENGINE_CHECKS: Final = tuple(name for name in CHECKS if name != "batch")
"""An engine's events know of no batches."""

_ENDS: Final = {DELETED: "after_delete", EXPIRED: "after_retention", MOVED: "dlq", PURGED: "after_delete"}
_ENDED: Final = {DELETED: "deleted", EXPIRED: "dropped for its age", MOVED: "moved away", PURGED: "purged"}


class EngineChecks:
    """Is handed the events of one engine, from its beginning and in order: `Engine(sink=checks.event)`.

    Queues that were there before are passed over.

    Args:
        limits: of the engine.
        allow: checks whose findings count as fine.
    """

    def __init__(self, *, limits: Limits | None = None, allow: Collection[str] = ()) -> None:
        limits = limits or Limits()
        self.found = Findings(ENGINE_CHECKS, allow)
        self._in_flight_max = limits.in_flight_max
        self._search_max = limits.fifo_search_max
        self._deduplication_us = limits.deduplication_us
        self._queues: dict[QueueAddress, QueueState] = {}
        self._events = 0
        self._receives = 0
        # Events come in runs of one queue each.
        self._address: QueueAddress | None = None
        self._queue: QueueState | None = None
        # What has left one queue, and is still to come into another.
        self._moving: tuple[Event, MessageState] | None = None
        self._handlers: Mapping[str, Callable[[Any, QueueState], None]] = {
            "queue_changed": self._changed,
            "purging": self._purging,
            "purged": self._purged,
            "looked": self._looked,
            "sent": self._sent,
            "arrived": self._arrived,
            "deduplicated": self._deduplicated,
            "visible": self._visible,
            "delivered": self._delivered,
            "delivered_again": self._delivered_again,
            "copied": self._copied,
            "visibility_changed": self._visibility_changed,
            "deleted": self._deleted,
            "delete_ignored": self._delete_ignored,
            "expired": self._expired,
            "moved": self._moved,
            "waiting": self._waiting,
            "wait_ended": self._wait_ended,
        }

    def event(self, event: Event) -> None:
        """Look at the next event."""
        self._events += 1
        address = event[2]
        if address is not self._address:
            self._address = address
            self._queue = self._queues.get(address)
        queue = self._queue
        if queue is not None:
            if queue.waiting and queue.due and queue.due[0][0] < event[1]:
                self._look_overdue(queue, event[1])
            handler = self._handlers.get(event[0])
            if handler is not None:
                handler(event, queue)
            else:
                self._address = None
                self._queues.pop(address, None)  # queue_deleted
        elif event[0] == "queue_created":
            self._queue = self._queues[address] = QueueState(address.name, event[7], event[1])  # type: ignore[arg-type]  # by kind
        else:
            self.found.notes["events of queues that were there before, which are not judged"] += 1

    def finish(self, end_us: int) -> Report:
        """Say what was found until then."""
        for queue in self._queues.values():
            self._look_overdue(queue, end_us)
            for message in queue.live.values():
                if message.until_us < queue.searched_us and self._can_be_served(queue, message):
                    check = "stuck" if message.delivery > message.content.received else "lost"
                    when = f"it was due at t={_s(message.until_us)}, and a receive that ended at "
                    text = f"{when}t={_s(queue.searched_us)} waited for it in vain"
                    self._find_at(end_us, check, queue, message, text)
        self._require_arrival()
        notes = dict(sorted(self.found.notes.items()))
        return Report(level="engine", events=self._events, verdicts=self.found.verdicts, notes=notes)

    def allow(self, names: Collection[str]) -> None:
        """Let what these checks find count as fine, and nothing else.

        Raises:
            ValueError: there is no such check.
        """
        self.found.allow(names)

    @property
    def clean(self) -> bool:
        """Whether nothing was found so far."""
        return all(verdict.state == "ok" for verdict in self.found.verdicts.values())

    # --- messages come ----------------------------------------------------------------------------------------------

    def _sent(self, event: Event, queue: QueueState) -> None:
        _, at_us, _, ordinal, _, until_us, _, about = event
        content: Content = about  # type: ignore[assignment]  # by kind
        message = MessageState(ordinal, content, at_us, until_us)
        if self._moving is not None:
            # Moved back by a task: never taken for a duplicate.
            self._arrive(event, content)
        elif queue.groups is not None:
            self._note_deduplication(event, at_us, queue, content)
        self._add(queue, message, at_us)

    def _arrived(self, event: Event, queue: QueueState) -> None:
        content: Content = event.about  # type: ignore[assignment]  # by kind
        self._arrive(event, content)
        # Amazon SQS, "dead-letter queues": on a standard queue the retention goes on, on a FIFO queue it begins anew.
        enqueued_us = content.sent_us if queue.groups is None else event.at_us
        message = MessageState(event.message, content, enqueued_us, event.until_us)
        message.first_us = -1  # known to the queue that it came from
        self._add(queue, message, event.at_us)

    def _add(self, queue: QueueState, message: MessageState, at_us: int) -> None:
        queue.add(message)
        queue.changed_us = at_us
        if message.until_us > at_us:
            message.delayed = True
            queue.delayed += 1
        if queue.due is not None:
            queue.expect(message, message.until_us)

    def _note_deduplication(self, event: Event, at_us: int, queue: QueueState, content: Content) -> None:
        window_us = self._deduplication_us
        if at_us >= queue.seen_since_us + window_us:
            queue.turn_ids(at_us)
        seen, key = queue.seen, _deduplication_key(queue, content)
        first_us = seen.get(key)
        if first_us is None and queue.seen_before:
            first_us = queue.seen_before.get(key)
        if first_us is not None and at_us < first_us + window_us:
            text = f"{content.deduplication_id!r} was sent at t={_s(first_us)} already, and is no duplicate"
            self._find("dedup", event, text)
        seen[key] = at_us

    def _deduplicated(self, event: Event, queue: QueueState) -> None:
        content: Content = event.about  # type: ignore[assignment]  # by kind
        key = _deduplication_key(queue, content)
        first_us = queue.seen.get(key, queue.seen_before.get(key))
        if first_us is None or event.at_us >= first_us + self._deduplication_us:
            window = f"the last {self._deduplication_us // 1_000_000} s"
            text = f"{content.deduplication_id!r} counts as a duplicate, and was not sent within {window}"
            self._find("dedup", event, text)

    def _arrive(self, event: Event, content: Content) -> None:
        """What has left a queue comes into another."""
        moving, self._moving = self._moving, None
        if moving is None:
            self.found.notes["dead letters from queues that were there before"] += 1
        elif moving[1].content.body != content.body or moving[1].content.attributes != content.attributes:
            text = "it is not what left the other queue"
            self._find("corrupted", event, text)

    def _require_arrival(self) -> None:
        """Nothing is on its way."""
        if self._moving is not None:
            (event, _), self._moving = self._moving, None
            text = f"it left {event.queue.name} at t={_s(event.at_us)} and came nowhere"
            self._find("lost", event, text)

    # --- messages are handed out ------------------------------------------------------------------------------------

    def _delivered(self, event: Event, queue: QueueState) -> None:  # noqa: C901 - a call for each question costs more
        _, at_us, _, ordinal, delivery, until_us, slot, about = event
        if not slot:
            self._receives += 1
        message = queue.live.get(ordinal)
        if message is None:
            self._unexpected(event, queue)
            return
        handed: Delivery = about  # type: ignore[assignment]  # by kind
        content = message.content
        if at_us < message.until_us:
            self._too_soon(event, queue, message)
        elif message.delivery > content.received:
            why = "released" if message.released else "came back" if message.risen else "timed out"
            self.found.notes[f"delivered again: {why}"] += 1
        if at_us >= message.enqueued_us + queue.retention_us:
            text = f"its retention ended at t={_s(message.enqueued_us + queue.retention_us)}"
            self._find("after_retention", event, text)
        if queue.in_flight >= self._in_flight_max and not message.hidden:
            self._find("cap", event, f"{queue.in_flight} were in flight already")
        if queue.settings.redrive is not None:
            self._check_receives(event, queue, message)
        if (handed.body is not content.body and handed.body != content.body) or (
            handed.attributes is not content.attributes and handed.attributes != content.attributes
        ):
            self._find("corrupted", event, "its body or attributes are not what was sent")
        if message.first_us <= 0:
            message.first_us = at_us if not message.first_us else handed.first_received_us
        if (
            delivery != message.delivery + 1
            or handed.receive_count != delivery
            or handed.sent_us != content.sent_us
            or handed.first_received_us != message.first_us
        ):
            self._wrong_count(event, message, handed)
        if message.earlier is not None:
            self._check_order(event, queue, message)
        message.delivery = delivery
        message.receive = self._receives
        self._hide(queue, message, at_us, until_us)

    def _delivered_again(self, event: Event, queue: QueueState) -> None:
        at_us, ordinal, delivery = event.at_us, event.message, event.delivery
        message = queue.live.get(ordinal)
        if not event.slot:
            self._receives += 1
        if message is None:
            self._unexpected(event, queue)
            return
        if delivery != message.delivery or not message.hidden or queue.groups is None:
            text = "it was handed out again for a receive that can no longer be repeated"
            self._find("handle", event, text)
        self.found.notes["delivered again: the same receive was repeated"] += 1
        message.receive = self._receives
        self._hide(queue, message, at_us, event.until_us)

    def _too_soon(self, event: Event, queue: QueueState, message: MessageState) -> None:
        hidden = f"it was hidden until t={_s(message.until_us)}"
        if message.buried:
            check, text = "after_delete", f"it was deleted, and was to come back at t={_s(message.until_us)}"
        elif message.copies and queue.groups is None:
            message.copies -= 1
            self.found.notes["delivered again: a copy"] += 1
            return
        elif message.delivery == message.content.received:
            check, text = "early", hidden
        else:
            check, text = "while_invisible", hidden
        self._find(check, event, text)

    def _unexpected(self, event: Event, queue: QueueState) -> None:
        """A message was handed out that is not there."""
        fate = queue.fate(event.message)
        check = _ENDS.get(fate, "invented")
        text = "it never came into this queue" if fate == UNKNOWN else f"it was {_ENDED.get(fate, 'lost')} before"
        self._find(check, event, text)

    def _check_receives(self, event: Event, queue: QueueState, message: MessageState) -> None:
        redrive: Redrive | None = queue.settings.redrive
        received = message.delivery - message.content.received
        if redrive is not None and received >= redrive.max_receive_count and redrive.target in self._queues:
            text = f"it was received {received} times, and {redrive.max_receive_count} is the most"
            self._find("dlq", event, text)

    def _wrong_count(self, event: Event, message: MessageState, handed: Delivery) -> None:
        text = (
            f"delivery {event.delivery} came after delivery {message.delivery}; the receiver was told count "
            f"{handed.receive_count}, sent t={_s(handed.sent_us)}, first received t={_s(handed.first_received_us)}; "
            f"it was sent t={_s(message.content.sent_us)} and first received t={_s(message.first_us)}"
        )
        self._find("receive_count", event, text)

    def _check_order(self, event: Event, queue: QueueState, message: MessageState) -> None:
        """Everything before it in its group is of this very receive. Asked where it is not the first."""
        for earlier in queue.before(message):
            if earlier.receive != self._receives:
                check = "fifo_exclusion" if earlier.hidden else "fifo_order"
                where = "in flight" if earlier.hidden else "still to be delivered"
                text = f"message {earlier.ordinal}, which came before it in group {message.content.group!r}, is {where}"
                self._find(check, event, text)
                break

    # --- what becomes of them ---------------------------------------------------------------------------------------

    def _hide(self, queue: QueueState, message: MessageState, at_us: int, until_us: int) -> None:
        message.until_us = until_us
        message.released = message.risen = False
        queue.changed_us = at_us
        if until_us <= at_us:
            queue.unhide(message, at_us, self._in_flight_max)
        elif not message.hidden:
            queue.unhide(message, at_us, self._in_flight_max)
            message.hidden = True
            queue.in_flight += 1
        if queue.due is not None:
            queue.expect(message, until_us)

    def _visible(self, event: Event, queue: QueueState) -> None:
        message = queue.live.get(event.message)
        if message is not None:
            queue.unhide(message, event.at_us, self._in_flight_max)
            queue.changed_us = event.at_us

    def _copied(self, event: Event, queue: QueueState) -> None:
        message = queue.live.get(event.message)
        if message is not None:
            message.copies += 1

    def _visibility_changed(self, event: Event, queue: QueueState) -> None:
        message = queue.live.get(event.message)
        if message is None or message.buried:
            text = "the visibility of a message was changed that is not there"
            self._find("handle", event, text)
            return
        if event.delivery:
            self._check_receipt(event, queue, message)
            self._hide(queue, message, event.at_us, event.until_us)
            message.released = True
        else:
            # The delay of a FIFO queue was changed.
            message.until_us = event.until_us
            if queue.due is not None:
                queue.expect(message, event.until_us)

    def _deleted(self, event: Event, queue: QueueState) -> None:
        _, at_us, _, ordinal, delivery, until_us, _, _ = event
        message = queue.live.get(ordinal)
        if message is None or message.buried:
            text = "a message was deleted that is not there"
            self._find("handle", event, text)
            return
        if delivery != message.delivery or not message.hidden:
            self._check_receipt(event, queue, message)
        if until_us:
            if queue.groups is not None:
                text = "a message of a FIFO queue was deleted, and is to come back"
                self._find("after_delete", event, text)
            queue.unhide(message, at_us, self._in_flight_max)
            message.buried = message.risen = True
            message.copies = 0
            message.until_us = until_us
            queue.buried += 1
            queue.changed_us = at_us
            if queue.due is not None:
                queue.expect(message, until_us)
        else:
            self._drop(queue, message, at_us, DELETED)

    def _delete_ignored(self, event: Event, queue: QueueState) -> None:
        message = queue.live.get(event.message)
        if message is not None and event.delivery == message.delivery and not message.buried:
            text = "the newest receipt did not delete it"
            self._find("handle", event, text)

    def _check_receipt(self, event: Event, queue: QueueState, message: MessageState) -> None:
        """A receipt had an effect: it may. Asked where it is not that of a delivery which lasts."""
        if event.delivery > message.delivery or (
            queue.groups is not None and (event.delivery != message.delivery or not message.hidden)
        ):
            state = f"its newest delivery is {message.delivery}" + ("" if message.hidden else ", which is over")
            text = f"{event.kind} by the receipt of delivery {event.delivery}: {state}"
            self._find("handle", event, text)

    def _expired(self, event: Event, queue: QueueState) -> None:
        message = queue.live.get(event.message)
        if message is None:
            return
        due_us = message.enqueued_us + queue.retention_us
        if event.at_us < due_us:
            text = f"it was to be kept until t={_s(due_us)}"
            self._find("expired_early", event, text)
        self._drop(queue, message, event.at_us, EXPIRED)

    def _moved(self, event: Event, queue: QueueState) -> None:
        self._require_arrival()
        message = queue.live.get(event.message)
        if message is None:
            self._unexpected(event, queue)
            return
        self._moving = (event, message)
        if event.about is not None:
            redrive = queue.settings.redrive
            received = message.delivery - message.content.received
            if redrive is None or redrive != event.about or received < redrive.max_receive_count:
                rule = "there is no such queue" if redrive is None else f"{redrive.max_receive_count} is the most"
                text = f"it became a dead letter after {received} receives; {rule}"
                self._find("dlq", event, text)
            elif event.at_us < message.until_us and not message.copies:
                self._too_soon(event, queue, message)
        self._drop(queue, message, event.at_us, MOVED)

    def _drop(self, queue: QueueState, message: MessageState, at_us: int, fate: int) -> None:
        live, ordinal = queue.live, message.ordinal
        if len(live) == self._search_max + 1:
            queue.open_us = at_us
        queue.unhide(message, at_us, self._in_flight_max)
        del live[ordinal]
        queue.fates[ordinal] = fate
        queue.changed_us = at_us
        if queue.groups is not None:
            head = queue.leave_group(message)
            if head is not None and queue.due is not None:
                queue.expect(head, max(head.until_us, at_us))

    # --- queues -----------------------------------------------------------------------------------------------------

    def _changed(self, event: Event, queue: QueueState) -> None:
        settings: QueueSettings = event.about  # type: ignore[assignment]  # by kind
        queue.settings = settings
        queue.retention_us = settings.retention_us

    def _purging(self, event: Event, queue: QueueState) -> None:  # noqa: ARG002 - all are called alike
        queue.forget_ids()

    def _purged(self, event: Event, queue: QueueState) -> None:
        if not event.message:
            queue.clear(PURGED)
            queue.changed_us = event.at_us
        else:
            message = queue.live.get(event.message)
            if message is not None:
                self._drop(queue, message, event.at_us, PURGED)

    def _looked(self, event: Event, queue: QueueState) -> None:
        shown: Counts = event.about  # type: ignore[assignment]  # by kind
        visible = len(queue.live) - queue.in_flight - queue.delayed - queue.buried
        truth = (visible, queue.in_flight, queue.delayed)
        if tuple(shown) != truth and event.at_us - queue.changed_us >= COUNTS_SETTLE_US:
            text = f"visible, in flight and delayed are {truth} and were shown as {tuple(shown)}"
            self._find("counts", event, text)

    # --- who waits --------------------------------------------------------------------------------------------------

    def _waiting(self, event: Event, queue: QueueState) -> None:
        if queue.due is None:
            queue.expect_all()
        queue.waiting[event.delivery] = (event.at_us, event.until_us)

    def _wait_ended(self, event: Event, queue: QueueState) -> None:
        began_us, until_us = queue.waiting.pop(event.delivery, (0, 0))
        # A wait during which a limit held everything back has seen nothing.
        if began_us and event.at_us >= until_us and queue.open_us < began_us and not self._is_shut(queue):
            queue.searched_us = event.at_us

    def _look_overdue(self, queue: QueueState, at_us: int) -> None:
        """Nobody waits for what can be received. What becomes visible at one instant is handed out at that instant."""
        due = queue.due
        if not queue.waiting or due is None or queue.open_us >= at_us:
            return
        while due and due[0][0] < at_us:
            since_us, ordinal, until_us = due[0]
            message = queue.live.get(ordinal)
            if message is not None and message.until_us == until_us and message.earlier is None:
                if self._is_shut(queue):
                    return
                text = f"it could be received since t={_s(since_us)}, and a receive was waiting"
                self._find_at(at_us, "prompt", queue, message, text)
            heappop(due)

    def _is_shut(self, queue: QueueState) -> bool:
        """A limit holds back messages that could be received."""
        return queue.in_flight >= self._in_flight_max or (
            queue.groups is not None and len(queue.live) > self._search_max
        )

    def _can_be_served(self, queue: QueueState, message: MessageState) -> bool:
        return not self._is_shut(queue) and message.earlier is None

    # --- saying so --------------------------------------------------------------------------------------------------

    def _find(self, check: str, event: Event, text: str) -> None:
        self.found.add(
            Finding(
                check=check,
                at_us=event.at_us,
                queue=event.queue.name,
                message=event.message,
                delivery=event.delivery if event.message else 0,
                text=text,
            )
        )

    def _find_at(self, at_us: int, check: str, queue: QueueState, message: MessageState, text: str) -> None:
        found = Finding(
            check=check,
            at_us=at_us,
            queue=queue.name,
            message=message.ordinal,
            delivery=message.delivery,
            text=text,
        )
        self.found.add(found)


def _deduplication_key(queue: QueueState, content: Content) -> DeduplicationKey:
    known_by = content.deduplication_id
    return (content.group, known_by) if queue.settings.deduplicates_by_group else known_by


def _s(at_us: int) -> str:
    return f"{at_us / 1e6:.6f}".rstrip("0").rstrip(".")
