"""The steps of a history as requests to an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.histories import QUEUES, Manage, Move, Put, Settle, company, new_setting, own_us
from engine.world import us

from busframe_emulator.engine.requests import (
    Batch,
    ChangeVisibility,
    CreateQueue,
    Delete,
    DeleteQueue,
    PurgeQueue,
    Receive,
    Send,
    SetQueue,
    StartMove,
    TagQueue,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.histories import Take

    from busframe_emulator.engine import QueueAddress
    from busframe_emulator.engine.requests import Request

PASS_US_MAX: Final = us(8)
"""The next instant may be the end of a retention: going there each time would leave the queues empty."""


def time_after(now_us: int, for_us: int | None, due_us: int | None) -> int:
    """What time it is after a `Pass`."""
    return min(due_us or now_us, now_us + PASS_US_MAX) if for_us is None else now_us + for_us


def request_for(
    step: Put | Take | Settle | Manage | Move,
    receipts: Sequence[tuple[QueueAddress, str]],
    settings: Sequence[Mapping[str, object]],
) -> Request | None:
    """Make the request of a step; None if it speaks of receipts that nobody has.

    Args:
        step: what to ask.
        receipts: all that were handed out, oldest first, and by which queue.
        settings: with what to create each queue.
    """
    match step:
        case Settle():
            return _settlement(step, receipts)
        case Put():
            return _sends(step)
        case Manage():
            return _management(step, settings)
        case Move():
            destination = None if step.destination is None else QUEUES[step.destination]
            return StartMove(source=QUEUES[step.queue], destination=destination, per_s=step.per_s)
        case _:
            return Receive(
                queue=QUEUES[step.queue],
                limit=step.limit,
                visibility_us=None if step.visibility_s is None else own_us(step.queue, step.visibility_s),
                wait_us=None if step.wait_s is None else own_us(step.queue, step.wait_s),
                attempt_id=None if step.attempt is None else f"attempt{step.attempt}",
            )


def _sends(step: Put) -> Send | Batch:
    where = QUEUES[step.queue]
    sends: list[Send] = []
    for number, group, key, delay_s in step.entries:
        body = str(number)
        attributes, trace_header, sender = company(body)
        send = Send(
            queue=where,
            body=body,
            size_bytes=len(body),
            attributes=attributes,
            group=None if group is None else f"g{group}",
            deduplication_id=None if key is None else f"d{key}",
            delay_us=None if delay_s is None else own_us(step.queue, delay_s),
            trace_header=trace_header,
            sender=sender,
        )
        sends.append(send)
    return sends[0] if len(sends) == 1 else Batch(queue=where, requests=sends)


def _settlement(step: Settle, receipts: Sequence[tuple[QueueAddress, str]]) -> Delete | ChangeVisibility | Batch | None:
    known = [receipts[-1 - index] for index in step.receipts if index < len(receipts)]
    if not known:
        return None
    where = known[0][0]
    if step.abroad:
        where = QUEUES[(QUEUES.index(where) + 1) % len(QUEUES)]
    visibility_us = None if step.visibility_s is None else own_us(QUEUES.index(where), step.visibility_s)
    requests: list[Delete | ChangeVisibility] = [
        Delete(queue=where, receipt=receipt)
        if visibility_us is None
        else ChangeVisibility(queue=where, receipt=receipt, visibility_us=visibility_us)
        for _, receipt in known
    ]
    return requests[0] if len(requests) == 1 else Batch(queue=where, requests=requests)


def _management(step: Manage, settings: Sequence[Mapping[str, object]]) -> Request:
    where = QUEUES[step.queue]
    match step.what:
        case "create":
            return CreateQueue(queue=where, settings=settings[step.queue])
        case "purge":
            return PurgeQueue(queue=where)
        case "remove":
            return DeleteQueue(queue=where)
        case "tag":
            key = str(step.value % 3)
            if step.value < 3:
                return TagQueue(queue=where, remove=[key])
            return TagQueue(queue=where, add={key: str(step.value)})
        case _:
            return SetQueue(queue=where, settings=new_setting(step))
