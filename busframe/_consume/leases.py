"""Keeps the leases of messages in hand from ending, from the receive until they are settled.

A lease is extended when about half of it is over, so that one failed attempt leaves time for another. A tenth of a
lease is the beat. Leases are kept in slots, one for each beat to come: taking one and letting it go costs the same
however many there are, and those that fall due in one beat are extended together, in as few calls as will do.

What is being held (`busframe._consume.holding`) is extended once for all the time until it is tried again, which its
delay would have hidden it for anyway. No lease lasts longer than the broker's longest, counted from the receive: near
its end less is asked for, and then nothing, and it is lost when it ends and not before.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe.batching import unaccounted
from busframe.errors import BackendError, LeaseLostError, ReceiptInvalidError, UnavailableError
from busframe.message import Extension, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from anyio.abc import TaskGroup

    from busframe._consume.counts import HandlerCounts
    from busframe.backend import Backend
    from busframe.delivery import Delivery
    from busframe.group import Handler
    from busframe.message import QueueName, Received, Settlement, SettleOutcome

DUE_AFTER: Final = (0.4, 0.6)
"""Extended after this part of the lease, at random in between: leases taken together do not fall due together."""

BEATS: Final = 10
"""A lease has as many beats."""

CEILING_MARGIN_S: Final = 10.0
"""So much less than the broker's longest is made use of: how long a call takes, the broker counts too."""

WORTHWHILE_S: Final = 1.0
"""A lease is not extended for less."""

CALLS_MAX: Final = 4
"""Extend calls under way: at 20 ms each they keep 60,000 messages with a lease of 30 s."""

_log = logging.getLogger("busframe")


class Lease:
    """One message in hand.

    Attributes:
        received: the message.
        opened: whose it is and what is in it, or why that cannot be told.
        lane: the key by which it waits for others and others for it.
        counts: what becomes of it is counted here.
        since_s: when its receive was asked for: the lease began no earlier.
        until_s: when the lease ends unless it is extended before.
        scope: encloses the handler while it runs; cancelled when the lease is lost.
        lost: the broker will deliver the message again: do not settle it.
        settlement: what the broker is to be told; see `Settler`.
        tell: who wants to know whether it heard.
        tries: how often it was told.
        needed_until_s: when it is tried again, after being held; not set before.
        resumed_s: when it was tried again, after being held; not set before.
    """

    __slots__ = (
        "_slot",
        "counts",
        "lane",
        "lost",
        "needed_until_s",
        "opened",
        "received",
        "resumed_s",
        "scope",
        "settlement",
        "since_s",
        "tell",
        "tries",
        "until_s",
    )

    settlement: Settlement
    tell: Callable[[Lease, bool], None]
    tries: int
    needed_until_s: float
    resumed_s: float

    def __init__(  # noqa: PLR0917 - made once per message, by position, since names cost
        self,
        received: Received,
        opened: tuple[Handler, Delivery[object]] | Exception,
        lane: str | None,
        counts: HandlerCounts,
        since_s: float,
        until_s: float,
        slot: Slot,
    ) -> None:
        self.received = received
        self.opened = opened
        self.lane = lane
        self.counts = counts
        self.since_s = since_s
        self.until_s = until_s
        self.scope: anyio.CancelScope | None = None
        self.lost = False
        self._slot = slot
        slot[self] = None

    @property
    def attempt(self) -> int:
        """Which of the message's attempts this is, from 1."""
        return self.received.receive_count if isinstance(self.opened, Exception) else self.opened[1].attempt

    @property
    def begun_s(self) -> float:
        """Since when it has been in hand to be worked on: since it came, or was held for the last time."""
        return getattr(self, "resumed_s", self.since_s)

    @property
    def kept(self) -> bool:
        """Whether it is to be extended: neither settled nor lost."""
        return self in self._slot

    def keep_in(self, slot: Slot) -> None:
        """Wait for another beat."""
        self.drop()
        self._slot = slot
        slot[self] = None

    def drop(self) -> None:
        """Stop being kept: the message is settled, or lost."""
        self._slot.pop(self, None)

    def lose(self) -> None:
        """Give it up, and stop whoever works on it."""
        self.drop()
        self.lost = True
        if self.scope is not None:
            self.scope.cancel()


Slot = dict[Lease, None]
"""The leases that fall due in one beat."""


