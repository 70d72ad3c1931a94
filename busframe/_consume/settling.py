"""Tells the broker what became of messages: batched, and repeated while it can help.

A broker that answers without waiting (`busframe.backend.Immediate`) is told by whoever has settlements: a full batch at
once, and what there is besides when a worker has nothing to do for the moment. No task is woken for that.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe._consume.leases import Lease
from busframe.backend import Immediate
from busframe.batching import Batcher, unaccounted, unforeseen
from busframe.errors import BackendError
from busframe.message import Acknowledge, Failed, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup

    from busframe.backend import Backend
    from busframe.message import QueueName, Settlement, SettleOutcome

ATTEMPTS_MAX: Final = 5
FIRST_WAIT_S: Final = 0.1
CALLS_MAX: Final = 4
"""Calls under way; a further one starts only for a full batch, or one that has waited."""

_log = logging.getLogger("busframe")


class Settler:
    """Settles messages of one queue.

    Args:
        tasks: runs the calls; has to live until everything posted is told.
    """

    def __init__(self, backend: Backend, queue: QueueName, tasks: TaskGroup) -> None:
        self._backend = backend
        self._queue = queue
        self._tasks = tasks
        self._batcher = Batcher[Lease, "SettleOutcome"](
            tasks, self._call, entries_max=backend.capabilities.batch_entries_max, calls_max=CALLS_MAX
        )
        self._immediate = backend if isinstance(backend, Immediate) else None
        self._collected: list[Lease] = []
        self._collected_max = backend.capabilities.batch_entries_max
        self._post = self._batcher.post if self._immediate is None else self._collect

    def post(self, lease: Lease, settlement: Settlement, tell: Callable[[Lease, bool], None]) -> None:
        """Have one message settled, and `tell` whether the broker took it. Waits for nothing.

        Who posts sees to it that `flush` is called soon.

        If it did not, the message comes again when its lease ends: at least once, never lost.
        """
        lease.settlement = settlement
        lease.tell = tell
        lease.tries = 0
        self._post(lease)

    async def settle(self, lease: Lease, settlement: Settlement) -> bool:
        """Settle one message, and return whether the broker took it."""
        told = anyio.Event()
        taken = False

        def tell(_: Lease, ok: bool) -> None:  # noqa: FBT001 - the form of `post`
            nonlocal taken
            taken = ok
            told.set()

        self.post(lease, settlement, tell)
        self.flush()
        await told.wait()
        return taken

    def flush(self) -> None:
        """Let nothing wait that was posted and has not been on its way yet. Does nothing where calls are batched."""
        while self._collected:
            batch, self._collected = self._collected, []
            self._learn(batch, self._ask_now(batch))

    def _collect(self, lease: Lease) -> None:
        self._collected.append(lease)
        if len(self._collected) == self._collected_max:
            self.flush()

    async def _call(self, batch: Sequence[Lease]) -> Sequence[SettleOutcome]:
        outcomes = await self._ask(batch)
        self._learn(batch, outcomes)
        return outcomes

    def _learn(self, batch: Sequence[Lease], outcomes: Sequence[SettleOutcome]) -> None:
        again: list[Lease] = []
        for lease, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Settled):
                lease.tell(lease, True)  # noqa: FBT003 - the form of `post`
                continue
            lease.tries += 1
            if outcome.error.retryable and lease.tries < ATTEMPTS_MAX and not lease.lost:
                again.append(lease)
            else:
                self._give_up(lease, outcome.error)
        if again:
            self._tasks.start_soon(self._repeat, again)

    async def _ask(self, batch: Sequence[Lease]) -> Sequence[SettleOutcome]:
        try:
            outcomes = await self._backend.settle(self._queue, [lease.settlement for lease in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, every message has to be accounted for
            return _failed(batch, error)
        return _accounted(batch, outcomes)

    def _ask_now(self, batch: Sequence[Lease]) -> Sequence[SettleOutcome]:
        assert self._immediate is not None  # noqa: S101 - the broker answers without waiting
        try:
            outcomes = self._immediate.settle_now(self._queue, [lease.settlement for lease in batch])
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(batch, error)
        return _accounted(batch, outcomes)

    async def _repeat(self, leases: Sequence[Lease]) -> None:
        """Post what failed once more, after a while."""
        await runtime.sleep(runtime.random() * FIRST_WAIT_S * 2 ** leases[0].tries)
        for lease in leases:
            self._post(lease)
        self.flush()

    def _give_up(self, lease: Lease, error: BackendError) -> None:
        what = "acknowledged" if isinstance(lease.settlement, Acknowledge) else "released"
        fields = {"queue": self._queue, "message_id": lease.received.message_id, "attempt": lease.attempt}
        text = "a message of %s could not be %s and may come again: %s"
        _log.warning(text, self._queue, what, error, extra=fields)
        lease.tell(lease, False)  # noqa: FBT003 - the form of `post`


def _accounted(batch: Sequence[Lease], outcomes: Sequence[SettleOutcome]) -> Sequence[SettleOutcome]:
    if len(outcomes) == len(batch):
        return outcomes
    return _failed(batch, unaccounted(len(outcomes), len(batch)))


def _failed(batch: Sequence[Lease], error: Exception) -> Sequence[SettleOutcome]:
    return [Failed(error=error if isinstance(error, BackendError) else unforeseen(error))] * len(batch)
