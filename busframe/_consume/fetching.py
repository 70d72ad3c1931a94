"""Fetches the messages of one queue, as many as there is room for in hand, and goes on whatever errors there are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe._consume.bounds import LOOK_S
from busframe._consume.polls import PollCount
from busframe._consume.telling import poll_failed
from busframe.backend import Immediate
from busframe.errors import BusframeError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from busframe._consume.bounds import Bounds
    from busframe._consume.in_hand import InHand
    from busframe._consume.polling import Polling
    from busframe.backend import Backend
    from busframe.group import Group
    from busframe.message import Received
    from busframe.observing import Observers

WAIT_S: Final = 20.0
"""How long a poll waits for messages: as long as SQS allows, since a poll that brings nothing costs as much."""

OVERDUE_S: Final = 15.0
"""A poll that has not come back so long after its wait is given up: its connection is gone and nobody said so."""

AT_ONCE_MAX: Final = 10
"""So many polls in a row that were answered without waiting, then others have their turn."""

_log = logging.getLogger("busframe")


class Fetcher:
    """The polls of one consumer.

    Args:
        in_hand: has the room.
        polling: how the polls stand.
        admit: takes what a poll brought, also if that is nothing, and when it was asked for.
    """

    def __init__(
        self,
        backend: Backend,
        group: Group,
        *,
        in_hand: InHand,
        bounds: Bounds,
        polling: Polling,
        admit: Callable[[Sequence[Received], float], None],
        observers: Observers | None,
    ) -> None:
        self._backend = backend
        self._immediate = backend if isinstance(backend, Immediate) else None
        self._group = group
        self._queue = group.queue
        self._in_hand = in_hand
        self._bounds = bounds
        self._polling = polling
        self._admit = admit
        self._observers = observers
        self._most = min(backend.capabilities.receive_entries_max, group.concurrency)
        self._poll_count = PollCount(self._most)
        self._polls_beside = 0
        self._at_once = 0  # polls in a row that were answered without waiting
        self._found = False  # the last poll brought something

    async def run(self) -> None:
        """Receive until cancelled, whatever errors there are."""
        capabilities = self._backend.capabilities
        wait_s = self._bounds.wait_s(min(capabilities.wait_s_max, WAIT_S), exact=capabilities.exact_stats)
        # The others do not wait for long: when a rush is over they hold up places here, and connections.
        self._beside_wait_s = min(wait_s, LOOK_S)
        self._clock = runtime.clock()
        turn = runtime.turns()
        async with anyio.create_task_group() as self._beside:
            while True:
                places = await self._in_hand.reserve(self._most)
                if self._polling.failures:
                    await runtime.sleep(max(0.0, self._polling.due_s - self._clock()))
                self._poll_beside()
                await self._poll_once(places, wait_s)
                if self._at_once == AT_ONCE_MAX:
                    self._at_once = 0
                    await turn()

    def _poll_beside(self) -> None:
        """Have as many more polls made as are wanted and find room for all they can bring."""
        while (
            self._polls_beside + 1 < self._poll_count.wanted
            and not self._polling.failures
            and self._in_hand.reserve_beside(self._most, self._backend.capabilities.message_bytes_max)
        ):
            self._polls_beside += 1
            self._beside.start_soon(self._poll_once_beside)

    async def _poll_once_beside(self) -> None:
        await self._poll_once(self._most, self._beside_wait_s)
        self._polls_beside -= 1
        self._poll_beside()

    async def _poll_once(self, places: int, wait_s: float) -> None:
        """Receive into the places reserved for it."""
        lent = await self._bounds.borrow(places)
        asked_s = self._clock()
        try:
            batch = await self._receive(lent, wait_s)
            self._found = bool(batch)
            self._admit(batch, asked_s)
            self._poll_count.came_back(lent, len(batch), self._clock() - asked_s)
        except Exception as error:  # noqa: BLE001 - a consumer that stops of an error loses its queue
            self._back_off(error, asked_s)
        finally:
            self._in_hand.unreserve(places)

    async def _receive(self, lent: int, wait_s: float) -> Sequence[Received]:
        bounds, activity, taken = self._bounds, self._bounds.activity, 0
        try:
            # Where there was something there may be more, and no need to wait for it.
            if self._immediate is not None and self._found:
                batch = self._immediate.receive_now(self._queue, limit=lent, lease_s=self._group.lease_s)
                if taken := len(batch):
                    self._at_once += 1
                    return batch
            self._at_once = 0
            with anyio.move_on_after(wait_s + OVERDUE_S):
                batch = await self._backend.receive(self._queue, limit=lent, wait_s=wait_s, lease_s=self._group.lease_s)
                taken = len(batch)
                if not batch and self._in_hand.idle and not self._polls_beside:
                    bounds.found_nothing(self, activity)
                return batch
        finally:
            bounds.take(lent, taken)
        raise UnavailableError(f"no answer within {wait_s + OVERDUE_S:g} s")

    def _back_off(self, error: Exception, asked_s: float) -> None:
        """Have all polls wait."""
        polling = self._polling
        self._poll_count.failed()
        if not polling.is_news(asked_s):
            return
        was = polling.state
        wait_s = polling.bad(error, runtime.now_s(), runtime.random())
        unforeseen = None if isinstance(error, BusframeError) else error
        level = logging.CRITICAL if polling.state == "failed" != was else logging.WARNING
        fields = {"queue": self._queue, "group": self._group.name, "failures": polling.failures}
        _log.log(
            level,
            "receiving from %s failed, %d in a row, %s, trying again in %.1f s: %r",
            *(self._queue, polling.failures, polling.state, wait_s, error),
            exc_info=unforeseen,
            extra={**fields, "state": polling.state, "delay_s": wait_s},
        )
        self._bounds.failed(polling.failures, error)
        if self._observers is not None:
            self._observers.note(poll_failed(self._group, polling, wait_s, error))
