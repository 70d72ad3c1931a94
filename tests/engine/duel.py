"""One history, run through the engine and the reference side by side, and compared after every step."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from engine.asking import request_for, time_after
from engine.histories import LIMITS, QUEUES, Cancel, Pass, Stop, company, settings_of
from engine.reference import Accepted, Handed, Name, Receipt, Reference, RefusedError, Sending, Settling
from engine.world import START_US

from busframe_emulator.delivery import CALM
from busframe_emulator.engine import Engine, Ids, QueueAddress, SqsError
from busframe_emulator.engine.requests import (
    Batch,
    CancelMove,
    ChangeVisibility,
    CreateQueue,
    Delete,
    DeleteQueue,
    Deliveries,
    Delivery,
    Done,
    GetQueue,
    ListMoves,
    ListQueues,
    ListSources,
    MoveCancelled,
    MoveStarted,
    Outcomes,
    Parked,
    PurgeQueue,
    Receive,
    Send,
    Sent,
    SetQueue,
    StartMove,
    TagQueue,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.histories import History, QueuePlan, Step

    from busframe_emulator.delivery import Chooser
    from busframe_emulator.engine import Limits
    from busframe_emulator.engine.requests import Reply, Request

Answer = Accepted | list[Handed] | int | tuple[Accepted | RefusedError | None, ...] | None
"""What the reference says: a wait and a move task are answered by their number, a batch by a tuple."""

TIMELINE_LENGTH: Final = 30


class DifferenceError(AssertionError):
    """The engine and the reference disagree."""


class Pairs:
    """Names that the engine and the reference use for the same thing; neither may use one for two things."""

    def __init__(self) -> None:
        self._theirs: dict[object, object] = {}
        self._ours: dict[object, object] = {}

    def match(self, ours: object, theirs: object) -> bool:
        return self._theirs.setdefault(ours, theirs) == theirs and self._ours.setdefault(theirs, ours) == ours


class Duel:
    """One history on both. "Ours" is the engine's, "theirs" the reference's."""

    def __init__(self, plans: tuple[QueuePlan, ...], limits: Limits = LIMITS, chooser: Chooser = CALM) -> None:
        self.now_us = START_US
        self.engine = Engine(ids=Ids(1), limits=limits, chooser=chooser)
        self.reference = Reference(limits, chooser)
        self.timeline: deque[str] = deque(maxlen=TIMELINE_LENGTH)
        self._settings = [settings_of(index, plan) for index, plan in enumerate(plans)]
        self._receipts: list[tuple[QueueAddress, str]] = []
        self._translations: dict[str, Receipt] = {}
        self._waiters: list[int] = []
        self._names = Pairs()
        self._sequences: dict[int, Pairs] = {}
        # Work and dead name each other, perhaps: first all are made, then told of the others.
        for where, settings in zip(QUEUES, self._settings, strict=True):
            made = {name: value for name, value in settings.items() if name != "redrive"}
            self._ask(CreateQueue(queue=where, settings=made))
        for where, settings in zip(QUEUES, self._settings, strict=True):
            self._ask(SetQueue(queue=where, settings={"redrive": settings.get("redrive")}))

    def run(self, steps: Sequence[Step]) -> None:
        """Take the steps.

        Raises:
            DifferenceError: something differs; its text has the last steps before it.
        """
        for number, step in enumerate(steps):
            self._note(f"{number:4} {(self.now_us - START_US) / 1e6:14.6f}  {step}")
            self._take_step(step)
            self._compare_answers()
            self._compare_queues()
            self._compare_lists()
            self._compare_moves()
            due_us = self.engine.next_due()
            self._check("next_due", due_us is None or due_us > self.now_us, ours=due_us, theirs=self.now_us)

    # --- steps ------------------------------------------------------------------------------------------------------

    def _take_step(self, step: Step) -> None:
        match step:
            case Pass(for_us):
                self.now_us = time_after(self.now_us, for_us, self.engine.next_due())
                self.engine.advance(self.now_us)
                self.reference.advance(self.now_us)
            case Cancel(waiter):
                if waiter < len(self._waiters):
                    self.engine.cancel(self._waiters[-1 - waiter])
                    self.reference.cancel(self._waiters[-1 - waiter])
            case Stop(queue):
                self._stop(QUEUES[queue])
            case _:
                request = request_for(step, self._receipts, self._settings)
                if request is not None:
                    self._ask(request)

    def _stop(self, where: QueueAddress) -> None:
        try:
            tasks = self.engine.apply(self.now_us, ListMoves(source=where)).tasks
        except SqsError:
            return
        for task in tasks:
            self._ask(CancelMove(source=where, task_id=task.task_id))

    def _ask(self, request: Request) -> None:
        """Ask both, and compare what they say."""
        ours: Reply | str
        theirs: Answer | str
        try:
            ours = self.engine.apply(self.now_us, request)
        except SqsError as error:
            ours = error.shape
        self.reference.advance(self.now_us)
        try:
            theirs = self._ask_reference(request)
        except RefusedError as error:
            theirs = error.shape
        if isinstance(ours, Sent) and isinstance(theirs, Accepted):
            self._compare_sent(ours, theirs)
        elif isinstance(ours, MoveStarted):
            self._check("move task", self._names.match(ours.task_id, theirs), ours, theirs)
        elif isinstance(ours, MoveCancelled):
            self._check("cancelled task", ours.moved == theirs, ours, theirs)
        elif isinstance(ours, Parked):
            self._check("number of the waiter", ours.waiter == theirs, ours, theirs)
            self._waiters.append(ours.waiter)
        elif isinstance(ours, Deliveries) and isinstance(theirs, list) and isinstance(request, Receive):
            self._compare_deliveries(request.queue, ours.deliveries, theirs)
        elif isinstance(ours, Outcomes) and isinstance(theirs, tuple):
            self._compare_outcomes(ours, theirs)
        else:
            same = theirs is None if isinstance(ours, Done) else isinstance(ours, str) and ours == theirs
            self._check("reply", same, ours, theirs)

    def _ask_reference(self, request: Request) -> Answer:
        there = self.reference
        match request:
            case Receive(queue=where):
                return there.receive(where, request.limit, request.visibility_us, request.wait_us, request.attempt_id)
            case StartMove(source=where):
                return there.start_move(where, request.destination, request.per_s)
            case CancelMove(source=where):
                return there.cancel_move(where)
            case Batch(queue=where, requests=requests):
                return tuple(there.batch(where, [self._translated(entry) for entry in requests]))
            case Send() | Delete() | ChangeVisibility():
                return there.single(request.queue, self._translated(request))
            case _:
                self._manage_reference(request)
                return None

    def _manage_reference(self, request: Request) -> None:
        match request:
            case CreateQueue(queue=where, settings=settings):
                self.reference.create(where, settings)
            case SetQueue(queue=where, settings=settings):
                self.reference.change(where, settings)
            case PurgeQueue(queue=where):
                self.reference.purge(where)
            case DeleteQueue(queue=where):
                self.reference.remove(where)
            case TagQueue(queue=where, add=add, remove=remove):
                self.reference.tag(where, add, remove)
            case _:
                raise AssertionError(request)

    def _translated(self, request: Send | Delete | ChangeVisibility) -> Sending | Settling:
        match request:
            case Send():
                return Sending(
                    request.body, request.size_bytes, request.group, request.deduplication_id, request.delay_us
                )
            case Delete():
                return Settling(self._translations[request.receipt], None)
            case ChangeVisibility():
                return Settling(self._translations[request.receipt], request.visibility_us)

    # --- comparing --------------------------------------------------------------------------------------------------

    def _compare_outcomes(self, ours: Outcomes, theirs: tuple[Accepted | RefusedError | None, ...]) -> None:
        self._check("number of outcomes", len(ours.outcomes) == len(theirs), ours, theirs)
        for our, their in zip(ours.outcomes, theirs, strict=True):
            if isinstance(our, Sent) and isinstance(their, Accepted):
                self._compare_sent(our, their)
            elif isinstance(our, SqsError) and isinstance(their, RefusedError):
                self._check("refusal", our.shape == their.shape, our, their)
            else:
                self._check("outcome", isinstance(our, Done) and their is None, our, their)

    def _compare_sent(self, ours: Sent, theirs: Accepted) -> None:
        same = ours.duplicate == theirs.duplicate and self._names.match(ours.message_id, theirs.name)
        self._check("sent", same, ours, theirs)
        self._check_sequence(ours.sequence, theirs.sequence)

    def _compare_deliveries(self, where: QueueAddress, ours: Sequence[Delivery], theirs: list[Handed]) -> None:
        self._check("number of deliveries", len(ours) == len(theirs), ours, theirs)
        for our, their in zip(ours, theirs, strict=True):
            mine = (our.body, our.receive_count, our.sent_us, our.first_received_us, our.group, our.source)
            same = mine == (their.body, their.count, their.sent_us, their.first_us, their.group, their.source)
            self._check("delivery", same and self._names.match(our.message_id, their.name), our, their)
            if isinstance(their.deduplication, Name):
                same = self._names.match(our.deduplication_id, their.deduplication)
            else:
                same = our.deduplication_id == their.deduplication
            self._check("deduplication id", same, our, their)
            came_along = (our.attributes, our.trace_header, our.sender)
            self._check("what came along", came_along == company(our.body), came_along, company(our.body))
            self._check_sequence(our.sequence, their.sequence)
            self._receipts.append((where, our.receipt))
            self._translations[our.receipt] = their.receipt

    def _compare_answers(self) -> None:
        """Those who waited were told the same, in the same order."""
        ours = self.engine.take_answers()
        theirs, self.reference.answers = self.reference.answers, []
        same = [number for number, _ in ours] == [number for number, _, _ in theirs]
        self._check("answered waiters", same, ours, theirs)
        for (_, our), (_, where, their) in zip(ours, theirs, strict=True):
            self._note(f"     answered in {where.name}: {[handed.body for handed in their]}")
            self._compare_deliveries(where, our.deliveries, their)

    def _compare_queues(self) -> None:
        for where in QUEUES:
            theirs = self.reference.look(where)
            try:
                view = self.engine.apply(self.now_us, GetQueue(queue=where))
            except SqsError:
                self._check("the queue is there", theirs is None, ours=False, theirs=True)
                continue
            ours = ((view.visible, view.in_flight, view.delayed), view.oldest_sent_us, view.settings, view.tags)
            self._check(where.name, ours == theirs, ours, theirs)

    def _compare_lists(self) -> None:
        region, account, _ = QUEUES[0]
        ours = self.engine.apply(self.now_us, ListQueues(region=region, account=account)).names
        theirs = self.reference.names()
        self._check("names", ours == theirs, ours, theirs)
        for name in theirs:
            where = QueueAddress(region, account, name)
            sources = self.engine.apply(self.now_us, ListSources(queue=where)).names
            same = sources == self.reference.sources(where)
            self._check(f"sources of {name}", same, sources, self.reference.sources(where))

    def _compare_moves(self) -> None:
        for where in QUEUES:
            theirs = self.reference.moves(where)
            try:
                tasks = self.engine.apply(self.now_us, ListMoves(source=where, limit=10)).tasks
            except SqsError:
                continue
            ours = [(task.status, task.moved, task.to_move, task.failure) for task in tasks]
            self._check(f"move tasks of {where.name}", ours == theirs, ours, theirs)

    def _check_sequence(self, ours: str | None, theirs: Name | None) -> None:
        same = ours is None if theirs is None else self._sequences.setdefault(theirs.queue, Pairs()).match(ours, theirs)
        self._check("sequence number", same, ours, theirs)

    def _check(self, what: str, same: bool, ours: object, theirs: object) -> None:  # noqa: FBT001 - it is the question
        if not same:
            raise DifferenceError(self._report(what, ours, theirs))

    def _report(self, what: str, ours: object, theirs: object) -> str:
        last = "\n".join(self.timeline)
        return (
            f"{what} differs\n  engine:    {ours}\n  reference: {theirs}\nlast steps (number, seconds, step):\n{last}"
        )

    def _note(self, line: str) -> None:
        self.timeline.append(line)


def run(history: History, chooser: Chooser = CALM) -> None:
    """Run a whole history; the text of a difference says how its queues were set up."""
    try:
        Duel(history.plans, history.limits, chooser).run(history.steps)
    except DifferenceError as error:
        plans = "\n".join(f"  {where.name}: {plan}" for where, plan in zip(QUEUES, history.plans, strict=True))
        raise DifferenceError(f"{error}\nqueues:\n{plans}") from None
