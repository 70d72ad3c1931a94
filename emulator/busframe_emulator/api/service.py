"""Who handles what: the actions by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from busframe_emulator.api import actions, moving, permissions, queues, receiving, sending, settling, tags
from busframe_emulator.engine import requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.api.receiving import Waiting
    from busframe_emulator.api.results import AnyResult
    from busframe_emulator.engine.engine import Engine


class Action(NamedTuple):
    """One row: the input's class in the table, and the handler that takes it."""

    takes: type[actions.Input]
    handle: Callable[[Engine, Caller, int, Any], AnyResult | Waiting]


HANDLED: Final = {
    "AddPermission": Action(actions.AddPermission, permissions.add_permission),
    "CancelMessageMoveTask": Action(actions.CancelMessageMoveTask, moving.cancel_move_task),
    "ChangeMessageVisibility": Action(actions.ChangeMessageVisibility, settling.change_visibility),
    "ChangeMessageVisibilityBatch": Action(actions.ChangeMessageVisibilityBatch, settling.change_visibility_batch),
    "CreateQueue": Action(actions.CreateQueue, queues.create_queue),
    "DeleteMessage": Action(actions.DeleteMessage, settling.delete_message),
    "DeleteMessageBatch": Action(actions.DeleteMessageBatch, settling.delete_message_batch),
    "DeleteQueue": Action(actions.DeleteQueue, queues.delete_queue),
    "GetQueueAttributes": Action(actions.GetQueueAttributes, queues.get_queue_attributes),
    "GetQueueUrl": Action(actions.GetQueueUrl, queues.get_queue_url),
    "ListDeadLetterSourceQueues": Action(actions.ListDeadLetterSourceQueues, queues.list_dead_letter_sources),
    "ListMessageMoveTasks": Action(actions.ListMessageMoveTasks, moving.list_move_tasks),
    "ListQueueTags": Action(actions.ListQueueTags, tags.list_queue_tags),
    "ListQueues": Action(actions.ListQueues, queues.list_queues),
    "PurgeQueue": Action(actions.PurgeQueue, queues.purge_queue),
    "ReceiveMessage": Action(actions.ReceiveMessage, receiving.receive_message),
    "RemovePermission": Action(actions.RemovePermission, permissions.remove_permission),
    "SendMessage": Action(actions.SendMessage, sending.send_message),
    "SendMessageBatch": Action(actions.SendMessageBatch, sending.send_message_batch),
    "SetQueueAttributes": Action(actions.SetQueueAttributes, queues.set_queue_attributes),
    "StartMessageMoveTask": Action(actions.StartMessageMoveTask, moving.start_move_task),
    "TagQueue": Action(actions.TagQueue, tags.tag_queue),
    "UntagQueue": Action(actions.UntagQueue, tags.untag_queue),
}


def require_queue(engine: Engine, caller: Caller, now_us: int, request: actions.Input) -> None:
    """Before a request is refused for another fault: SQS says first that the queue is not there.

    Raises:
        SqsError: QueueDoesNotExist.
    """
    if isinstance(request, actions.QueueInput):
        engine.apply(now_us, requests.FindQueue(queue=caller.address(request.queue_url)))
