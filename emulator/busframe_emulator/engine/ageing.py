"""What grows too old in a queue: messages, and the ids a FIFO queue remembers."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from busframe_emulator.engine.timers import SWEEP_MIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busframe_emulator.engine.attempts import Attempts
    from busframe_emulator.engine.deduplication import DeduplicationWindow
    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.queue import Queue


class Ageing:
    """A queue's own timer, for whatever is to be forgotten first.

    Messages come in the order of their age, so that only the first has to be looked at. Dead letters on a standard
    queue are older than their place says; those are in a heap besides.

    Attributes:
        due_us: when it fires, while it has a timer. That may be for something that is gone by then.
    """

    __slots__ = ("_aged", "_first", "_queue", "due_us", "timer")

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._aged: list[tuple[int, int]] = []
        # No message that is still there has a smaller ordinal. Asking the dict for its first would be asking it to
        # pass all those deleted before it, each time.
        self._first = 1
        self.due_us = 0
        self.timer = 0

    def expect(self, due_us: int) -> None:
        """Fire at `due_us` if that is before whatever is next."""
        if not self.timer or due_us < self.due_us:
            self.due_us = due_us
            self._queue.around.timers.arm(due_us, self)

    def note_age(self, message: Message) -> None:
        """Note that a message is older than its place says."""
        aged, messages = self._aged, self._queue.messages
        heappush(aged, (message.enqueued_us, message.ordinal))
        if len(aged) > 2 * len(messages) + SWEEP_MIN:
            aged[:] = [entry for entry in aged if entry[1] in messages]
            heapify(aged)

    def fire(self, at_us: int) -> None:
        """Drop messages older than the retention period, and ids older than their window."""
        queue = self._queue
        for message in self._take_expired(at_us - queue.settings.retention_us):
            queue.tell("expired", at_us, message)
            queue.remove(message)
        for window in self._windows():
            window.forget(at_us)
        queue.order.sweep(queue.visible)
        self._plan()

    def first_ordinal(self) -> int:
        """The least ordinal of a message that is still here; that of the next to come if there is none.

        Over time this steps over each ordinal once.
        """
        messages, last = self._queue.messages, self._queue.last_ordinal
        ordinal = self._first if messages else last + 1
        while ordinal <= last and ordinal not in messages:
            ordinal += 1
        self._first = ordinal
        return ordinal

    def oldest_sent_us(self) -> int | None:
        """When the retention of the oldest message still here began; None if there is none."""
        first, aged = self._queue.messages.get(self.first_ordinal()), self._aged
        while aged and aged[0][1] not in self._queue.messages:
            heappop(aged)
        oldest = [first.enqueued_us] if first is not None else []
        if aged:
            oldest.append(aged[0][0])
        return min(oldest, default=None)

    def put_back(self) -> None:
        """Begin with the messages and ids that were put back into the queue."""
        self._first = next(iter(self._queue.messages), self._queue.last_ordinal + 1)
        self._plan()

    def clear(self) -> None:
        """Nothing is left that could grow old."""
        self._aged.clear()
        self._queue.around.timers.disarm(self)

    def _take_expired(self, oldest_us: int) -> Iterable[Message]:
        """The messages that are too old, and off the heap those that are on it."""
        messages, aged = self._queue.messages, self._aged
        expired: dict[int, Message] = {}
        for ordinal in range(self.first_ordinal(), self._queue.last_ordinal + 1):
            message = messages.get(ordinal)
            if message is None:
                continue
            if message.enqueued_us > oldest_us:
                break
            expired[ordinal] = message
        while aged and aged[0][0] <= oldest_us:
            ordinal = heappop(aged)[1]
            if ordinal in messages:
                expired[ordinal] = messages[ordinal]
        return expired.values()

    def _plan(self) -> None:
        """Set the timer to when something will be too old."""
        queue = self._queue
        retention_us = queue.settings.retention_us
        due: list[int] = []
        first = queue.messages.get(self.first_ordinal())
        if first is not None:
            due.append(first.enqueued_us + retention_us)
        if self._aged:
            due.append(self._aged[0][0] + retention_us)
        due += [due_us for window in self._windows() if (due_us := window.next_due()) is not None]
        queue.around.timers.disarm(self)
        if due:
            self.expect(min(due))

    def _windows(self) -> list[DeduplicationWindow | Attempts]:
        queue = self._queue
        return [window for window in (queue.deduplication, queue.attempts) if window is not None]
