"""Keeps the leases of messages in hand from ending, from the receive until they are settled.

A lease is extended when about half of it is over, so that one failed attempt leaves time for another. A tenth of a
lease is the beat: at each one whatever falls due before the next is extended, in as few calls as will do.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe.errors import BackendError, LeaseLostError, ReceiptInvalidError
from busframe.message import Extension, Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Backend
    from busframe.message import QueueName, Received

DUE_AFTER: Final = (0.4, 0.6)
"""Extended after this part of the lease, at random in between: leases taken together do not fall due together."""

BEAT: Final = 0.1
"""This part of a lease passes between two looks at what falls due."""

_log = logging.getLogger("busframe")


class Lease:
    """One message in hand.

    Attributes:
        scope: encloses the handler; cancelled when the lease is lost.
        lost: the broker will deliver the message again: do not settle it.
    """

    __slots__ = ("due_s", "lost", "received", "scope", "until_s")

    def __init__(self, received: Received, *, due_s: float, until_s: float) -> None:
        self.received = received
        self.due_s = due_s
        self.until_s = until_s
        self.lost = False
        self.scope = anyio.CancelScope()

    def lose(self) -> None:
        """Give it up, and stop whoever works on it."""
        self.lost = True
        self.scope.cancel()


class LeaseKeeper:
    """Extends leases. `run` has to run for as long as any is held."""

    def __init__(self, backend: Backend, queue: QueueName, lease_s: float) -> None:
        self._backend = backend
        self._queue = queue
        self._lease_s = lease_s
        self._held: dict[int, Lease] = {}
        self._any = anyio.Event()

    def hold(self, received: Received, since_s: float) -> Lease:
        """Begin to keep a message. `since_s` is when its receive was asked for: the lease began no earlier."""
        lease = Lease(received, due_s=self._due_s(since_s), until_s=since_s + self._lease_s)
        self._held[id(lease)] = lease
        self._any.set()
        return lease

    def drop(self, lease: Lease) -> None:
        """Stop keeping a message: it is being settled, or lost."""
        self._held.pop(id(lease), None)

    async def run(self) -> None:
        """Extend what falls due. Runs until cancelled."""
        beat_s = self._lease_s * BEAT
        most = self._backend.capabilities.batch_entries_max
        while True:
            if not self._held:
                self._any = anyio.Event()
                await self._any.wait()
            await runtime.sleep(beat_s)
            before_s = runtime.now_s() + beat_s
            due = [lease for lease in self._held.values() if lease.due_s <= before_s]
            for start in range(0, len(due), most):
                await self._extend(due[start : start + most])

    async def _extend(self, leases: Sequence[Lease]) -> None:
        now_s = runtime.now_s()
        batch = [Extension(receipt=lease.received.receipt, lease_s=self._lease_s) for lease in leases]
        try:
            outcomes = await self._backend.extend(self._queue, batch)
        except BackendError as error:
            outcomes = [Failed(error=error)] * len(batch)
        for lease, outcome in zip(leases, outcomes, strict=True):
            if id(lease) not in self._held:
                continue  # settled meanwhile
            if not isinstance(outcome, Failed):
                lease.until_s = now_s + self._lease_s
                lease.due_s = self._due_s(now_s)
            elif isinstance(outcome.error, LeaseLostError | ReceiptInvalidError) or now_s >= lease.until_s:
                _log.warning("lease of %s on %s is lost: %s", lease.received.message_id, self._queue, outcome.error)
                self.drop(lease)
                lease.lose()
            # Otherwise it stays due: one throttle must not end the keeping.

    def _due_s(self, since_s: float) -> float:
        low, high = DUE_AFTER
        return since_s + self._lease_s * (low + (high - low) * runtime.random())
