"""Consumes one queue: polls, runs handlers, does what was decided about each message, drains when told to stop.

At any moment a message received is in one of three places, and its lease is kept in all of them: waiting for its turn
behind another message of the same key, with its handler, or being settled. It takes up one of `concurrency` slots from
the poll that brought it until it is settled, so no more is fetched than can be worked on.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe._consume.dead import dead_letter
from busframe._consume.leases import LeaseKeeper
from busframe._consume.opening import Opener, onward
from busframe._consume.settling import Settler
from busframe._consume.verdict import Again, Done, GiveUp, Postpone, judge
from busframe.errors import BackendError, BusframeError, ClosedError
from busframe.message import Acknowledge, Release, is_ordered
from busframe.outcome import Outcome, Reject
from busframe.retry import Retry

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from busframe._consume.leases import Lease
    from busframe._consume.verdict import Verdict
    from busframe.backend import Backend
    from busframe.message import Received
    from busframe.registry import Group
    from busframe.sending import Sender

POLL_BACK_OFF_S: Final = (0.2, 30.0)
"""First and longest wait after a failed poll; doubling in between."""

BURIAL_RETRY_S: Final = 30.0
"""When to try again to dead-letter a message whose dead-letter queue did not take it."""

LAST_WORDS_S: Final = 5.0
"""How long giving a message back may take after its handler was cancelled."""

_log = logging.getLogger("busframe")
_FOREIGN: Final = Retry(attempts=1)


@dataclass(slots=True)
class Counts:
    """What the consumers of one queue in this process have done so far.

    Attributes:
        received: deliveries taken.
        redelivered: of these, the ones that were not the first of their message.
        handled: acknowledged after their handler returned.
        retried: given back to come again.
        dead_lettered: moved to the dead-letter queue.
        lost: leases that ended under a handler.
    """

    received: int = 0
    redelivered: int = 0
    handled: int = 0
    retried: int = 0
    dead_lettered: int = 0
    lost: int = 0


class Consumer:
    """One queue's consumer in this process. `run` it once; `stop` makes `run` drain and return."""

    def __init__(self, backend: Backend, sender: Sender, group: Group, counts: Counts, *, drain_s: float) -> None:
        self._counts = counts
        self._backend = backend
        self._sender = sender
        self._group = group
        self._queue = group.queue
        self._ordered = is_ordered(group.queue)
        self._drain_s = drain_s
        self._slots = anyio.Semaphore(group.concurrency)
        self._opener = Opener(group)
        self._leases = LeaseKeeper(backend, group.queue, group.lease_s)
        self._lanes: dict[str, deque[Lease]] = {}
        self._polling = anyio.CancelScope()

    def stop(self) -> None:
        """Stop polling; `run` returns when what is in hand is settled, or the drain time is over."""
        self._polling.cancel()

    async def run(self) -> None:
        """Consume until stopped, then finish what is in hand.

        Handlers that are still running `drain_s` after the stop are cancelled and their messages given back.
        """
        async with anyio.create_task_group() as services:
            self._settler = Settler(self._backend, self._queue, services)
            services.start_soon(self._leases.run)
            async with anyio.create_task_group() as handlers:
                with self._polling:
                    await self._poll(handlers)
                handlers.cancel_scope.deadline = runtime.now_s() + self._drain_s
            services.cancel_scope.cancel()

    # --- polling ----------------------------------------------------------------------------------------------------

    async def _poll(self, handlers: TaskGroup) -> None:
        """Receive for ever. No error but a closed backend ends it: a consumer that stops silently loses its queue."""
        wait_s = self._backend.capabilities.wait_s_max
        back_off_s, longest_s = POLL_BACK_OFF_S
        while True:
            room = await self._take_slots()
            asked_s = runtime.now_s()
            try:
                batch = await self._backend.receive(
                    self._queue, limit=room, wait_s=min(wait_s, 20.0), lease_s=self._group.lease_s
                )
            except ClosedError:
                raise
            except BusframeError as error:
                self._give_slots(room)
                _log.warning("receiving from %s failed, trying again in %.1f s: %s", self._queue, back_off_s, error)
                await runtime.sleep(back_off_s * (0.5 + runtime.random() / 2))
                back_off_s = min(back_off_s * 2, longest_s)
                continue
            except BaseException:
                self._give_slots(room)
                raise
            back_off_s = POLL_BACK_OFF_S[0]
            self._give_slots(room - len(batch))
            for received in batch:
                self._counts.received += 1
                self._counts.redelivered += received.receive_count > 1
                self._admit(received, asked_s, handlers)

    async def _take_slots(self) -> int:
        """Wait for a free slot, then take as many as a receive can fill."""
        await self._slots.acquire()
        room = 1
        most = min(self._backend.capabilities.receive_entries_max, self._group.concurrency)
        while room < most:
            try:
                self._slots.acquire_nowait()
            except anyio.WouldBlock:
                break
            room += 1
        return room

    def _give_slots(self, count: int) -> None:
        for _ in range(count):
            self._slots.release()

    def _admit(self, received: Received, asked_s: float, handlers: TaskGroup) -> None:
        """Start on a message, or put it behind the one of its key that is being worked on."""
        lease = self._leases.hold(received, asked_s)
        lane = self._opener.lane(received)
        if lane is None:
            handlers.start_soon(self._work_alone, lease)
        elif lane in self._lanes:
            self._lanes[lane].append(lease)
        else:
            self._lanes[lane] = deque([lease])
            handlers.start_soon(self._work_lane, lane)

    # --- working ----------------------------------------------------------------------------------------------------

    async def _work_alone(self, lease: Lease) -> None:
        try:
            await self._work(lease, deque())
        finally:
            self._slots.release()

    async def _work_lane(self, name: str) -> None:
        """Work on the messages of one key, one after the other."""
        lane = self._lanes[name]
        try:
            while lane:
                lease = lane.popleft()
                try:
                    await self._work(lease, lane if self._ordered else deque())
                finally:
                    self._slots.release()
        finally:
            del self._lanes[name]
            with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_WORDS_S):
                await self._give_back_all(lane)

    async def _work(self, lease: Lease, behind: deque[Lease]) -> None:
        """Handle one message and settle it.

        Args:
            lease: the message.
            behind: those that must not be handled before it is done: the rest of its group on an ordered queue.
        """
        received = lease.received
        retry = _FOREIGN
        error: Exception | None = None
        try:
            with lease.scope:
                try:
                    handler, delivery = self._opener.open(received)
                    retry = handler.retry
                    with anyio.fail_after(handler.timeout_s):
                        await handler(delivery)
                except Exception as raised:  # noqa: BLE001 - whatever a handler raises, its policy decides
                    error = raised
        except BaseException:
            # The drain time is over, or the program is being torn down: nobody has handled it.
            with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_WORDS_S):
                await self._give_back(lease, behind, delay_s=0)
            raise
        if lease.lost:
            self._counts.lost += 1
            await self._give_back_all(behind)
            return
        verdict = judge(error, attempt=received.receive_count, retry=retry, random=runtime.random())
        if error is not None:
            self._log_failure(received, error, verdict)
        # Even while being cancelled: the work is done and should count.
        with anyio.CancelScope(shield=True):
            await self._carry_out(verdict, lease, behind)

    async def _carry_out(self, verdict: Verdict, lease: Lease, behind: deque[Lease]) -> None:
        match verdict:
            case Done():
                if await self._settle(lease, Acknowledge(receipt=lease.received.receipt)):
                    self._counts.handled += 1
            case Again():
                if await self._give_back(lease, behind, delay_s=verdict.delay_s):
                    self._counts.retried += 1
            case GiveUp():
                await self._bury(lease, behind, verdict.reason)
            case Postpone():
                await self._postpone(lease, behind, verdict.left_s)

    def _log_failure(self, received: Received, error: Exception, verdict: Verdict) -> None:
        what = f"message {received.message_id} of {self._queue}, attempt {received.receive_count}"
        match verdict:
            case GiveUp():
                _log.error(
                    "%s: dead-lettered: %s", what, verdict.reason, exc_info=None if isinstance(error, Reject) else error
                )
            case Again():
                level = logging.INFO if isinstance(error, Outcome) else logging.WARNING
                # Where it failed is worth a page once, not at every attempt.
                trace = error if received.receive_count == 1 and level == logging.WARNING else None
                _log.log(level, "%s: again in %.1f s: %r", what, verdict.delay_s, error, exc_info=trace)
            case Done():
                _log.info("%s: dropped: %s", what, error)
            case Postpone():
                _log.debug("%s: %s", what, error)

    async def _postpone(self, lease: Lease, behind: deque[Lease], left_s: float) -> None:
        """Send it to its own queue anew, then acknowledge: in this order it may be there twice, and is never lost."""
        received = lease.received
        try:
            again = onward(received, left_s, self._backend.capabilities.delay_s_max)
            await self._sender.send(self._queue, again)
        except BackendError as error:
            _log.error("message %s could not be postponed: %s", received.message_id, error)
            await self._give_back(lease, behind, delay_s=min(left_s, BURIAL_RETRY_S))
            return
        await self._settle(lease, Acknowledge(receipt=received.receipt))

    async def _bury(self, lease: Lease, behind: deque[Lease], reason: str) -> None:
        """Send to the dead-letter queue, then acknowledge: in this order it may be there twice, and is never lost."""
        received = lease.received
        letter = dead_letter(
            received,
            self._queue,
            reason=reason,
            at_s=runtime.wall_s(),
            bytes_max=self._backend.capabilities.message_bytes_max,
        )
        try:
            await self._sender.send(self._group.dead_queue, letter)
        except BackendError as error:
            _log.error("message %s could not be dead-lettered: %s", received.message_id, error)
            await self._give_back(lease, behind, delay_s=BURIAL_RETRY_S)
            return
        if await self._settle(lease, Acknowledge(receipt=received.receipt)):
            self._counts.dead_lettered += 1

    async def _give_back(self, lease: Lease, behind: deque[Lease], *, delay_s: float) -> bool:
        """Have a message delivered again, and before it those that have to wait for it.

        In this order: while the first of a group is still out, the broker delivers nothing of the group, so none of
        them overtakes it and none comes back into a lane that is being cleared.
        """
        await self._give_back_all(behind)
        return await self._settle(lease, Release(receipt=lease.received.receipt, delay_s=delay_s))

    async def _give_back_all(self, leases: deque[Lease]) -> None:
        async with anyio.create_task_group() as tasks:
            while leases:
                tasks.start_soon(self._give_back_untouched, leases.popleft())

    async def _give_back_untouched(self, lease: Lease) -> None:
        try:
            await self._settle(lease, Release(receipt=lease.received.receipt))
        finally:
            self._slots.release()

    async def _settle(self, lease: Lease, settlement: Acknowledge | Release) -> bool:
        """Settle; the lease is kept until the broker has heard."""
        if lease.lost:
            return False
        try:
            return await self._settler.settle(settlement)
        finally:
            self._leases.drop(lease)
