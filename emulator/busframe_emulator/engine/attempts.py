"""ReceiveRequestAttemptId: a receive on a FIFO queue whose answer was lost can be asked for again.

For five minutes the same id brings the same messages with the same receipts, and hides them anew, as long as all of
them are hidden by that very receive: none was deleted, none had its visibility changed, none became visible again.
After that the id is as good as a new one.

Source: Amazon SQS API, ReceiveMessage.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from busframe_emulator.engine.timers import SWEEP_MIN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.queue import Queue


class Attempt(NamedTuple):
    """What one receive handed out.

    Attributes:
        until_us: when it is forgotten.
        hidden: ordinal and timer of each message. Whatever happens to a message ends its timer or gives it another.
    """

    until_us: int
    hidden: tuple[tuple[int, int], ...]


class Attempts:
    """The receives of the last `window_us` microseconds that had an id.

    Memory is bounded by the window and by what is in flight: no two attempts that can be repeated share a message.
    """

    __slots__ = ("_attempts", "_queue", "_window_us")

    def __init__(self, queue: Queue, window_us: int) -> None:
        self._queue = queue
        self._window_us = window_us
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()

    def find(self, now_us: int, attempt_id: str) -> list[Message] | None:
        """The messages to hand out again; None if this is to be a receive like any other."""
        self.forget(now_us)
        attempt = self._attempts.get(attempt_id)
        if attempt is None:
            return None
        if not self._can_be_repeated(attempt):
            del self._attempts[attempt_id]
            return None
        return [self._queue.messages[ordinal] for ordinal, _ in attempt.hidden]

    def remember(self, now_us: int, attempt_id: str, messages: Iterable[Message]) -> None:
        """Note what was handed out. Handed out again, it is remembered no longer than at first."""
        before = self._attempts.get(attempt_id)
        until_us = now_us + self._window_us if before is None else before.until_us
        self.put_back(until_us, attempt_id, messages)
        if self._queue.around.changes is not None:
            self._queue.around.changes.note_attempt(self._queue, attempt_id)
        self._queue.ageing.expect(until_us)
        if len(self._attempts) > 2 * self._queue.in_flight + SWEEP_MIN:
            good = ((name, attempt) for name, attempt in self._attempts.items() if self._can_be_repeated(attempt))
            self._attempts = OrderedDict(good)

    def put_back(self, until_us: int, attempt_id: str, messages: Iterable[Message]) -> None:
        """Remember an attempt until then: as long as before, or no less than those before it."""
        self._attempts[attempt_id] = Attempt(until_us, tuple((message.ordinal, message.timer) for message in messages))

    def peek(self, attempt_id: str) -> Attempt | None:
        """What would be handed out again, were it asked for now; None if nothing would."""
        attempt = self._attempts.get(attempt_id)
        return attempt if attempt is not None and self._can_be_repeated(attempt) else None

    def forget(self, now_us: int) -> None:
        """Drop what is older than the window."""
        attempts = self._attempts
        while attempts and next(iter(attempts.values())).until_us <= now_us:
            attempts.popitem(last=False)

    def next_due(self) -> int | None:
        """When the oldest attempt will be forgotten; None if there is none."""
        return next(iter(self._attempts.values())).until_us if self._attempts else None

    def clear(self) -> None:
        """Forget everything."""
        self._attempts.clear()

    def _can_be_repeated(self, attempt: Attempt) -> bool:
        messages = self._queue.messages
        return all(
            timer and (message := messages.get(ordinal)) is not None and message.timer == timer
            for ordinal, timer in attempt.hidden
        )
