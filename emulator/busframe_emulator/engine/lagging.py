"""What SQS may do later than it says it did, where the chooser asks for it.

A queue is there a second after it was made, gone a minute after it was deleted, empty a minute after it was purged;
attributes take effect within a minute, the retention period within a quarter of an hour; counts settle within a minute.
Calm is at once, and costs nothing: a `Later` exists only where the chooser gave an answer.

Sources: Amazon SQS API, CreateQueue, DeleteQueue, PurgeQueue, SetQueueAttributes and GetQueueAttributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.events import Counts, Event
from busframe_emulator.engine.settings import SECOND_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.engine.queue import Queue
    from busframe_emulator.engine.settings import QueueSettings, QueueView

CREATION_US_MAX: Final = SECOND_US
DELETION_US_MAX: Final = 60 * SECOND_US
PURGE_US_MAX: Final = 60 * SECOND_US
CHANGE_US_MAX: Final = 60 * SECOND_US
RETENTION_CHANGE_US_MAX: Final = 900 * SECOND_US
COUNTS_US_MAX: Final = 60 * SECOND_US


class Later:
    """Something that is still to happen. Whoever arms its timer may also disarm it, or let it happen before."""

    __slots__ = ("_act", "timer")

    def __init__(self, act: Callable[[int], None]) -> None:
        self._act = act
        self.timer = 0

    def fire(self, at_us: int) -> None:
        """Let it happen."""
        self._act(at_us)


class LaterChange(Later):
    """Settings that were accepted and are still to take effect."""

    __slots__ = ("settings",)

    def __init__(self, settings: QueueSettings, act: Callable[[int], None]) -> None:
        super().__init__(act)
        self.settings = settings


def purge(queue: Queue, now_us: int) -> None:
    """Purge a queue: now, or up to a minute later and meanwhile.

    A late purge takes what was sent before the call, and may take what was sent during it. The deduplication ids are
    forgotten at once in any case.
    """
    key = (queue.address.name, queue.count("purge"))
    lag_us = queue.around.lag_us("purge.lag", key, PURGE_US_MAX)
    if not lag_us:
        queue.purge(now_us)
        return
    assert queue.around.ask is not None  # noqa: S101 - who else asked for a lag
    all_of_it = queue.around.ask("purge.reach", key) is not None
    last = queue.last_ordinal
    queue.purged_us = now_us
    queue.forget_ids()
    queue.tell("purging", now_us)

    def finish(at_us: int) -> None:
        if queue.around.queues.get(queue.address) is queue:
            queue.purge_up_to(at_us, queue.last_ordinal if all_of_it else last)

    queue.around.timers.arm(now_us + lag_us, Later(finish))


def show_approximately(queue: Queue, now_us: int) -> QueueView:
    """See a queue as GetQueueAttributes does: the settings in effect, and counts that may be of an earlier look."""
    view = queue.view()
    if queue.around.ask is None:
        _tell_counts(queue, now_us, view)
        return view
    view.settings = queue.settings
    counts = (view.visible, view.in_flight, view.delayed)
    stale_us = queue.around.lag_us("counts.stale", (queue.address.name, queue.count("look")), COUNTS_US_MAX)
    shown_us, shown = queue.shown
    if now_us - shown_us < stale_us:
        view.visible, view.in_flight, view.delayed = shown
    else:
        queue.shown = (now_us, counts)
    _tell_counts(queue, now_us, view)
    return view


def _tell_counts(queue: Queue, now_us: int, view: QueueView) -> None:
    if queue.around.sink is not None:
        about = Counts(view.visible, view.in_flight, view.delayed)
        queue.around.sink(Event("looked", now_us, queue.address, about=about))
