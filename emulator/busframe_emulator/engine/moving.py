"""Message move tasks: dead letters on their way back.

A task moves what is in its queue when it begins, one message at a time and evenly over each second, in the order in
which they came there. What comes later stays for another task, so every task comes to an end. So does what cannot be
received when its turn comes: it is in flight or delayed, or, on a FIFO queue, behind such a message of its group.

Without a destination each message goes to the queue it was dead-lettered from. The first for which there is no such
queue fails the task, and stays.

Sources: Amazon SQS API, StartMessageMoveTask and its likes; developer guide, "Dead-letter queue redrive" and
"Troubleshoot dead-letter queue redrive" (the reasons of failure). Which messages a task moves is not said there, nor
how it is told that one of the two limits is met (`Limits.move_task_us_max`, `Limits.move_tasks_max`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.message import NOTHING_RARE, VISIBLE
from busframe_emulator.engine.requests import MoveCancelled, MoveStarted, MoveTaskView, MoveTaskViews
from busframe_emulator.engine.settings import SECOND_US
from busframe_emulator.engine.transfers import redrive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busframe_emulator.engine.ids import Ids
    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.queue import Queue, Surroundings
    from busframe_emulator.engine.records import MoveRecord
    from busframe_emulator.engine.requests import CancelMove, ListMoves, StartMove
    from busframe_emulator.engine.settings import QueueAddress

KEPT_MAX: Final = 10
"""Tasks remembered per queue. Amazon SQS API, ListMessageMoveTasks: at most so many in one answer."""

NO_QUEUE: Final = "AWS.SimpleQueueService.NonExistentQueue"
NO_SOURCE: Final = "CouldNotDetermineMessageSource"
TOO_LONG: Final = "TaskTimedOut"
"""This one is not Amazon's word: nobody has seen theirs."""


class MoveTask:
    """One task; its timer makes the next move.

    Args:
        queue: whose messages it moves.
        tasks: of that queue, this one to be.
        view: what can be seen of it.
        position, last: the ordinals of the next message to look at (0: none looked at yet) and of the last.

    Attributes:
        view, position, last: as above, and as they change.
    """

    __slots__ = ("_per_s", "_queue", "_tasks", "_until_us", "last", "position", "timer", "view")

    def __init__(
        self, queue: Queue, tasks: deque[MoveTask], view: MoveTaskView, *, position: int = 0, last: int
    ) -> None:
        self._queue = queue
        self._tasks = tasks
        self._per_s = view.per_s or queue.around.limits.moves_per_s
        self._until_us = view.started_us + queue.around.limits.move_task_us_max
        self.position = position
        self.last = last
        self.timer = 0
        self.view = view
        if view.status == "RUNNING":
            self._plan()

    def fire(self, at_us: int) -> None:
        """Move one message, or find that there is none left."""
        if self._queue.around.changes is not None:
            self._queue.around.changes.note_moves(self._queue, self._tasks)
        if at_us >= self._until_us:
            self._fail(TOO_LONG)
            return
        message = self._next_message()
        if message is None:
            self.view.status = "COMPLETED"
            return
        address = self.view.destination or (message.rare or NOTHING_RARE).source
        target = self._queue.around.queues.get(address) if address is not None else None
        if target is None:
            self._fail(NO_SOURCE if address is None else NO_QUEUE)
            return
        redrive(message, target, at_us)
        self.view.moved += 1
        self._plan()

    def cancel(self) -> None:
        """Move no more."""
        self.view.status = "CANCELLED"
        self._queue.around.timers.disarm(self)

    def _fail(self, reason: str) -> None:
        self.view.status = "FAILED"
        self.view.failure = reason

    def _plan(self) -> None:
        # From the beginning, so that the fractions of a microsecond do not add up.
        due_us = self.view.started_us + (self.view.moved + 1) * SECOND_US // self._per_s
        self._queue.around.timers.arm(min(due_us, self._until_us), self)

    def _next_message(self) -> Message | None:
        messages, groups = self._queue.messages, self._queue.groups
        if not self.position:
            self.position = self._queue.ageing.first_ordinal()
        while self.position <= self.last:
            message = messages.get(self.position)
            self.position += 1
            if message is not None and message.state == VISIBLE and (groups is None or groups.is_head(message)):
                return message
        return None


