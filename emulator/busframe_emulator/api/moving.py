"""Message move tasks: StartMessageMoveTask, ListMessageMoveTasks and CancelMessageMoveTask.

These name queues by ARN and not by URL. A task's handle is what Amazon SQS makes it: base64 of a JSON object.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

import msgspec

from busframe_emulator.api import actions, results
from busframe_emulator.api.errors import invalid_parameter
from busframe_emulator.api.members import MOVES, check_range
from busframe_emulator.api.receiving import MILLISECOND_US
from busframe_emulator.engine import requests
from busframe_emulator.engine.moving import no_resource
from busframe_emulator.engine.settings import QueueAddress

if TYPE_CHECKING:
    from busframe_emulator.api.caller import Caller
    from busframe_emulator.engine.engine import Engine


class Handle(msgspec.Struct, rename="camel"):
    """What a TaskHandle says."""

    task_id: str
    source_arn: str


def start_move_task(
    engine: Engine, caller: Caller, now_us: int, request: actions.StartMessageMoveTask
) -> results.MoveTaskHandle:
    """Begin to move dead letters."""
    source = _address(caller, "SourceArn", request.source_arn)
    destination: QueueAddress | None = None
    if request.destination_arn is not None:
        destination = _address(caller, "DestinationArn", request.destination_arn)
    per_s = request.max_number_of_messages_per_second
    if per_s is not None:
        check_range(MOVES, "MaxNumberOfMessagesPerSecond", per_s)
    started = engine.apply(now_us, requests.StartMove(source=source, destination=destination, per_s=per_s))
    return results.MoveTaskHandle(task_handle=_handle(started.task_id, source))


def list_move_tasks(
    engine: Engine, caller: Caller, now_us: int, request: actions.ListMessageMoveTasks
) -> results.MoveTasks:
    """Show the newest tasks of a queue, newest first."""
    source = _address(caller, "SourceArn", request.source_arn)
    reply = engine.apply(now_us, requests.ListMoves(source=source, limit=request.max_results or 1))
    return results.MoveTasks(results=[_show(task) for task in reply.tasks])


def cancel_move_task(
    engine: Engine, caller: Caller, now_us: int, request: actions.CancelMessageMoveTask
) -> results.MoveTaskCancelled:
    """End a running task."""
    handle = read_handle(request.task_handle)
    source = _address(caller, "SourceArn", handle.source_arn)
    reply = engine.apply(now_us, requests.CancelMove(source=source, task_id=handle.task_id))
    return results.MoveTaskCancelled(approximate_number_of_messages_moved=reply.moved)


def read_handle(text: str) -> Handle:
    """Read a TaskHandle, or refuse it."""
    try:
        return msgspec.json.decode(b64decode(text, validate=True), type=Handle)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        raise invalid_parameter("Value for parameter TaskHandle is invalid.") from None


def _show(task: requests.MoveTaskView) -> results.MoveTask:
    return results.MoveTask(
        # The handle is good for cancelling, and is not shown when there is nothing to cancel.
        task_handle=_handle(task.task_id, task.source) if task.status == "RUNNING" else None,
        status=task.status,
        source_arn=task.source.arn,
        destination_arn=task.destination.arn if task.destination is not None else None,
        max_number_of_messages_per_second=task.per_s,
        approximate_number_of_messages_moved=task.moved,
        approximate_number_of_messages_to_move=task.to_move,
        failure_reason=task.failure,
        started_timestamp=task.started_us // MILLISECOND_US,
    )


def _handle(task_id: str, source: QueueAddress) -> str:
    return b64encode(msgspec.json.encode(Handle(task_id, source.arn))).decode()


def _address(caller: Caller, parameter: str, arn: str) -> QueueAddress:
    """Which queue an ARN names. There is none to be found in another region than the caller's."""
    address = QueueAddress.from_arn(arn)
    if address is None:
        raise invalid_parameter(
            f"Value {arn} for parameter {parameter} is invalid. Reason: Must be arn:aws:sqs:region:account:queue."
        )
    if address.region != caller.region:
        raise no_resource(parameter)
    return address
