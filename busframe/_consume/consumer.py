"""Consumes one queue: polls, runs handlers, has done what was decided about each message, drains when told to stop.

A message received is in hand until the broker has heard what became of it, and all that time its lease is kept: while
it waits for its turn behind another of the same key, while it waits for a worker, in its handler, and while it is being
settled. No more is fetched than there is room for in hand.

Handlers run in workers, tasks that are kept: a task for each message would cost more than everything else done about
it. A worker that takes a message calls the next worker if more are waiting, before it begins. So a rush of short
handlers is run by one or two workers, and one that waits for something holds up nobody. A worker whose lease is lost is
cancelled out of that handler only; one whose handler has changed a context variable is replaced, so that no message
sees what another left behind.

Above 400 lines, since handling and giving back work on one state: what is in hand.
"""

from __future__ import annotations

import logging
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe._consume.concluding import Concluder
from busframe._consume.fetching import Fetcher
from busframe._consume.health import consumer_health
from busframe._consume.holding import Holding
from busframe._consume.in_hand import InHand
from busframe._consume.interruptions import HandlerCancelledError, HandlerExitError, failure_of, is_interrupt
from busframe._consume.lanes import Lanes
from busframe._consume.leases import Lease, LeaseKeeper
from busframe._consume.opening import Opener
from busframe._consume.polling import Polling
from busframe._consume.settling import Settler
from busframe._consume.telling import about, handled, handling, hears_errors, log_fields, outcome_of
from busframe._consume.verdict import GivenBack, judge
from busframe.crew import Crew
from busframe.delivery import enter_delivery
from busframe.message import Acknowledge, is_ordered
from busframe.observing import LeaseLost
from busframe.observing import Received as ReceivedEvent
from busframe.retry import Retry
from busframe.tracing import enter_trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from busframe._consume.bounds import Bounds
    from busframe._consume.counts import Counts
    from busframe._consume.health import ConsumerHealth
    from busframe.backend import Backend
    from busframe.delivery import Delivery
    from busframe.group import Group, Handler
    from busframe.message import Received
    from busframe.observing import Observers, Watching
    from busframe.sending import Sender

LAST_WORDS_S: Final = 5.0
"""How long giving messages back may take after their handlers were cancelled."""

TURNS_MAX: Final = 32
"""A worker lets others run after so many messages, where their handlers never wait for anything."""

_log = logging.getLogger("busframe")
_FOREIGN: Final = Retry(attempts=1)


