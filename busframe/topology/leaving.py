"""Taking down what drains: when its queue is empty, the row goes, and then the queue.

A publisher may still send by a copy of the list that is some moments old, and a broker may count late. So a queue has
to be seen empty for a while, and only then is it empty.

The order is the guarantee here too: first the row, so that no publisher finds a row without a queue, then the queue.
Somebody may enter the same row between the two, when the queue is still there for them to see. So the list is looked
at once more at the end, and a queue that is wanted again is made again. Whatever dies in between leaves a queue without
a row, which `check` shows and `apply` removes.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from busframe import runtime
from busframe.backend import Plan
from busframe.errors import QueueNotFoundError
from busframe.queue_names import dead_queue
from busframe.topology.edits import without

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.backend import Backend, QueueStats
    from busframe.message import QueueName
    from busframe.recipients import RecipientList, Subscription

INEXACT_QUIET_S: Final = 60.0
"""Amazon SQS: the counts are right a minute after the last send, receive or delete."""

_LOOK_S: Final = (0.02, 1.0)
"""First and longest time between two looks at a queue."""

_log = logging.getLogger("busframe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A queue that was taken down.

    Attributes:
        dead_letters: its dead-letter queue, if that was left for what is on it, or may be.
        seen: something was seen on that. Without it, the broker's counts may be late.
    """

    queue: QueueName
    dead_letters: QueueName | None
    seen: bool = False


def quiet_s(backend: Backend, recipients: RecipientList | None) -> float:
    """For how long a queue has to be seen empty."""
    stale_s = 0.0 if recipients is None or math.isinf(recipients.fresh_s) else 2 * recipients.fresh_s
    return stale_s if backend.capabilities.exact_stats else max(stale_s, INEXACT_QUIET_S)


async def until_empty(backend: Backend, queue: QueueName, *, for_s: float) -> None:
    """Wait until a queue has been seen empty for so long, or is not there."""
    pause_s, longest_s = _LOOK_S
    empty_since_s: float | None = None
    while True:
        looked_s = runtime.now_s()
        try:
            stats = await backend.stats(queue)
        except QueueNotFoundError:
            return
        if not is_empty(stats):
            empty_since_s = None
        elif empty_since_s is None:
            empty_since_s = looked_s
        if empty_since_s is not None and looked_s - empty_since_s >= for_s:
            return
        await runtime.sleep(pause_s)
        pause_s = min(pause_s * 2, longest_s)


async def until_passed(backend: Backend, queue: QueueName, *, since_s: float, for_s: float) -> None:
    """Wait until all is gone from a queue that was sent before `since_s`, by the loop's clock, and `for_s` after it.

    For a queue that goes on getting other messages. Where the broker does not tell ages, it has to be seen empty once.
    """
    pause_s, longest_s = _LOOK_S
    while True:
        age_s = runtime.now_s() - since_s
        try:
            stats = await backend.stats(queue)
        except QueueNotFoundError:
            return
        young = stats.oldest_age_s is not None and stats.oldest_age_s < age_s - for_s
        if age_s >= for_s and (is_empty(stats) or young):
            return
        await runtime.sleep(pause_s)
        pause_s = min(pause_s * 2, longest_s)


def is_empty(stats: QueueStats) -> bool:
    """Whether nothing is there, in whatever state."""
    return not (stats.visible or stats.in_flight or stats.delayed)


async def take_down(
    backend: Backend,
    recipients: RecipientList,
    rows: Sequence[Subscription],
    *,
    by: str,
    with_dead_letters: bool = False,
    before_removal: Callable[[QueueName], Awaitable[None]] | None = None,
) -> Left | None:
    """Remove drained rows of one queue, and the queue if no other row has it. Safe to repeat.

    Args:
        backend: has the queue.
        recipients: has the rows.
        rows: one or more, all of one queue, which was seen empty.
        by: for the history.
        with_dead_letters: remove the dead-letter queue with what is on it.
        before_removal: called before a queue goes, for whoever consumes it.

    Returns:
        None: the queue was left, since it has other rows.
    """
    queue = rows[0].queue
    # Read before anything goes: to make it again if need be.
    dead = dead_queue(queue)
    specs = [spec for name in (dead, queue) if (spec := await backend.describe(name)) is not None]
    await recipients.change(without([row.name for row in rows]), by=by, topics={row.topic for row in rows})
    if await _is_listed(recipients, queue):
        return None
    if before_removal is not None:
        await before_removal(queue)
    await backend.remove(queue)
    letters = None if with_dead_letters else await _stats(backend, dead)
    seen = letters is not None and not is_empty(letters)
    # Counts that may be late are no reason to throw away what somebody has to look at.
    keep = letters is not None and (seen or not backend.capabilities.exact_stats)
    if not keep:
        await backend.remove(dead)
    if await _is_listed(recipients, queue):
        _log.info("queue %s was subscribed to again while it was being removed: it is made again", queue)
        await backend.provision(Plan(queues=tuple(specs)))
        return None
    return Left(queue=queue, dead_letters=dead if keep else None, seen=seen)


async def _stats(backend: Backend, queue: QueueName) -> QueueStats | None:
    try:
        return await backend.stats(queue)
    except QueueNotFoundError:
        return None


async def _is_listed(recipients: RecipientList, queue: QueueName) -> bool:
    return any(row.queue == queue for row in (await recipients.load()).subscriptions)
