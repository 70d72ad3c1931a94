"""SQS as a state machine: handed a time and a request, it answers.

    engine = Engine(ids=Ids(salt))
    reply = engine.apply(now_us, Send(queue=address, body="hello", size_bytes=5))

Nothing in here waits, reads a clock or leaves anything to chance. A receive that has to wait is answered `Parked`; its
answer comes out of `take_answers` after some later `apply` or `advance`. `next_due` says when `advance` should be
called next. Whoever drives the engine (the HTTP server, the in-process backend, a simulation) owns the clock and the
waiting; all of them see the same states, since everything due is done before a request is looked at.
"""

from __future__ import annotations

from collections import deque
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final, overload

from busframe_emulator.delivery import CALM
from busframe_emulator.engine.errors import SqsError, invalid_value, no_such_queue
from busframe_emulator.engine.events import Event
from busframe_emulator.engine.queue import Queue, Surroundings
from busframe_emulator.engine.requests import (
    Batch,
    ChangeVisibility,
    CreateQueue,
    Delete,
    DeleteQueue,
    Deliveries,
    Done,
    FindQueue,
    GetQueue,
    ListQueues,
    Outcomes,
    Parked,
    PurgeQueue,
    QueueNames,
    Receive,
    Send,
    Sent,
    SetQueue,
    TagQueue,
)
from busframe_emulator.engine.settings import WIRE_NAMES, Limits, QueueSettings, QueueView
from busframe_emulator.engine.timers import Timers
from busframe_emulator.engine.waiter import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.delivery import Chooser
    from busframe_emulator.engine.events import Sink
    from busframe_emulator.engine.ids import Ids
    from busframe_emulator.engine.requests import Reply, Request
    from busframe_emulator.engine.settings import QueueAddress, Redrive

_DONE: Final = Done()


