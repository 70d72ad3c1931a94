"""Tells the broker what became of messages: batched, and repeated while it can help."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from busframe import runtime
from busframe.batching import Batcher
from busframe.errors import BackendError
from busframe.message import Acknowledge, Failed, Settlement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskGroup

    from busframe.backend import Backend
    from busframe.message import QueueName, SettleOutcome

ATTEMPTS_MAX: Final = 5
FIRST_WAIT_S: Final = 0.1
CALLS_MAX: Final = 4
"""Calls under way; a further one starts only for a full batch."""

_log = logging.getLogger("busframe")


class Settler:
    """Settles messages of one queue."""

    def __init__(self, backend: Backend, queue: QueueName, tasks: TaskGroup) -> None:
        self._queue = queue

        async def call(batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
            return await backend.settle(queue, batch)

        self._batcher = Batcher[Settlement, "SettleOutcome"](
            tasks, call, entries_max=backend.capabilities.batch_entries_max, calls_max=CALLS_MAX
        )

    async def settle(self, settlement: Settlement) -> bool:
        """Settle one message, and tell whether the broker took it.

        If it did not, the message comes again when its lease ends: at least once, never lost.
        """
        error: BackendError | None = None
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                outcome = await self._batcher.submit(settlement)
            except BackendError as whole:
                error = whole
            else:
                if not isinstance(outcome, Failed):
                    return True
                error = outcome.error
            if not error.retryable:
                break
            await runtime.sleep(runtime.random() * FIRST_WAIT_S * 2**attempt)
        what = "acknowledged" if isinstance(settlement, Acknowledge) else "released"
        _log.warning("a message of %s could not be %s and may come again: %s", self._queue, what, error)
        return False