class LeaseKeeper:
    """Extends leases. `run` has to run for as long as any is held.

    Args:
        tasks: runs the calls.
    """

    def __init__(self, backend: Backend, queue: QueueName, lease_s: float, tasks: TaskGroup) -> None:
        self._backend = backend
        self._queue = queue
        self._lease_s = lease_s
        self._longest_s = backend.capabilities.lease_s_max - CEILING_MARGIN_S
        self._beat_s = lease_s / BEATS
        self._tasks = tasks
        self._slots: deque[Slot] = deque({} for _ in range(BEATS))
        self._beat_at_s = 0.0
        # At rest from the start: a message may come before `run` has had its first turn.
        self._resting: anyio.Event | None = anyio.Event()
        self._calls = anyio.Semaphore(CALLS_MAX)

    def slot(self, since_s: float, now_s: float) -> Slot:
        """Where to keep leases that began at `since_s`. Good until the next await."""
        if self._resting is not None:
            self._resting.set()
            self._resting = None
            self._beat_at_s = now_s + self._beat_s
        low, high = DUE_AFTER
        due_s = since_s + self._lease_s * (low + (high - low) * runtime.random())
        # The beat before it falls due, or the next there is.
        beats = int((due_s - self._beat_at_s) / self._beat_s)
        return self._slots[min(max(beats, 0), BEATS - 1)]

    async def run(self) -> None:
        """Extend what falls due. Runs until cancelled."""
        while True:
            if not any(self._slots):
                self._resting = anyio.Event()
                await self._resting.wait()
            else:
                self._beat_at_s = runtime.now_s() + self._beat_s
            await runtime.sleep(self._beat_s)
            due = self._slots.popleft()
            self._slots.append({})
            if due:
                # Beside the beat, which a broker that is slow to answer must not hold up.
                self._tasks.start_soon(self._extend_all, due)

    async def _extend_all(self, due: Slot) -> None:
        leases = list(due)
        most = self._backend.capabilities.batch_entries_max
        for start in range(0, len(leases), most):
            await self._calls.acquire()
            self._tasks.start_soon(self._extend, due, leases[start : start + most])

    async def _extend(self, due: Slot, leases: Sequence[Lease]) -> None:
        try:
            now_s = runtime.now_s()
            # Those that are not due were settled meanwhile.
            asked = {lease: self._until_s(lease, now_s) for lease in leases if lease in due}
            enough = [lease for lease, until_s in asked.items() if until_s < lease.until_s + WORTHWHILE_S]
            for lease in enough:
                del asked[lease]
                self._lose_if_soon(lease, now_s)
            self._keep(enough, now_s)
            if asked:
                self._learn(due, asked, await self._ask(asked, now_s))
        finally:
            self._calls.release()

    def _until_s(self, lease: Lease, now_s: float) -> float:
        """When a lease should end, if it is extended now."""
        if lease.until_s > now_s + self._lease_s:
            return lease.until_s  # it was extended for being held
        needed_s = getattr(lease, "needed_until_s", now_s)
        return min(max(needed_s, now_s) + self._lease_s, lease.since_s + self._longest_s)

    def _keep(self, leases: Iterable[Lease], now_s: float) -> None:
        """Look at leases again when they are due: those that end together, together."""
        slots: dict[float, Slot] = {}
        for lease in leases:
            if lease.until_s not in slots:
                slots[lease.until_s] = self.slot(lease.until_s - self._lease_s, now_s)
            lease.keep_in(slots[lease.until_s])

    def _lose_if_soon(self, lease: Lease, now_s: float) -> None:
        if lease.until_s < now_s + 2 * self._beat_s:
            self._tasks.start_soon(self._lose_in_time, lease, lease.until_s)

    async def _lose_in_time(self, lease: Lease, until_s: float) -> None:
        """Lose a lease when it ends, unless it was extended or settled before."""
        await runtime.sleep(max(until_s - runtime.now_s(), 0))
        if lease.kept and lease.until_s == until_s:
            lease.lose()

    async def _ask(self, asked: Mapping[Lease, float], now_s: float) -> Sequence[SettleOutcome]:
        batch = [Extension(receipt=lease.received.receipt, lease_s=until_s - now_s) for lease, until_s in asked.items()]
        error: BackendError = UnavailableError("no answer before the lease ended")
        # When the first of the leases has ended, its handler has to be stopped, answer or not.
        left_s = min(lease.until_s for lease in asked) - now_s
        with anyio.move_on_after(max(left_s, self._beat_s / 2)):
            try:
                outcomes = await self._backend.extend(self._queue, batch)
            except BackendError as failed:
                error = failed
            except Exception as broken:  # noqa: BLE001 - one bad call must not end the keeping
                error = UnavailableError(repr(broken))
            else:
                if len(outcomes) == len(batch):
                    return outcomes
                error = unaccounted(len(outcomes), len(batch))
        return [Failed(error=error)] * len(batch)

    def _learn(self, due: Slot, asked: Mapping[Lease, float], outcomes: Sequence[SettleOutcome]) -> None:
        now_s = runtime.now_s()
        extended: list[Lease] = []
        for (lease, until_s), outcome in zip(asked.items(), outcomes, strict=True):
            if lease not in due:
                continue  # settled meanwhile
            if not isinstance(outcome, Failed):
                lease.until_s = until_s
                extended.append(lease)
            elif isinstance(outcome.error, LeaseLostError | ReceiptInvalidError) or now_s >= lease.until_s:
                fields = {"queue": self._queue, "message_id": lease.received.message_id, "attempt": lease.attempt}
                text = "lease of %s on %s is lost: %s"
                _log.warning(text, lease.received.message_id, self._queue, outcome.error, extra=fields)
                lease.lose()
            else:
                # Again at the next beat: one throttle must not end the keeping. The lease may end before.
                lease.keep_in(self.slot(now_s - self._lease_s, now_s))
                self._lose_if_soon(lease, now_s)
        self._keep(extended, now_s)