class Engine:
    """All queues of all accounts and regions.

    Not safe for threads: whoever drives it makes one call at a time.

    Args:
        ids: names things.
        chooser: decides where SQS leaves a choice.
        sink: is told every event, in order, during the call in which it comes to light.
        limits: bounds that a test may want smaller.
    """

    def __init__(
        self, *, ids: Ids, chooser: Chooser = CALM, sink: Sink | None = None, limits: Limits | None = None
    ) -> None:
        self.answers: list[tuple[int, Deliveries]] = []
        self._ids = ids
        self._timers = Timers()
        self._queues: dict[QueueAddress, Queue] = {}
        self._touched: list[Queue] = []
        self._limits = limits or Limits()
        self._sink = sink
        self._around = Surroundings(
            queues=self._queues,
            timers=self._timers,
            limits=self._limits,
            ask=None if chooser is CALM else chooser.ask,
            sink=sink,
            touched=self._touched,
            answers=self.answers,
        )
        self._now_us = 0
        self._queues_made = 0
        self._waiters: dict[int, Waiter] = {}
        self._waiters_made = 0
        self._deleted: dict[QueueAddress, int] = {}
        self._deletions: deque[tuple[int, QueueAddress]] = deque()
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
            GetQueue: self._get_queue,
            SetQueue: self._set_queue,
            TagQueue: self._tag_queue,
        }

    # --- what a driver calls ----------------------------------------------------------------------------------------

    @overload
    def apply(self, now_us: int, request: Send) -> Sent: ...
    @overload
    def apply(self, now_us: int, request: Receive) -> Deliveries | Parked: ...
    @overload
    def apply(self, now_us: int, request: Batch) -> Outcomes: ...
    @overload
    def apply(self, now_us: int, request: ListQueues) -> QueueNames: ...
    @overload
    def apply(self, now_us: int, request: GetQueue) -> QueueView: ...
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
        if now_us >= self._timers.earliest_us or now_us < self._now_us:
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
        timers = self._timers
        while (due := timers.pop_due(now_us)) is not None:
            at_us, subject = due
            subject.fire(at_us)
            # What falls due at one instant is all there before anybody is served.
            if self._touched and timers.next_due() != at_us:
                self._serve_waiters(at_us)

    def next_due(self) -> int | None:
        """When to call `advance` next; None if nothing is pending."""
        return self._timers.next_due()

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
            self._timers.disarm(parked)

    # --- messages ---------------------------------------------------------------------------------------------------

    def _send(self, now_us: int, request: Send) -> Sent:
        return self._queue(request.queue).send(now_us, request)

    def _receive(self, now_us: int, request: Receive) -> Deliveries | Parked:
        queue = self._queue(request.queue)
        settings = queue.settings
        wait_us = settings.wait_us if request.wait_us is None else request.wait_us
        visibility_us = settings.visibility_us if request.visibility_us is None else request.visibility_us
        deliveries = queue.receive(now_us, request.limit, visibility_us, short=not wait_us)
        if deliveries or not wait_us:
            return Deliveries(deliveries=deliveries)
        self._waiters_made += 1
        waiter = Waiter(self._waiters_made, queue, request.limit, visibility_us)
        queue.waiters[waiter.number] = self._waiters[waiter.number] = waiter
        self._timers.arm(now_us + wait_us, waiter)
        if queue.visible and settings.redrive is not None and settings.redrive.target == queue.address:
            # This very receive may have dead-lettered messages to where they were.
            self._touched.append(queue)
        return Parked(waiter=waiter.number)

    def _delete(self, now_us: int, request: Delete) -> Done:
        return self._queue(request.queue).delete(now_us, request)

    def _change_visibility(self, now_us: int, request: ChangeVisibility) -> Done:
        return self._queue(request.queue).change_visibility(now_us, request)

    def _batch(self, now_us: int, request: Batch) -> Outcomes:
        queue = self._queue(request.queue)
        if queue.settings.fifo:
            _check_ordered_batch(queue, request)
        outcomes: list[Sent | Done | SqsError] = []
        for entry in request.requests:
            try:
                match entry:
                    case Send():
                        outcomes.append(queue.send(now_us, entry, in_batch=True))
                    case Delete():
                        outcomes.append(queue.delete(now_us, entry))
                    case ChangeVisibility():
                        outcomes.append(queue.change_visibility(now_us, entry))
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
                deliveries = queue.receive(now_us, waiter.limit, waiter.visibility_us, short=False)
                if not deliveries:
                    break
                del queue.waiters[waiter.number]
                self._timers.disarm(waiter)
                self.answers.append((waiter.number, Deliveries(deliveries=deliveries)))

    # --- queues -----------------------------------------------------------------------------------------------------

    def _queue(self, address: QueueAddress) -> Queue:
        queue = self._queues.get(address)
        if queue is None:
            raise no_such_queue()
        return queue

    def _create_queue(self, now_us: int, request: CreateQueue) -> Done:
        address = request.queue
        queue = self._queues.get(address)
        if queue is not None:
            _require_same(queue, request)
            return _DONE
        while self._deletions and self._deletions[0][0] <= now_us:
            self._deleted.pop(self._deletions.popleft()[1], None)
        if address in self._deleted:
            wait = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
            raise SqsError("QueueDeletedRecently", wait)
        settings = replace(QueueSettings(), **request.settings)  # type: ignore[arg-type]  # names are checked by the caller
        self._check_redrive(address, settings)
        self._queues_made += 1
        ids = self._ids.for_queue(self._queues_made)
        self._queues[address] = Queue(
            self._around, address, ids=ids, settings=settings, tags=request.tags, now_us=now_us
        )
        self._tell(Event("queue_created", now_us, address))
        return _DONE

    def _set_queue(self, now_us: int, request: SetQueue) -> Done:
        queue = self._queue(request.queue)
        settings = replace(queue.settings, **request.settings)  # type: ignore[arg-type]  # names are checked by the caller
        if "redrive" in request.settings:
            self._check_redrive(request.queue, settings)
        # A changed scope applies to queues made with it only: recorded on AWS in both directions.
        settings.deduplication_scope = queue.settings.deduplication_scope
        queue.settings = settings
        queue.modified_us = now_us
        queue.housekeep(now_us)
        self._tell(Event("queue_changed", now_us, request.queue))
        return _DONE

    def _tag_queue(self, now_us: int, request: TagQueue) -> Done:  # noqa: ARG002 - all actions are called alike
        tags = self._queue(request.queue).tags
        tags.update(request.add)
        for key in request.remove:
            tags.pop(key, None)
        return _DONE

    def _check_redrive(self, address: QueueAddress, settings: QueueSettings) -> None:
        redrive = settings.redrive
        if redrive is None:
            return
        target = self._queues.get(redrive.target)
        if redrive.target != address:
            if target is None:
                raise invalid_value("RedrivePolicy", _redrive_text(redrive), "Dead letter target does not exist.")
            if (redrive.target.region, redrive.target.account) != (address.region, address.account):
                reason = "Dead-letter queue must be in the same account and region as the source."
                raise invalid_value("RedrivePolicy", _redrive_text(redrive), reason)
            if target.settings.fifo != settings.fifo:
                kind = "FIFO" if settings.fifo else "standard"
                reason = f"Dead-letter queue must be same type of queue as the source: {kind}."
                raise invalid_value("RedrivePolicy", _redrive_text(redrive), reason)
        allow = target.settings.redrive_allow if target is not None else settings.redrive_allow
        if allow is not None and (
            allow.permission == "denyAll" or (allow.permission == "byQueue" and address not in allow.sources)
        ):
            reason = f"Queue {redrive.target.arn} does not allow {address.arn} as a source of dead letters."
            raise invalid_value("RedrivePolicy", _redrive_text(redrive), reason)

    def _delete_queue(self, now_us: int, request: DeleteQueue) -> Done:
        address = request.queue
        self._queue(address).close(now_us)
        del self._queues[address]
        until_us = now_us + self._limits.recreate_after_us
        if until_us > now_us:
            self._deleted[address] = until_us
            self._deletions.append((until_us, address))
        self._tell(Event("queue_deleted", now_us, address))
        return _DONE

    def _purge_queue(self, now_us: int, request: PurgeQueue) -> Done:
        queue = self._queue(request.queue)
        if queue.purged_us is not None and now_us < queue.purged_us + self._limits.purge_interval_us:
            name = request.queue.name
            raise SqsError(
                "PurgeQueueInProgress", f"Only one PurgeQueue operation on {name} is allowed every 60 seconds."
            )
        queue.purge(now_us)
        return _DONE

    def _find_queue(self, now_us: int, request: FindQueue) -> Done:  # noqa: ARG002 - all actions are called alike
        self._queue(request.queue)
        return _DONE

    def _list_queues(self, now_us: int, request: ListQueues) -> QueueNames:  # noqa: ARG002 - all actions are called alike
        names = sorted(
            address.name
            for address in self._queues
            if address.region == request.region
            and address.account == request.account
            and address.name.startswith(request.prefix)
            and address.name > request.after
        )
        return QueueNames(names=names[: request.limit])

    def _get_queue(self, now_us: int, request: GetQueue) -> QueueView:  # noqa: ARG002 - all actions are called alike
        queue = self._queue(request.queue)
        return QueueView(
            address=queue.address,
            settings=queue.settings,
            tags=queue.tags,
            created_us=queue.created_us,
            modified_us=queue.modified_us,
            visible=queue.visible,
            in_flight=queue.in_flight,
            delayed=queue.delayed,
            oldest_sent_us=queue.oldest_sent_us(),
        )

    def _tell(self, event: Event) -> None:
        if self._sink is not None:
            self._sink(event)


def _require_same(queue: Queue, request: CreateQueue) -> None:
    """Creating again is fine with the same settings, or some of them."""
    for setting in fields(QueueSettings):
        name = setting.name
        if name in request.settings and request.settings[name] != getattr(queue.settings, name):
            raise SqsError(
                "QueueNameExists",
                f"A queue already exists with the same name and a different value for attribute {WIRE_NAMES[name]}",
            )


def _check_ordered_batch(queue: Queue, batch: Batch) -> None:
    """Refuse the whole batch where one entry lacks what a FIFO queue needs. Recorded on AWS: not entry by entry."""
    for entry in batch.requests:
        if isinstance(entry, Send):
            if entry.group is None:
                raise SqsError(
                    "InvalidParameterValueException", "The request must contain the parameter MessageGroupId."
                )
            queue.deduplication_id(entry)


def _redrive_text(redrive: Redrive) -> str:
    return f'{{"deadLetterTargetArn":"{redrive.target.arn}","maxReceiveCount":{redrive.max_receive_count}}}'
