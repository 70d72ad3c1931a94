"""The contract over one SQLite file."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe.backend import Capabilities
from busframe.errors import QueueNotFoundError, UnsupportedError
from busframe.ledger import Ledger
from busframe.limits import check_extend, check_peek, check_receive, check_send, check_settle
from busframe.message import queue_name
from busframe_sqlite import peeking, queues, sweeping
from busframe_sqlite.claiming import Claiming
from busframe_sqlite.clock import to_s, to_us
from busframe_sqlite.recipients import SqliteRecipients
from busframe_sqlite.sending import Batch, Sending
from busframe_sqlite.settling import Extending, Settling
from busframe_sqlite.transaction import DEDUPLICATION_WINDOW_US, LEASE_US_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Plan, QueueSpec, QueueStats
    from busframe.message import (
        Extension,
        Outgoing,
        Peeked,
        QueueName,
        Received,
        SendOutcome,
        Settlement,
        SettleOutcome,
    )
    from busframe_sqlite.committer import Committer
    from busframe_sqlite.transaction import Transaction
    from busframe_sqlite.waiting import WaitingRoom

_DAY_S: Final = 86_400.0
_MESSAGE_BYTES: Final = 4_096
"""So much text is as much work as one message."""

_WORKS_MAX: Final = 1_000
"""Of each kind of work, so many queues' are remembered."""

CAPABILITIES: Final = Capabilities(
    ordered=True,
    fair_groups=False,
    deduplication_window_s=to_s(DEDUPLICATION_WINDOW_US),
    delay_s_max=365 * _DAY_S,
    lease_s_max=to_s(LEASE_US_MAX),
    retention_s_max=14 * _DAY_S,
    wait_s_max=3_600.0,
    message_bytes_max=1_048_576,
    batch_bytes_max=8 * 1_048_576,  # one transaction of this size holds the file for some 50 ms, as do
    batch_entries_max=1_000,  # so many small messages
    receive_entries_max=1_000,
    dead_letters=True,
    topics=False,
    durable=True,
    shared=True,
    exact_stats=True,
)


