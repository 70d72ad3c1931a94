"""DeleteMessage, ChangeMessageVisibility and their batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busframe_emulator.api import actions, results
from busframe_emulator.api.batches import check_entries
from busframe_emulator.api.members import VISIBILITY, check_range
from busframe_emulator.engine import requests
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.settings import SECOND_US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.engine.engine import Engine
    from busframe_emulator.engine.settings import QueueAddress


def delete_message(engine: Engine, caller: Caller, now_us: int, request: actions.DeleteMessage) -> None:
    """Remove the message delivered with this receipt."""
    queue = caller.address(request.queue_url)
    engine.apply(now_us, requests.Delete(queue=queue, receipt=request.receipt_handle))


def change_visibility(engine: Engine, caller: Caller, now_us: int, request: actions.ChangeMessageVisibility) -> None:
    """Hide the message for so long from now."""
    engine.apply(
        now_us,
        requests.ChangeVisibility(
            queue=caller.address(request.queue_url),
            receipt=request.receipt_handle,
            visibility_us=request.visibility_timeout * SECOND_US,
        ),
    )


def delete_message_batch(
    engine: Engine, caller: Caller, now_us: int, request: actions.DeleteMessageBatch
) -> results.DeletedBatch:
    """Remove up to ten messages."""
    check_entries(request.entries, "DeleteMessageBatchRequestEntry")
    queue = caller.address(request.queue_url)
    deletes = [requests.Delete(queue=queue, receipt=entry.receipt_handle) for entry in request.entries]
    successful, failed = _settle(engine, now_us, queue, request.entries, deletes)
    return results.DeletedBatch(successful=successful, failed=failed)


def change_visibility_batch(
    engine: Engine, caller: Caller, now_us: int, request: actions.ChangeMessageVisibilityBatch
) -> results.ChangedBatch:
    """Hide up to ten messages, each for its own time."""
    check_entries(request.entries, "ChangeMessageVisibilityBatchRequestEntry")
    queue = caller.address(request.queue_url)
    changes = [_change(queue, entry) for entry in request.entries]
    successful, failed = _settle(engine, now_us, queue, request.entries, changes)
    return results.ChangedBatch(successful=successful, failed=failed)


def _change(queue: QueueAddress, entry: actions.VisibilityEntry) -> requests.ChangeVisibility | SqsError:
    timeout_s = entry.visibility_timeout or 0
    try:
        check_range(VISIBILITY, "VisibilityTimeout", timeout_s)
    except SqsError as error:
        return error
    return requests.ChangeVisibility(queue=queue, receipt=entry.receipt_handle, visibility_us=timeout_s * SECOND_US)


def _settle(
    engine: Engine,
    now_us: int,
    queue: QueueAddress,
    entries: Sequence[actions.Entry],
    steps: Sequence[requests.Delete | requests.ChangeVisibility | SqsError],
) -> tuple[list[results.SettledEntry], list[results.FailedEntry]]:
    """Do the steps that have no fault of their own, and tell every entry its fate."""
    sound = [step for step in steps if not isinstance(step, SqsError)]
    reply = engine.apply(now_us, requests.Batch(queue=queue, requests=sound))
    outcomes = iter(reply.outcomes)
    successful: list[results.SettledEntry] = []
    failed: list[results.FailedEntry] = []
    for entry, step in zip(entries, steps, strict=True):
        fate = step if isinstance(step, SqsError) else next(outcomes)
        if isinstance(fate, SqsError):
            failed.append(results.FailedEntry.of(entry.id, fate))
        else:
            successful.append(results.SettledEntry(id=entry.id))
    return successful, failed