class Consumer:
    """One queue's consumer in this process. `run` it once; `stop` makes `run` drain and return."""

    def __init__(
        self,
        backend: Backend,
        sender: Sender,
        group: Group,
        counts: Counts,
        bounds: Bounds,
        *,
        observers: Observers | None,
        drain_s: float,
    ) -> None:
        self._backend = backend
        self._sender = sender
        self._group = group
        self._counts = counts
        self._bounds = bounds
        self._counts_by_type = counts.by_type_on_wire(group)
        self._observers = observers
        self._queue = group.queue
        self._log_fields = {"queue": group.queue, "group": group.name}
        self._ordered = is_ordered(group.queue)
        self._drain_s = drain_s
        self._opener = Opener(group)
        self._in_hand = InHand(count_max=group.concurrency, bytes_max=group.bytes_in_hand_max)
        self._lanes = Lanes()
        self._ready: deque[Lease] = deque()
        self._worker_called = False
        self._polls = anyio.CancelScope()
        self._polling = Polling()
        self._fetcher = Fetcher(
            backend,
            group,
            in_hand=self._in_hand,
            bounds=bounds,
            polling=self._polling,
            admit=self._admit,
            observers=observers,
        )
        self._drain = anyio.CancelScope()
        self._interrupt: BaseException | None = None

    def stop(self) -> None:
        """Stop polling; `run` returns when what is in hand is settled, or the drain time is over."""
        self._polls.cancel()

    def hasten(self) -> None:
        """Stop, and let the drain time be over."""
        self._polls.cancel()
        self._drain.cancel()

    @property
    def outage(self) -> Exception | None:
        """Why nothing can be received; see `Polling.outage`."""
        return self._polling.outage

    def health(self, *, stuck_after_s: float, stale_after_s: float) -> ConsumerHealth:
        """Tell how it is; for the arguments see `Live.health`."""
        return consumer_health(
            self._queue,
            self._polling,
            in_hand=len(self._in_hand),
            running_since_s=[
                lease.begun_s for lease in self._in_hand if lease.scope is not None and lease not in self._holding
            ],
            now_s=runtime.now_s(),
            stuck_after_s=stuck_after_s,
            stale_after_s=stale_after_s,
        )

    async def run(self) -> None:
        """Consume until stopped, then finish what is in hand.

        What no handler has begun is given back at once. Handlers that are still running `drain_s` after the stop are
        cancelled and their messages given back. Not to be cancelled from outside: a drain has work to do.

        Raises:
            KeyboardInterrupt: out of a handler; everything is given back.
        """
        async with anyio.create_task_group() as services:
            # Leases are kept and settlements sent until the last message is out of hand.
            self._services = services
            self._settler = Settler(self._backend, self._queue, services)
            self._holding = Holding(
                self._group,
                in_hand=self._in_hand,
                lanes=self._lanes,
                ordered=self._ordered,
                lease_s_max=self._backend.capabilities.lease_s_max,
                tasks=services,
                resume=self._resume,
            )
            self._concluder = Concluder(
                self._backend,
                self._sender,
                self._settler,
                self._group,
                self._observers,
                holding=self._holding,
                clear_behind=self._clear_behind,
            )
            self._leases = LeaseKeeper(self._backend, self._queue, self._group.lease_s, services)
            services.start_soon(self._leases.run)
            self._clock = runtime.clock()
            self._turn = runtime.turns()
            async with anyio.create_task_group() as workers:
                enter_delivery(None)
                enter_trace(None)
                self._context = copy_context()
                self._workers = Crew(workers, self._work, members_max=self._group.concurrency)
                with self._polls:
                    await self._fetcher.run()
                self._polling.stop()
                services.start_soon(self._give_back_unbegun)
                with self._drain:
                    self._drain.deadline = runtime.now_s() + self._drain_s
                    await self._in_hand.wait_until_empty()
                workers.cancel_scope.cancel()
            self._settler.flush()
            with anyio.move_on_after(LAST_WORDS_S):
                await self._in_hand.wait_until_empty()
            services.cancel_scope.cancel()
        if self._interrupt is not None:
            raise KeyboardInterrupt from self._interrupt

    # --- taking in hand ---------------------------------------------------------------------------------------------

    def _admit(self, batch: Sequence[Received], asked_s: float) -> None:
        """Take messages in hand, and have a worker called for those whose turn it is."""
        now_s = self._clock()
        if self._polling.good(now_s, asked_s):
            _log.info("receiving from %s works again", self._queue, extra=self._log_fields)
        if not batch:
            return
        counts = self._counts
        redelivered = 0
        slot = self._leases.slot(asked_s, now_s)
        until_s = asked_s + self._group.lease_s
        for received in batch:
            if received.receive_count > 1:
                redelivered += 1
            lane = None if received.group is None else self._opener.lane(received)
            opened: tuple[Handler, Delivery[object]] | Exception
            try:
                opened = self._opener.open(received)
                handler_counts = self._counts_by_type[opened[1].headers.type]
            except Exception as error:  # noqa: BLE001 - judged with the others
                opened = error
                handler_counts = counts.unopened
            lease = Lease(received, opened, lane, handler_counts, asked_s, until_s, slot)
            self._in_hand.add(lease)
            if lane is None or self._lanes.enter(lease):
                self._ready.append(lease)
        counts.received += len(batch)
        counts.redelivered += redelivered
        if self._observers is not None:
            self._observers.note(
                ReceivedEvent(queue=self._queue, group=self._group.name, count=len(batch), redelivered=redelivered)
            )
        self._call_worker()

    def _call_worker(self) -> None:
        """Have the next message in line taken, unless somebody is on the way already."""
        if self._ready and not self._worker_called:
            self._worker_called = self._workers.call()

    # --- working ----------------------------------------------------------------------------------------------------

    async def _work(self) -> bool:
        """Handle messages until none waits. False if this task should not be used again."""
        self._worker_called = False
        enter_trace(None)
        settler = self._settler
        settler.flush()
        turns = 0
        while self._ready:
            with anyio.CancelScope() as scope:
                while self._ready:
                    lease = self._ready.popleft()
                    if not self._worker_called:
                        self._call_worker()
                        if not self._worker_called:
                            settler.flush()  # nobody comes who would
                    fit = await self._handle(lease, scope)
                    if not (fit and self._is_unmarked()):
                        settler.flush()
                        return False
                    turns += 1
                    if turns % TURNS_MAX == 0:
                        settler.flush()
                        await self._turn()
                    elif not self._ready:
                        settler.flush()  # which may have made others ready
                    if lease.lost:
                        break  # the scope was cancelled with it, and so would be the next
            if scope.cancelled_caught and not self._is_unmarked():
                return False
        return True

    def _is_unmarked(self) -> bool:
        """Tell whether the context variables of this task are as they were before its first message."""
        enter_delivery(None)
        try:
            return copy_context() == self._context
        except Exception:  # noqa: BLE001 - values that were exchanged are compared, and may not like it
            return False

    async def _handle(self, lease: Lease, scope: anyio.CancelScope) -> bool:
        """Run the handler of one message and have the message settled. False if its task should not be used again."""
        opened = lease.opened
        if lease.lost:
            self._lose(lease)
            return True
        if isinstance(opened, Exception):
            self._services.start_soon(self._conclude, lease, opened, self._group.unknown_types or _FOREIGN)
            return True
        handler, delivery = opened
        lease.scope = scope
        error: Exception | None = None
        ending: BaseException | None = None
        watching: Watching | None = None
        if self._observers is not None:
            watching = self._observers.handling(handling(self._group, delivery))
        counts = lease.counts
        counts.calls += 1
        begun_s = self._clock()
        try:
            if handler.timeout_s is None:
                await handler(delivery)
            else:
                with anyio.fail_after(handler.timeout_s):
                    await handler(delivery)
        except Exception as raised:  # noqa: BLE001 - whatever a handler raises, its policy decides
            error = ending = raised
        except BaseException as raised:  # noqa: BLE001 - raised again unless it is the handler's own
            ending = raised
            error = ending = self._judge_interruption(lease, raised)
        finally:
            lease.scope = None
            counts.durations.note(took_s := self._clock() - begun_s)
            if watching is not None:
                watching.end(handled(self._group, lease, ending, took_s))
        if error is not None and (hear := hears_errors.get(None)) is not None:
            hear(handler, delivery, error)
        self._after_handler(lease, handler, error)
        return not isinstance(error, HandlerCancelledError)

    def _after_handler(self, lease: Lease, handler: Handler, error: Exception | None) -> None:
        if lease.lost:
            self._lose(lease)
        elif error is not None:
            lease.counts.failed += outcome_of(error, lease) == "failed"
            self._services.start_soon(self._conclude, lease, error, handler.retry)
        elif self._ordered:
            self._settler.post(lease, Acknowledge(receipt=lease.received.receipt), self._acknowledged_in_order)
        else:
            self._settler.post(lease, Acknowledge(receipt=lease.received.receipt), self._acknowledged)
            if lease.lane is not None:
                self._make_way(lease)  # this worker goes on with whatever is ready

    def _judge_interruption(self, lease: Lease, raised: BaseException) -> Exception:
        """Make a failure of what is the handler's own; let the rest go on, such as the end of the drain time."""
        failure = failure_of(raised)
        if isinstance(failure, HandlerExitError):
            text = "message %s of %s: %s; it counts as a failure, and the program goes on"
            which = (lease.received.message_id, self._queue, failure)
            _log.critical(text, *which, exc_info=raised, extra=log_fields(lease, self._group))
            return failure
        if is_interrupt(raised):
            # It goes on from `run`, when everything is given back: asyncio ends its loop where a task raises this.
            self._interrupt = raised
            self.hasten()
            return GivenBack("the program was interrupted", begun=True)
        if lease.lost:
            self._lose(lease)
            raise raised
        if failure is not None:
            return failure
        # Nobody has handled it.
        self._services.start_soon(self._give_back_interrupted, lease)
        raise raised

    # --- after the handler ------------------------------------------------------------------------------------------

    def _acknowledged(self, lease: Lease, taken: bool) -> None:  # noqa: FBT001 - called by the settler
        if taken:
            lease.counts.handled += 1
        else:
            lease.counts.unsettled += 1
        self._let_go(lease)

    def _acknowledged_in_order(self, lease: Lease, taken: bool) -> None:  # noqa: FBT001 - called by the settler
        self._acknowledged(lease, taken)
        if taken:
            self._next(lease)
        else:
            # It will come again, and before the others.
            self._services.start_soon(self._give_back_behind, lease)

    async def _conclude(self, lease: Lease, error: Exception, retry: Retry) -> None:
        """Do what the policy says about a failure."""
        attempt = lease.attempt
        if self._ordered and not isinstance(lease.opened, Exception):
            # Whoever stops or dies gives back what waits behind a message, and each time that counts as a receive. So
            # only failures in these hands are attempts here.
            attempt -= lease.received.receive_count - 1
        verdict = judge(error, attempt=attempt, retry=retry, random=runtime.random())
        taken = False
        try:
            taken = await self._concluder.conclude(lease, verdict, error)
        except Exception:  # noqa: BLE001 - a bug in here must not end the consumer
            text = "message %s of %s comes again when its lease ends"
            _log.exception(text, lease.received.message_id, self._queue, extra=log_fields(lease, self._group))
        if lease in self._holding:
            if not self._ordered:
                self._next(lease)
            return
        lease.counts.unsettled += not taken
        self._let_go(lease)
        if self._ordered and not taken:
            # It will come again, and before the others.
            await self._clear_behind(lease)
        self._next(lease)

    def _resume(self, lease: Lease) -> None:
        """Go on with a message that was being held."""
        if lease.lost and not self._ordered:
            self._note_lost(lease)
        elif lease.lost:
            self._lose(lease)
        elif self._ordered or self._lanes.enter(lease):
            self._ready.append(lease)
            self._call_worker()

    def _lose(self, lease: Lease) -> None:
        """The broker delivers the message again: leave it alone."""
        self._note_lost(lease)
        if self._ordered:
            self._services.start_soon(self._give_back_behind, lease)
        else:
            self._next(lease)

    def _note_lost(self, lease: Lease) -> None:
        lease.counts.lost += 1
        if self._observers is not None:
            self._observers.note(LeaseLost(**about(lease, self._group)))
        self._let_go(lease)

    def _next(self, lease: Lease) -> None:
        """Have the next message of the same key worked on."""
        self._make_way(lease)
        self._call_worker()

    def _make_way(self, lease: Lease) -> None:
        if lease.lane is not None and (following := self._lanes.leave(lease)) is not None:
            self._ready.append(following)

    def _let_go(self, lease: Lease) -> None:
        lease.drop()
        self._in_hand.remove(lease)
        self._bounds.activity += 1

    # --- giving back ------------------------------------------------------------------------------------------------

    async def _give_back_unbegun(self) -> None:
        """Let others have what no handler here is at work on; what waits behind a message before that message."""
        held = self._holding.close()
        ready, self._ready = self._ready, deque()
        await self._give_back_all(self._lanes.clear())
        await self._give_back_all(ready, held)

    async def _give_back_interrupted(self, lease: Lease) -> None:
        await self._clear_behind(lease)
        await self._concluder.give_back(lease)
        self._let_go(lease)
        self._next(lease)

    async def _give_back_behind(self, lease: Lease) -> None:
        """Clear the lane of a message that the broker is going to deliver again."""
        await self._clear_behind(lease)
        self._next(lease)

    async def _clear_behind(self, lease: Lease) -> None:
        await self._give_back_all(self._lanes.clear_behind(lease))

    async def _give_back_all(self, leases: Iterable[Lease], held: Iterable[tuple[Lease, float]] = ()) -> None:
        async with anyio.create_task_group() as tasks:
            for lease in leases:
                tasks.start_soon(self._give_back, lease)
            for lease, left_s in held:
                tasks.start_soon(self._give_back, lease, left_s)

    async def _give_back(self, lease: Lease, delay_s: float = 0.0) -> None:
        await self._concluder.give_back_unbegun(lease, delay_s=delay_s)
        self._let_go(lease)
