"""Sends that are batched, repeated where that can help, and answered one by one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from busframe import runtime
from busframe.batching import Batcher
from busframe.errors import BackendError
from busframe.message import Failed, Outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskGroup

    from busframe.backend import Backend
    from busframe.message import QueueName, SendOutcome, Sent

ATTEMPTS_MAX: Final = 5
FIRST_WAIT_S: Final = 0.1
"""Five attempts with doubling waits span three seconds at most: long enough for a throttle or a restarted connection,
short enough for a caller that waits."""

CALLS_MAX: Final = 4
"""Calls under way per queue; a further one starts only for a full batch."""

_log = logging.getLogger("busframe")


class Sender:
    """Sends to any queue of a backend.

    Args:
        backend: where to.
        tasks: runs the calls; has to live as long as anybody sends.
    """

    def __init__(self, backend: Backend, tasks: TaskGroup) -> None:
        self._backend = backend
        self._tasks = tasks
        self._batchers: dict[QueueName, Batcher[Outgoing, SendOutcome]] = {}

    async def send(self, queue: QueueName, message: Outgoing) -> Sent:
        """Send one message; it may share a call with others.

        An attempt whose answer got lost is repeated: nothing is lost, and on a queue without deduplication the message
        may be there twice.

        Raises:
            BackendError: not sent, or, where its `effect` is "unknown", maybe sent.
        """
        batcher = self._batchers.get(queue) or self._open(queue)
        attempt = 0
        unknown = False
        while True:
            attempt += 1
            error = None
            try:
                outcome = await batcher.submit(message)
            except BackendError as whole:
                error = whole
            else:
                if not isinstance(outcome, Failed):
                    return outcome
                error = outcome.error
            unknown = unknown or error.effect == "unknown"
            if not error.retryable or attempt == ATTEMPTS_MAX:
                if unknown and error.effect == "none":
                    # An earlier attempt may have gone through: the caller must not be told otherwise.
                    error.effect = "unknown"
                raise error
            _log.warning("send to %s failed, attempt %d of %d: %s", queue, attempt, ATTEMPTS_MAX, error)
            await runtime.sleep(runtime.random() * FIRST_WAIT_S * 2**attempt)

    def _open(self, queue: QueueName) -> Batcher[Outgoing, SendOutcome]:
        capabilities = self._backend.capabilities

        async def call(batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
            return await self._backend.send(queue, batch)

        batcher = self._batchers[queue] = Batcher[Outgoing, "SendOutcome"](
            self._tasks,
            call,
            entries_max=capabilities.batch_entries_max,
            bytes_max=capabilities.batch_bytes_max,
            size=lambda message: message.size_bytes,
            calls_max=CALLS_MAX,
        )
        return batcher
