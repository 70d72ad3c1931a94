"""What falls due when: one heap for the whole engine, exact to the microsecond.

A timer belongs to a subject (a message, a waiting receive, a queue's housekeeping), and each subject has at most one.
Disarming leaves the heap's entry behind as a dead one: an entry counts only while its subject still carries the
entry's number. Dead entries are skipped when they surface, and swept out when they are the greater part, so that a
busy queue with a long visibility timeout does not keep every deleted message for hours.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

SWEEP_MIN: Final = 64
"""Fewer dead entries than this are not worth a sweep. So few, since what they hold is let go while it is still at hand
in the processor's cache."""


class Subject(Protocol):
    """What a timer can belong to."""

    timer: int
    """The number of its live timer; 0 if it has none. Only `Timers` writes it."""

    def fire(self, at_us: int) -> None:
        """The time has come. `at_us` is when it was due, not when somebody noticed."""
        ...


NEVER_US: Final = 1 << 63


class Timers:
    """The heap. Equal times fire in the order they were armed.

    Attributes:
        earliest_us: nothing is due before this; `NEVER_US` if nothing is pending.
    """

    __slots__ = ("_dead", "_heap", "_number", "earliest_us")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Subject]] = []
        self._number = 0
        self._dead = 0
        self.earliest_us = NEVER_US

    def arm(self, due_us: int, subject: Subject) -> None:
        """Let `subject` fall due at `due_us` instead of whenever it would have."""
        if subject.timer:
            self.disarm(subject)
        self._number = number = self._number + 1
        subject.timer = number
        heappush(self._heap, (due_us, number, subject))
        if due_us < self.earliest_us:  # noqa: PLR1730 - a call of `min` costs as much as the push
            self.earliest_us = due_us

    def disarm(self, subject: Subject) -> None:
        """Let `subject` not fall due. Fine if it has no timer."""
        if subject.timer:
            subject.timer = 0
            self._dead += 1
            if self._dead > SWEEP_MIN and self._dead * 2 > len(self._heap):
                self._heap = [entry for entry in self._heap if entry[2].timer == entry[1]]
                heapify(self._heap)
                self._dead = 0

    def due_times(self, subjects: Iterable[Subject]) -> dict[int, int]:
        """When those that have a timer fall due, by the timer's number. Looks through the whole heap."""
        numbers = {subject.timer for subject in subjects if subject.timer}
        return {number: due_us for due_us, number, _ in self._heap if number in numbers} if numbers else {}

    def next_due(self) -> int | None:
        """When the next timer fires, or None."""
        heap = self._heap
        while heap:
            due_us, number, subject = heap[0]
            if subject.timer == number:
                self.earliest_us = due_us
                return due_us
            heappop(heap)
            self._dead -= 1
        self.earliest_us = NEVER_US
        return None

    def pop_due(self, now_us: int) -> tuple[int, Subject] | None:
        """Take the first subject that is due at `now_us` or before, with its time; None if there is none."""
        due_us = self.next_due()
        if due_us is None or due_us > now_us:
            return None
        subject = heappop(self._heap)[2]
        subject.timer = 0
        return due_us, subject
