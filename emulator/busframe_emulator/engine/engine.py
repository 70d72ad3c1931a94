"""SQS as a state machine: handed a time and a request, it answers.

    engine = Engine(ids=Ids(salt))
    reply = engine.apply(now_us, Send(queue=address, body="hello", size_bytes=5))

Nothing in here waits, reads a clock or leaves anything to chance. A receive that has to wait is answered `Parked`; its
answer comes out of `take_answers` after some later `apply` or `advance`. `next_due` says when `advance` should be
called next. Whoever drives the engine (the HTTP server, the in-process backend, a simulation) owns the clock and the
waiting; all of them see the same states, since everything due is done before a request is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, overload

from busframe_emulator.delivery import CALM
from busframe_emulator.engine.directory import Directory
from busframe_emulator.engine.errors import SqsError, no_such_queue
from busframe_emulator.engine.events import Event
from busframe_emulator.engine.lagging import purge, show_approximately
from busframe_emulator.engine.moving import MoveTasks
from busframe_emulator.engine.queue import Surroundings
from busframe_emulator.engine.receiving import receive, receive_attempt
from busframe_emulator.engine.requests import (
    Batch,
    CancelMove,
    ChangeVisibility,
    CreateQueue,
    Delete,
    DeleteQueue,
    Deliveries,
    Done,
    FindQueue,
    GetQueue,
    ListMoves,
    ListQueues,
    ListSources,
    MoveCancelled,
    MoveStarted,
    MoveTaskViews,
    Outcomes,
    Parked,
    PurgeQueue,
    QueueNames,
    Receive,
    Send,
    Sent,
    SetQueue,
    StartMove,
    TagQueue,
)
from busframe_emulator.engine.sending import deduplication_id, send
from busframe_emulator.engine.settings import Limits
from busframe_emulator.engine.settling import change_visibility, delete
from busframe_emulator.engine.timers import Timers
from busframe_emulator.engine.waiter import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from busframe_emulator.delivery import Chooser
    from busframe_emulator.engine.changes import Changes
    from busframe_emulator.engine.events import Sink
    from busframe_emulator.engine.ids import Ids
    from busframe_emulator.engine.queue import Queue
    from busframe_emulator.engine.records import Saved
    from busframe_emulator.engine.requests import Delivery, Reply, Request
    from busframe_emulator.engine.settings import QueueAddress, QueueView

_DONE: Final = Done()


class _Queues(dict["QueueAddress", "Queue"]):
    """By address; asked for with every request, so it is the table itself that refuses."""

    def __missing__(self, address: QueueAddress) -> Queue:
        raise no_such_queue()


class Engine:
    """All queues of all accounts and regions.

    Not safe for threads: whoever drives it makes one call at a time.

    Attributes:
        answers: for parked receives; see `take_answers`.
        timers: to be looked at: before their `earliest_us` nothing is due. Cheaper than `next_due`, and no later: what
            was disarmed may still count.

    Args:
        ids: names things.
        chooser: decides where SQS leaves a choice.
        sink: is told every event, in order, during the call in which it comes to light.
        limits: bounds that a test may want smaller.
        changes: is told of whatever has to survive the process; None if nothing has to.
        saved: begin with what `changes` handed out before, for the same salt.

    Raises:
        ValueError: what was saved contradicts itself.
    """

    def __init__(
        self,
        *,
        ids: Ids,
        chooser: Chooser = CALM,
        sink: Sink | None = None,
        limits: Limits | None = None,
        changes: Changes | None = None,
        saved: Saved | None = None,
    ) -> None:
        self.answers: list[tuple[int, Deliveries]] = []
        self.timers = Timers()
        self._queues = _Queues()
        self._touched: list[Queue] = []
        self._limits = limits or Limits()
        self._around = Surroundings(
            queues=self._queues,
            timers=self.timers,
            limits=self._limits,
            ask=None if chooser is CALM else chooser.ask,
            sink=sink,
            touched=self._touched,
            answers=self.answers,
            changes=changes,
        )
        self._moves = MoveTasks(self._around, ids)
        self._directory = Directory(self._around, ids, removed=self._moves.forget)
        self._now_us = 0
        self._waiters: dict[int, Waiter] = {}
        self._waiters_made = 0
        self._actions: dict[type, Callable[..., Reply]] = {
            Send: self._send,
            Receive: self._receive,
            Delete: self._delete,
            ChangeVisibility: self._change_visibility,
            Batch: self._batch,
            CreateQueue: self._create_queue,
            DeleteQueue: self._delete_queue,
            PurgeQueue: self._purge_queue,
            FindQueue: self._find_queue,
            ListQueues: self._list_queues,
            ListSources: self._list_sources,
            GetQueue: self._get_queue,
            SetQueue: self._set_queue,
            TagQueue: self._tag_queue,
            StartMove: self._start_move,
            ListMoves: self._list_moves,
            CancelMove: self._cancel_move,
        }
        if saved is not None:
            from busframe_emulator.engine.restoring import restore  # most engines begin with nothing

            restore(saved, self._around, self._directory, self._moves, ids)

    # --- what a driver calls ----------------------------------------------------------------------------------------

    @overload
    def apply(self, now_us: int, request: Send) -> Sent: ...
    @overload
    def apply(self, now_us: int, request: Receive) -> Deliveries | Parked: ...
    @overload
    def apply(self, now_us: int, request: Batch) -> Outcomes: ...
    @overload
    def apply(self, now_us: int, request: ListQueues | ListSources) -> QueueNames: ...
    @overload
    def apply(self, now_us: int, request: GetQueue) -> QueueView: ...
    @overload
    def apply(self, now_us: int, request: StartMove) -> MoveStarted: ...
    @overload
    def apply(self, now_us: int, request: ListMoves) -> MoveTaskViews: ...
    @overload
    def apply(self, now_us: int, request: CancelMove) -> MoveCancelled: ...
    @overload
    def apply(
        self,
        now_us: int,
        request: Delete | ChangeVisibility | CreateQueue | DeleteQueue | PurgeQueue | FindQueue | SetQueue | TagQueue,
    ) -> Done: ...
    @overload
    def apply(self, now_us: int, request: Request) -> Reply: ...
    def apply(self, now_us: int, request: Request) -> Reply:
        """Do what is due, then what is asked.

        Args:
            now_us: microseconds; never less than before.
            request: one of `busframe_emulator.engine.requests`.

        Raises:
            SqsError: the request is refused and changed nothing.
        """
        if now_us >= self.timers.earliest_us or now_us < self._now_us:
            self.advance(now_us)
        self._now_us = now_us
        reply = self._actions[type(request)](now_us, request)
        if self._touched:
            self._serve_waiters(now_us)
        return reply

    def advance(self, now_us: int) -> None:
        """Do everything that is due at `now_us` or before, each at its own time and in the order of those times."""
        assert now_us >= self._now_us, f"time went back from {self._now_us} to {now_us}"  # noqa: S101 - a driver's bug
        self._now_us = now_us
        timers = self.timers
        while (due := timers.pop_due(now_us)) is not None:
            at_us, subject = due
            subject.fire(at_us)
            # What falls due at one instant is all there before anybody is served.
            if self._touched and timers.next_due() != at_us:
                self._serve_waiters(at_us)

    def next_due(self) -> int | None:
        """When to call `advance` next; None if nothing is pending."""
        return self.timers.next_due()

    def take_answers(self) -> list[tuple[int, Deliveries]]:
        """Take the answers for parked receives, by the number in `Parked`, in the order they came about."""
        answers = self.answers[:]
        self.answers.clear()
        for number, _ in answers:
            self._waiters.pop(number, None)
        return answers

    def cancel(self, waiter: int) -> None:
        """Forget a parked receive: the caller went away. Fine if it was answered meanwhile."""
        parked = self._waiters.pop(waiter, None)
        if parked is not None and parked.queue.waiters.pop(waiter, None) is not None:
            self.timers.disarm(parked)
            parked.queue.tell("wait_ended", self._now_us, None, waiter)

    def look(self, now_us: int) -> tuple[Mapping[QueueAddress, Queue], Timers]:
        """The queues and their timers as they are at `now_us`, for `inspection`, which changes nothing."""
        self.advance(now_us)
        return self._queues, self.timers

    # --- messages ---------------------------------------------------------------------------------------------------

    def _send(self, now_us: int, request: Send) -> Sent:
        return send(self._queues[request.queue], now_us, request)

    def _receive(self, now_us: int, request: Receive) -> Deliveries | Parked:
        queue = self._queues[request.queue]
        settings = queue.settings
        wait_us = settings.wait_us if request.wait_us is None else request.wait_us
        visibility_us = settings.visibility_us if request.visibility_us is None else request.visibility_us
        attempt_id = request.attempt_id if settings.fifo else None
        nth = 0
        if self._around.ask is not None:
            nth = queue.count("receive")
        if attempt_id is None:
            deliveries = receive(queue, now_us, request.limit, visibility_us, nth, short=not wait_us)
        else:
            deliveries = receive_attempt(
                queue, now_us, request.limit, visibility_us, nth, attempt_id=attempt_id, short=not wait_us
            )
        if deliveries or not wait_us:
            return Deliveries(deliveries)
        self._waiters_made += 1
        waiter = Waiter(self._waiters_made, queue, request.limit, visibility_us, nth=nth, attempt_id=attempt_id)
        queue.waiters[waiter.number] = self._waiters[waiter.number] = waiter
        self.timers.arm(now_us + wait_us, waiter)
        if self._around.sink is not None:
            self._around.sink(Event("waiting", now_us, queue.address, 0, waiter.number, now_us + wait_us))
        if queue.visible and settings.redrive is not None:
            # This very receive may have dead-lettered messages: to where they were, or out of the sight of others.
            self._touched.append(queue)
        return Parked(waiter=waiter.number)

    def _delete(self, now_us: int, request: Delete) -> Done:
        return delete(self._queues[request.queue], now_us, request)

    def _change_visibility(self, now_us: int, request: ChangeVisibility) -> Done:
        return change_visibility(self._queues[request.queue], now_us, request)

    def _batch(self, now_us: int, request: Batch) -> Outcomes:
        queue = self._queues[request.queue]
        if queue.settings.fifo:
            _check_ordered_batch(queue, request)
        outcomes: list[Sent | Done | SqsError] = []
        for entry in request.requests:
            try:
                if isinstance(entry, Delete):
                    outcomes.append(delete(queue, now_us, entry))
                elif isinstance(entry, Send):
                    outcomes.append(send(queue, now_us, entry, in_batch=True))
                else:
                    outcomes.append(change_visibility(queue, now_us, entry))
            except SqsError as error:
                outcomes.append(error)
        return Outcomes(outcomes=outcomes)

    def _serve_waiters(self, now_us: int) -> None:
        """Hand what became visible to those who wait, first come first; each takes as much as it asked for."""
        touched = self._touched
        while touched:
            queue = touched.pop()
            while queue.waiters:
                waiter = next(iter(queue.waiters.values()))
                deliveries = _serve(queue, waiter, now_us)
                if not deliveries:
                    break
                self._answer(waiter, deliveries, now_us)
                if waiter.attempt_id is not None:
                    self._answer_again(queue, waiter.attempt_id, now_us)

    def _answer_again(self, queue: Queue, attempt_id: str, now_us: int) -> None:
        """Hand the same to those who asked again while the first still waited, wherever they are in line."""
        for waiter in [waiter for waiter in queue.waiters.values() if waiter.attempt_id == attempt_id]:
            deliveries = _serve(queue, waiter, now_us)
            if deliveries:
                self._answer(waiter, deliveries, now_us)

    def _answer(self, waiter: Waiter, deliveries: list[Delivery], now_us: int) -> None:
        del waiter.queue.waiters[waiter.number]
        self.timers.disarm(waiter)
        waiter.queue.tell("wait_ended", now_us, None, waiter.number)
        self.answers.append((waiter.number, Deliveries(deliveries=deliveries)))

    # --- queues -----------------------------------------------------------------------------------------------------

    def _create_queue(self, now_us: int, request: CreateQueue) -> Done:
        self._directory.create(now_us, request)
        return _DONE

    def _set_queue(self, now_us: int, request: SetQueue) -> Done:
        self._directory.change(now_us, request)
        return _DONE

    def _tag_queue(self, now_us: int, request: TagQueue) -> Done:  # noqa: ARG002 - all actions are called alike
        queue = self._queues[request.queue]
        tags = queue.tags
        tags.update(request.add)
        for key in request.remove:
            tags.pop(key, None)
        if self._around.changes is not None:
            self._around.changes.note_queue(queue)
        return _DONE

    def _delete_queue(self, now_us: int, request: DeleteQueue) -> Done:
        self._directory.remove(now_us, request.queue)
        return _DONE

    def _purge_queue(self, now_us: int, request: PurgeQueue) -> Done:
        queue = self._queues[request.queue]
        if queue.purged_us is not None and now_us < queue.purged_us + self._limits.purge_interval_us:
            name = request.queue.name
            raise SqsError(
                "PurgeQueueInProgress", f"Only one PurgeQueue operation on {name} is allowed every 60 seconds."
            )
        purge(queue, now_us)
        return _DONE

    def _find_queue(self, now_us: int, request: FindQueue) -> Done:  # noqa: ARG002 - all actions are called alike
        self._queues[request.queue]
        return _DONE

    def _list_queues(self, now_us: int, request: ListQueues) -> QueueNames:  # noqa: ARG002 - all actions are called alike
        return self._directory.names(request)

    def _list_sources(self, now_us: int, request: ListSources) -> QueueNames:  # noqa: ARG002 - all actions are called alike
        return self._directory.sources(request)

    def _get_queue(self, now_us: int, request: GetQueue) -> QueueView:
        queue = self._queues[request.queue]
        return show_approximately(queue, now_us) if request.approximate else queue.view()

    # --- message move tasks -----------------------------------------------------------------------------------------

    def _start_move(self, now_us: int, request: StartMove) -> MoveStarted:
        return self._moves.start(now_us, request, has_sources=self._directory.has_sources(request.source))

    def _list_moves(self, now_us: int, request: ListMoves) -> MoveTaskViews:  # noqa: ARG002 - all actions are called alike
        return self._moves.list(request)

    def _cancel_move(self, now_us: int, request: CancelMove) -> MoveCancelled:  # noqa: ARG002 - all actions are called alike
        return self._moves.cancel(request)


def _serve(queue: Queue, waiter: Waiter, now_us: int) -> list[Delivery]:
    if waiter.attempt_id is None:
        return receive(queue, now_us, waiter.limit, waiter.visibility_us, waiter.nth, short=False)
    return receive_attempt(
        queue, now_us, waiter.limit, waiter.visibility_us, waiter.nth, attempt_id=waiter.attempt_id, short=False
    )


def _check_ordered_batch(queue: Queue, batch: Batch) -> None:
    """Refuse the whole batch where one entry lacks what a FIFO queue needs. Recorded on AWS: not entry by entry."""
    for entry in batch.requests:
        if isinstance(entry, Send):
            if entry.group is None:
                raise SqsError(
                    "InvalidParameterValueException", "The request must contain the parameter MessageGroupId."
                )
            deduplication_id(queue, entry)
