"""Carrying messages from one queue to another: for a subscription that moved and whose old queue nobody consumes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from busframe import runtime
from busframe.errors import BackendError, QueueNotFoundError
from busframe.message import Acknowledge, Outgoing, Release, Sent, is_ordered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Backend
    from busframe.message import QueueName, Received, Settlement

_LEASE_S: Final = 60.0
_WAIT_S: Final = 1.0

_log = logging.getLogger("busframe")


async def carry_over(backend: Backend, source: QueueName, target: QueueName) -> None:
    """Carry over whatever is on a queue, and comes onto it, until cancelled or the queue is gone.

    A message is acknowledged when the other queue has it: it may be there twice, and is never lost. What a consumer
    has in hand stays with it. Order is kept within a group as far as nobody sends to the other queue meanwhile.
    """
    capabilities = backend.capabilities
    limit = min(capabilities.receive_entries_max, capabilities.batch_entries_max)
    while True:
        try:
            received = await backend.receive(
                source, limit=limit, wait_s=min(_WAIT_S, capabilities.wait_s_max), lease_s=_LEASE_S
            )
            if received:
                await _carry(backend, source, target, received)
        except QueueNotFoundError:
            return
        except BackendError as error:
            _log.warning("carrying messages from %s to %s: %s; going on", source, target, error)
            await runtime.sleep(_WAIT_S)


async def _carry(backend: Backend, source: QueueName, target: QueueName, received: Sequence[Received]) -> None:
    for message in received:  # One by one: together they might be too large for a batch.
        (outcome,) = await backend.send(target, [_copy(message, target)])
        settlement: Settlement
        if isinstance(outcome, Sent):
            settlement = Acknowledge(receipt=message.receipt)
        else:
            _log.warning("message %s of %s cannot be carried over: %s", message.message_id, source, outcome.error)
            settlement = Release(receipt=message.receipt, delay_s=_WAIT_S)
        await backend.settle(source, [settlement])


def _copy(message: Received, target: QueueName) -> Outgoing:
    ordered = is_ordered(target)
    return Outgoing(
        body=message.body,
        attributes=message.attributes,
        group=message.group or (message.message_id if ordered else None),
        deduplication_id=(message.deduplication_id or message.message_id) if ordered else None,
    )
