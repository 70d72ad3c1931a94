"""Drives an engine whose changes are kept: no answer goes out before what it tells of is on the disk.

The rule is one: an answer waits until everything that had changed when it was made is durable, whoever changed it. So
nobody hears of a duplicate whose original may yet be lost, or that a message is gone which may yet come back. Only a
receive that brought nothing says nothing, and does not wait; nor does a refusal.

Commits are not timed. One begins as soon as all who had something to ask have been served; while it is under way, what
happens gathers for the next.

If a commit fails, what the engine holds and what the disk holds have parted, and the engine must not be heard any more:
those who wait are told so, all further requests are refused, and whoever runs the server is told to end it. What was
answered before is on the disk.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - the server is what owns the loop
import sys
from typing import TYPE_CHECKING, Final

from busframe_emulator.api import actions
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.server.driver import Driver, Pending

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop  # noqa: TID251 - the same
    from collections.abc import Callable, Sequence

    from busframe_emulator.api.actions import Input
    from busframe_emulator.api.caller import Caller
    from busframe_emulator.api.service import Action
    from busframe_emulator.engine.requests import Delivery
    from busframe_emulator.server.clock import Clock
    from busframe_emulator.server.driver import Receiver, Wording
    from busframe_emulator.server.metrics import Metrics
    from busframe_emulator.server.persistence.journal import Journal
    from busframe_emulator.wire.message import Response

_Held = tuple["Receiver", "Response", "Wording"]
"""An answer that waits for a commit. A plain tuple, since most requests make one."""

_STOPPING: Final = "The emulator is stopping."


_TURNS_MAX: Final = 64
"""Of the event loop, for which those wait who were served first."""


class DurableDriver(Driver):
    """A driver with a journal. `start` before use, `aclose` after."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        loop: AbstractEventLoop,
        metrics: Metrics,
        on_failure: Callable[[], None],
    ) -> None:
        super().__init__(journal.engine, clock, loop, metrics)
        self._journal = journal
        self._on_failure = on_failure
        self._held: dict[int, _Held] = {}
        self._committing: dict[int, _Held] = {}
        self._committing_count = -1
        self._tickets = 0
        self._wanted = asyncio.Event()
        self._refusal: SqsError | None = None
        self._closing = False
        self._committer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Do what fell due while nobody drove the engine, and begin to commit."""
        self._wake()
        self._committer = self._loop.create_task(self._serve())

    def perform(
        self,
        action: Action,
        caller: Caller,
        request: Input,
        receiver: Receiver,
        wording: Wording,
    ) -> Response | int:
        """See `Driver.perform`. A number may also stand for an answer that is there, and waits for the disk."""
        if self._refusal is not None:
            raise self._refusal
        changes = self._journal.changes
        before = changes.count
        try:
            outcome = super().perform(action, caller, request, receiver, wording)
        finally:
            # Also when it was refused: what was due before it has happened.
            if changes.count != before:
                self._wanted.set()
        if isinstance(outcome, int) or (changes.count == before and action.takes is actions.ReceiveMessage):
            return outcome
        return self.settled(outcome, receiver, wording)

    def settled(self, response: Response, receiver: Receiver, wording: Wording) -> Response | int:
        """See `Driver.settled`."""
        if self._refusal is not None:
            return wording.encode_error(self._refusal)
        if self._journal.changes.count == self._journal.durable:
            return response
        self._tickets = ticket = self._tickets - 1
        self._hold(ticket, (receiver, response, wording))
        return ticket

    def cancel(self, waiter: int) -> None:
        """The receiver went away. What it asked for has happened all the same."""
        if self._held.pop(waiter, None) is None and self._committing.pop(waiter, None) is None:
            super().cancel(waiter)

    def advance(self, seconds: float) -> None:
        """Move the clock on, and remember that."""
        self._journal.note_time()
        super().advance(seconds)

    def set_manual(self, manual: bool) -> None:  # noqa: FBT001 - as the clock's
        """Stop the clock, or let it run on, and remember the time."""
        self._journal.note_time()
        super().set_manual(manual)

    async def aclose(self) -> None:
        """Commit what there is, send the answers that waited for it, and let go of the file."""
        self.stop()
        self._closing = True
        if self._refusal is None:
            self._refusal = SqsError("ServiceUnavailable", _STOPPING)
        self._wanted.set()
        if self._committer is not None:
            await self._committer
        await self._journal.aclose()

    def _wake(self) -> None:
        if self._refusal is None:
            super()._wake()
            self._want_commit()

    def _answer(self, waiter: int, pending: Pending, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            super()._answer(waiter, pending, deliveries)
            return
        self._hold(waiter, (pending.receiver, pending.show(deliveries), pending.wording))

    # --- commits ----------------------------------------------------------------------------------------------------

    def _hold(self, ticket: int, held: _Held) -> None:
        """Keep an answer for the commit that has all it tells of: the one under way, if nothing changed since."""
        if self._journal.changes.count == self._committing_count:
            self._committing[ticket] = held
        else:
            self._held[ticket] = held

    def _want_commit(self) -> None:
        if self._is_behind():
            self._wanted.set()

    def _is_behind(self) -> bool:
        return self._journal.changes.count != self._journal.durable

    async def _serve(self) -> None:
        while not self._closing or self._is_behind():
            await self._wanted.wait()
            self._wanted.clear()
            while self._is_behind():
                await self._gather()
                self._committing, self._held = self._held, {}
                self._committing_count = self._journal.changes.count
                try:
                    await self._journal.commit(self._clock.now_us(), stands=self._clock.manual)
                except Exception as error:  # noqa: BLE001 - whatever it is, nothing can be kept any more
                    self._fail(error)
                    return
                self._committing_count = -1
                done, self._committing = self._committing, {}
                for receiver, response, _ in done.values():
                    receiver.answer(response)

    async def _gather(self) -> None:
        """Let everybody be served whose request is there: a commit costs much the same for one as for many."""
        for _ in range(_TURNS_MAX):
            count = self._journal.changes.count
            await asyncio.sleep(0)
            if self._journal.changes.count == count:
                return

    def _fail(self, error: Exception) -> None:
        self.stop()
        reason = f"The emulator cannot keep its data any more, and stops: {error}"
        print(f"busframe emulator: {reason}", file=sys.stderr, flush=True)  # noqa: T201 - the server's log
        self.failure = reason
        self._refusal = SqsError("ServiceUnavailable", reason)
        waiting = [(receiver, wording) for receiver, _, wording in (*self._committing.values(), *self._held.values())]
        waiting += [(each.receiver, each.wording) for each in self._pending.values()]
        self._committing, self._held, self._pending = {}, {}, {}
        for receiver, wording in waiting:
            receiver.answer(wording.encode_error(self._refusal))
        self._on_failure()