class MoveTasks:
    """The tasks of all queues.

    Attributes:
        made: how many there ever were.
    """

    def __init__(self, around: Surroundings, ids: Ids) -> None:
        self._around = around
        self._ids = ids
        self.made = 0
        self._tasks: dict[QueueAddress, deque[MoveTask]] = {}

    def start(self, now_us: int, request: StartMove, *, has_sources: bool) -> MoveStarted:
        """Begin a task.

        Args:
            now_us: when.
            request: what to move.
            has_sources: the queue is the dead-letter queue of another.
        """
        queue = self._source(request.source)
        destination = request.destination
        if not has_sources:
            raise _refusal("Source queue must be configured as a Dead Letter Queue.")
        if destination is not None:
            target = self._around.queues.get(destination)
            if target is None:
                raise no_resource("DestinationArn")
            if target is queue:
                raise _refusal("DestinationArn names the source queue: messages cannot be moved to where they are.")
            if target.settings.fifo != queue.settings.fifo:
                raise _refusal("DestinationArn names a queue of another type: both must be standard or both FIFO.")
        tasks = self._tasks.setdefault(request.source, deque(maxlen=KEPT_MAX))
        if tasks and tasks[0].view.status == "RUNNING":
            raise _refusal(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given "
                "time."
            )
        tasks_max = self._around.limits.move_tasks_max
        if self._count_running(request.source) >= tasks_max:
            raise _refusal(f"There are already {tasks_max} tasks running, which is the most an account may have.")
        self.made += 1
        view = MoveTaskView(
            task_id=self._ids.task_id(self.made),
            source=request.source,
            destination=destination,
            per_s=request.per_s,
            status="RUNNING",
            to_move=queue.visible,
            started_us=now_us,
        )
        tasks.appendleft(MoveTask(queue, tasks, view, last=queue.last_ordinal))
        if self._around.changes is not None:
            self._around.changes.note_moves(queue, tasks, self.made)
        return MoveStarted(task_id=view.task_id)

    def put_back(self, queue: Queue, records: Iterable[MoveRecord]) -> None:
        """Go on with a queue's tasks, newest first; one that is running has its next move when it is due."""
        tasks = self._tasks[queue.address] = deque[MoveTask](maxlen=KEPT_MAX)
        for record in records:
            view = MoveTaskView(
                task_id=record.task_id,
                source=queue.address,
                destination=record.destination,
                per_s=record.per_s,
                status=record.status,
                moved=record.moved,
                to_move=record.to_move,
                failure=record.failure,
                started_us=record.started_us,
            )
            tasks.append(MoveTask(queue, tasks, view, position=record.position, last=record.last))

    def list(self, request: ListMoves) -> MoveTaskViews:
        """Show the newest tasks of a queue, newest first."""
        self._source(request.source)
        tasks = list(self._tasks.get(request.source, ()))[: request.limit]
        return MoveTaskViews(tasks=[replace(task.view) for task in tasks])

    def cancel(self, request: CancelMove) -> MoveCancelled:
        """End a running task; what it has moved stays where it is."""
        queue = self._source(request.source)
        tasks = self._tasks.get(request.source, ())
        for task in tasks:
            if task.view.task_id == request.task_id:
                if task.view.status != "RUNNING":
                    raise _refusal("Value for parameter TaskHandle is invalid. Reason: The task is not running.")
                task.cancel()
                if self._around.changes is not None:
                    self._around.changes.note_moves(queue, tasks)
                return MoveCancelled(moved=task.view.moved)
        raise SqsError("ResourceNotFoundException", "Task does not exist.")

    def forget(self, address: QueueAddress) -> None:
        """The queue is being deleted, and with it the memory of its tasks."""
        for task in self._tasks.pop(address, ()):
            task.cancel()

    def _count_running(self, address: QueueAddress) -> int:
        """How many tasks run in the account and region of a queue. Only the newest of a queue can be running."""
        return sum(
            bool(tasks) and tasks[0].view.status == "RUNNING"
            for source, tasks in self._tasks.items()
            if source[:2] == address[:2]
        )

    def _source(self, address: QueueAddress) -> Queue:
        queue = self._around.queues.get(address)
        if queue is None:
            raise no_resource("SourceArn")
        return queue


def no_resource(parameter: str) -> SqsError:
    """The queue that a parameter names is not there."""
    text = f"The resource that you specified for the {parameter} parameter doesn't exist."
    return SqsError("ResourceNotFoundException", text)


def _refusal(text: str) -> SqsError:
    return SqsError("InvalidParameterValueException", text)