class SqliteBackend:
    """A backend in one file. Belongs to one event loop; other loops and processes open the file for themselves.

    Waits are measured on the event loop's clock; delays, leases and ages on the wall clock, which the processes share.
    Retention counts from the send, or from the end of a message's last delay if that is later.

    Attributes:
        committer: runs operations of one's own in the file, in the same transactions.
    """

    def __init__(self, committer: Committer, room: WaitingRoom) -> None:
        self.ledger: Final = Ledger()
        self.committer = committer
        self._room = room
        self._clock = runtime.clock()
        self._recipients = SqliteRecipients(committer)

    @property
    def capabilities(self) -> Capabilities:
        """See `busframe.backend.Backend`."""
        return CAPABILITIES

    @property
    def recipients(self) -> SqliteRecipients:
        """The recipient list in the same file."""
        return self._recipients

    async def provision(self, plan: Plan) -> None:
        """See `busframe.backend.Backend`. In one transaction: all of the plan, or nothing."""
        if plan.topics:
            raise UnsupportedError("sqlite:// has no topics of its own: publish by its recipient list")
        for spec in plan.queues:
            queue_name(spec.name)
        if plan.mode == "create":
            await self.committer.run(partial(queues.create, specs=plan.queues))
        elif plan.mode == "check":
            await self.committer.run(partial(queues.check, specs=plan.queues), reads_only=True)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """See `busframe.backend.Backend`. `Sent` means committed, and flushed to the disk with `synchronous=full`."""
        sizes_bytes = check_send(CAPABILITIES, queue, batch)
        self.ledger.note("send")
        weight = len(batch) + sum(sizes_bytes) // _MESSAGE_BYTES
        return await self.committer.share(_sending(queue), Batch(batch, sizes_bytes), weight=weight)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """See `busframe.backend.Backend`. What a cancelled receive took is given back and not counted."""
        check_receive(CAPABILITIES, limit=limit, wait_s=wait_s, lease_s=lease_s)
        self.ledger.note("receive")
        claiming = _claiming(queue, to_us(lease_s))
        if wait_s == 0:
            return await self._take(claiming, limit)
        deadline_s = self._clock() + wait_s
        line = self._room.enter(queue)
        try:
            while True:
                news = line.news
                if received := await self._take(claiming, limit):
                    return received
                if line.news != news and self._clock() < deadline_s:
                    continue
                if not await line.sleep(deadline_s):
                    return []
        except anyio.get_cancelled_exc_class():
            line.wake(1)  # It may have been woken for a message that it does not take now.
            raise
        finally:
            self._room.leave(line)

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `busframe.backend.Backend`.

        On both kinds of queue a receipt acknowledges as long as the message was not delivered again since; after that
        it fails with `LeaseLostError`.
        """
        check_settle(CAPABILITIES, batch)
        self.ledger.note("settle")
        return await self.committer.share(_settling(queue), batch, weight=len(batch))

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """See `busframe.backend.Backend`."""
        check_extend(CAPABILITIES, batch)
        self.ledger.note("extend")
        return await self.committer.share(_extending(queue), batch, weight=len(batch))

    async def stats(self, queue: QueueName) -> QueueStats:
        """See `busframe.backend.Backend`. Costs a walk over the queue's index: some 10 ms for a million messages."""
        while True:
            stats = await self.committer.run(partial(queues.count, name=queue))
            if stats is not None:
                return stats

    async def peek(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        """See `busframe.backend.Peeks`. Reads only: it waits for nobody, and nobody waits for it."""
        check_peek(limit)
        start = peeking.read_position(after)
        self.ledger.note("peek")
        return await self.committer.run(partial(peeking.peek, name=queue, limit=limit, start=start), reads_only=True)

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """See `busframe.backend.Backend`."""
        return await self.committer.run(partial(queues.describe, name=queue), reads_only=True)

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        """See `busframe.backend.Backend`."""
        return await self.committer.run(partial(queues.list_queues, prefix=prefix), reads_only=True)

    async def purge(self, queue: QueueName) -> None:
        """See `busframe.backend.Backend`. In bounded steps; cancelled half-way, the oldest messages are gone."""
        below_number = await self.committer.run(partial(sweeping.newest_number, queue_name=queue))
        step = partial(sweeping.purge, queue_name=queue, below_number=below_number)
        while not await self.committer.run(step):
            pass

    async def remove(self, queue: QueueName) -> None:
        """See `busframe.backend.Backend`."""
        try:
            await self.purge(queue)
        except QueueNotFoundError:
            return
        await self.committer.run(partial(queues.remove, name=queue))

    async def look(self) -> None:
        """Wake the receivers that have something to take by now, as the watch does by itself.

        For whoever steps the clock.
        """
        await self.committer.run(partial(_touch_all, names=tuple(self._room.watched())), reads_only=True)

    async def _take(self, claiming: Claiming, limit: int) -> Sequence[Received]:
        while True:
            claim = await self.committer.share(claiming, limit, undo=claiming.undo)
            if claim.received or not claim.unfinished:
                return claim.received

    def close(self) -> None:
        """Accept no more calls. Those under way are finished, save that receivers wait no longer."""
        self.committer.close()
        self._room.wake_all()


# What several callers ask is done together if it is the same object. One that was forgotten only makes two of them.


@lru_cache(maxsize=_WORKS_MAX)
def _sending(queue: QueueName) -> Sending:
    return Sending(queue, CAPABILITIES.message_bytes_max)


@lru_cache(maxsize=_WORKS_MAX)
def _claiming(queue: QueueName, lease_us: int) -> Claiming:
    return Claiming(queue, lease_us)


@lru_cache(maxsize=_WORKS_MAX)
def _settling(queue: QueueName) -> Settling:
    return Settling(queue)


@lru_cache(maxsize=_WORKS_MAX)
def _extending(queue: QueueName) -> Extending:
    return Extending(queue)


def _touch_all(transaction: Transaction, names: Sequence[QueueName]) -> None:
    transaction.touched.update(names)
