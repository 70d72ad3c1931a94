"""A receive that waits for its first message: a long poll."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from busframe_emulator.engine.queue import Queue


class Waiter:
    """One waiting receive. Its timer ends the wait.

    Attributes:
        number: by which the caller knows it.
        visibility_us: for what it will take.
        nth: receive of its queue it is, where a chooser is asked.
        attempt_id: of the receive, if it has one that matters.
    """

    __slots__ = ("attempt_id", "limit", "nth", "number", "queue", "timer", "visibility_us")

    def __init__(
        self, number: int, queue: Queue, limit: int, visibility_us: int, *, nth: int, attempt_id: str | None
    ) -> None:
        self.number = number
        self.queue = queue
        self.limit = limit
        self.visibility_us = visibility_us
        self.nth = nth
        self.attempt_id = attempt_id
        self.timer = 0

    def fire(self, at_us: int) -> None:
        """Nothing came."""
        self.queue.end_wait(self, at_us)
