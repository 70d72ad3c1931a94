"""The backend contract on the emulator's engine."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

from busframe import runtime
from busframe.backend import Capabilities, DeadLetters, QueueSpec, QueueStats, in_one_process
from busframe.errors import (
    BackendError,
    ClosedError,
    InvalidArgumentError,
    LeaseLostError,
    MessageRefusedError,
    MessageTooLargeError,
    QueueMismatchError,
    QueueNotFoundError,
    ReceiptInvalidError,
    ThrottledError,
    UnsupportedError,
)
from busframe.ledger import Ledger, LedgerOfOneThread
from busframe.limits import check_extend, check_peek, check_receive, check_send, check_settle
from busframe.message import (
    Acknowledge,
    Failed,
    MessageId,
    Peeked,
    QueueName,
    Receipt,
    Received,
    Sent,
    Settled,
    is_ordered,
)
from busframe_emulator.engine import Engine, Ids, Limits, QueueAddress, Redrive, SqsError
from busframe_emulator.engine.requests import (
    Batch,
    ChangeVisibility,
    CreateQueue,
    Delete,
    DeleteQueue,
    Deliveries,
    GetQueue,
    ListQueues,
    Outcomes,
    PurgeQueue,
    QueueNames,
    Receive,
    Send,
    SetQueue,
    TagQueue,
)
from busframe_emulator.engine.requests import Sent as EngineSent
from busframe_emulator.engine.settings import QueueView
from busframe_memory.driver import EngineDriver
from busframe_memory.recipients import MemoryRecipients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from busframe.backend import Plan
    from busframe.config import BackendUrl
    from busframe.message import Extension, Outgoing, SendOutcome, Settlement, SettleOutcome
    from busframe_emulator.engine.inspection import MessageSeen
    from busframe_emulator.engine.requests import Delivery, Reply, Request

_SECOND_US: Final = 1_000_000
_REGION: Final = "memory"
_ACCOUNT: Final = "000000000000"
_SETTLED: Final = Settled()

# Amazon SQS's own bounds, since this is its engine; the batch bound of ten entries too, so that a program that works
# here works there.
CAPABILITIES: Final = Capabilities(
    ordered=True,
    fair_groups=False,
    deduplication_window_s=300,
    delay_s_max=900,
    lease_s_max=43_200,
    retention_s_max=1_209_600,
    wait_s_max=20,
    message_bytes_max=1_048_576,
    batch_bytes_max=1_048_576,
    batch_entries_max=10,
    receive_entries_max=10,
    dead_letters=True,
    topics=False,
    durable=False,
    shared=False,
    exact_stats=True,
)


class MemoryBackend:
    """Implements `busframe.backend.Backend`. Make one with `open_memory`."""

    def __init__(self, driver: EngineDriver) -> None:
        self.capabilities: Final = CAPABILITIES
        self.ledger: Final[Ledger] = LedgerOfOneThread()
        self._driver = driver
        self.recipients: Final = MemoryRecipients()
        self._closed = False

    def advance(self, seconds: float) -> None:
        """Let the backend's clock jump forward, for tests: leases end, delays are over, waiting receives return."""
        self._driver.advance(seconds)

    def close(self) -> None:
        """Refuse every later call."""
        self._closed = True

    async def provision(self, plan: Plan) -> None:
        """See `Backend.provision`. The engine refuses nothing that is in the plan's ranges."""
        if plan.topics:
            raise UnsupportedError("memory:// has no topics of its own: publish by its recipient list")
        if plan.mode == "assume":
            return
        for spec in plan.queues:
            existing = self._describe(spec.name)
            if existing == spec:
                continue
            if plan.mode == "check":
                if existing is None:
                    raise QueueNotFoundError(f"queue {spec.name} is not there")
                raise QueueMismatchError(f"queue {spec.name} is {existing}, planned is {spec}")
            settings = _settings(spec)
            address = queue_address(spec.name)
            if existing is None:
                self._ask(spec.name, CreateQueue(queue=address, settings=settings, tags=spec.labels))
            else:
                self._ask(spec.name, SetQueue(queue=address, settings=settings))
                stale = tuple(existing.labels.keys() - spec.labels.keys())
                self._ask(spec.name, TagQueue(queue=address, add=spec.labels, remove=stale))

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """See `Backend.send`."""
        outcomes = self.send_now(queue, batch)
        await anyio.lowlevel.checkpoint()
        return outcomes

    def send_now(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """See `busframe.backend.Immediate`."""
        check_send(self.capabilities, queue, batch)
        self.ledger.note("send")
        address = queue_address(queue)
        if len(batch) == 1:
            self._require_open()
            try:
                sent = self._driver.apply(_send(address, batch[0]))
            except SqsError:
                pass  # it has changed nothing; what it says of an entry of a batch is told below
            else:
                return (Sent(message_id=MessageId(sent.message_id), sequence=sent.sequence),)
        reply = self._ask(queue, Batch(queue=address, requests=[_send(address, message) for message in batch]))
        assert isinstance(reply, Outcomes)  # noqa: S101 - the engine's answer to a Batch
        return [
            Sent(message_id=MessageId(outcome.message_id), sequence=outcome.sequence)
            if isinstance(outcome, EngineSent)
            else self._refused(message, outcome)
            for message, outcome in zip(batch, reply.outcomes, strict=True)
        ]

    def _refused(self, message: Outgoing, outcome: object) -> Failed:
        if message.size_bytes > self.capabilities.message_bytes_max:
            return Failed(error=MessageTooLargeError(str(outcome)))
        return Failed(error=MessageRefusedError(str(outcome)))

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """See `Backend.receive`."""
        check_receive(self.capabilities, limit=limit, wait_s=wait_s, lease_s=lease_s)
        self.ledger.note("receive")
        request = _receive(queue, limit, wait_s, lease_s)
        self._require_open()
        # Before the effect: from here on, cancellation is noticed only while there is nothing to take.
        await anyio.lowlevel.checkpoint()
        try:
            deliveries = (await self._driver.receive(request)).deliveries
        except SqsError as error:
            raise _call_error(queue, error) from error
        return [_received(delivery) for delivery in deliveries]

    def receive_now(self, queue: QueueName, *, limit: int, lease_s: float) -> Sequence[Received]:
        """See `busframe.backend.Immediate`."""
        check_receive(self.capabilities, limit=limit, wait_s=0, lease_s=lease_s)
        self.ledger.note("receive")
        reply = self._ask(queue, _receive(queue, limit, 0, lease_s))
        assert isinstance(reply, Deliveries)  # noqa: S101 - the engine's answer to a Receive that does not wait
        return [_received(delivery) for delivery in reply.deliveries]

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `Backend.settle`."""
        outcomes = self.settle_now(queue, batch)
        await anyio.lowlevel.checkpoint()
        return outcomes

    def settle_now(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `busframe.backend.Immediate`."""
        check_settle(self.capabilities, batch)
        self.ledger.note("settle")
        address = queue_address(queue)
        return self._settle(
            queue,
            [
                Delete(queue=address, receipt=entry.receipt)
                if isinstance(entry, Acknowledge)
                else ChangeVisibility(
                    queue=address, receipt=entry.receipt, visibility_us=int(entry.delay_s * _SECOND_US)
                )
                for entry in batch
            ],
        )

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """See `Backend.extend`."""
        check_extend(self.capabilities, batch)
        self.ledger.note("extend")
        address = queue_address(queue)
        outcomes = self._settle(
            queue,
            [
                ChangeVisibility(queue=address, receipt=entry.receipt, visibility_us=int(entry.lease_s * _SECOND_US))
                for entry in batch
            ],
        )
        await anyio.lowlevel.checkpoint()
        return outcomes

    def _settle(self, queue: QueueName, requests: Sequence[Delete | ChangeVisibility]) -> list[SettleOutcome]:
        reply = self._ask(queue, Batch(queue=queue_address(queue), requests=requests))
        assert isinstance(reply, Outcomes)  # noqa: S101 - the engine's answer to a Batch
        return [
            Failed(error=_settle_error(outcome)) if isinstance(outcome, SqsError) else _SETTLED
            for outcome in reply.outcomes
        ]

    async def stats(self, queue: QueueName) -> QueueStats:
        """See `Backend.stats`."""
        view = self._ask(queue, GetQueue(queue=queue_address(queue)))
        assert isinstance(view, QueueView)  # noqa: S101 - the engine's answer to GetQueue
        oldest_us = view.oldest_sent_us
        return QueueStats(
            visible=view.visible,
            in_flight=view.in_flight,
            delayed=view.delayed,
            oldest_age_s=None if oldest_us is None else (self._driver.now_us() - oldest_us) / _SECOND_US,
            arrived=view.arrived,
        )

    async def peek(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        """See `busframe.backend.Peeks`."""
        return self.peek_now(queue, limit=limit, after=after)

    def peek_now(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        """The same for those who cannot wait."""
        check_peek(limit)
        if after is not None and not after.isdecimal():
            raise InvalidArgumentError("after", after, "the position of a message that was shown before")
        self._require_open()
        try:
            seen = self._driver.inspect(queue_address(queue), after=int(after or -1), limit=limit)
        except SqsError as error:
            raise _call_error(queue, error) from error
        return [_peeked(message) for message in seen.messages]

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """See `Backend.describe`."""
        return self._describe(queue)

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        """See `Backend.list_queues`."""
        reply = self._ask(QueueName(prefix), ListQueues(region=_REGION, account=_ACCOUNT, prefix=prefix, limit=1 << 31))
        assert isinstance(reply, QueueNames)  # noqa: S101 - the engine's answer to ListQueues
        return [QueueName(name) for name in reply.names]

    async def purge(self, queue: QueueName) -> None:
        """See `Backend.purge`."""
        self._ask(queue, PurgeQueue(queue=queue_address(queue)))

    async def remove(self, queue: QueueName) -> None:
        """See `Backend.remove`."""
        if self._describe(queue) is not None:
            self._ask(queue, DeleteQueue(queue=queue_address(queue)))

    def _describe(self, queue: QueueName) -> QueueSpec | None:
        try:
            view = self._ask(queue, GetQueue(queue=queue_address(queue)))
        except QueueNotFoundError:
            return None
        assert isinstance(view, QueueView)  # noqa: S101 - the engine's answer to GetQueue
        settings = view.settings
        redrive = settings.redrive
        return QueueSpec(
            name=queue,
            lease_s=settings.visibility_us / _SECOND_US,
            delay_s=settings.delay_us / _SECOND_US,
            retention_s=settings.retention_us / _SECOND_US,
            dead_letters=redrive
            and DeadLetters(queue=QueueName(redrive.target.name), max_receive_count=redrive.max_receive_count),
            labels=dict(view.tags),
        )

    def _ask(self, queue: QueueName, request: Request) -> Reply:
        self._require_open()
        try:
            return self._driver.apply(request)
        except SqsError as error:
            raise _call_error(queue, error) from error

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("the memory:// backend is closed")


@in_one_process
@asynccontextmanager
async def open_memory(url: BackendUrl) -> AsyncGenerator[MemoryBackend, None]:
    """Open an empty engine: `memory://`. It ends with the context, and its messages with it."""
    url.require_only(())
    if url.place:
        raise InvalidArgumentError("url", url.place, "memory:// names no place")
    # A purge or a re-creation may follow at once: the waiting periods of Amazon SQS only slow a test down.
    limits = Limits(purge_interval_us=0, recreate_after_us=0)
    driver = EngineDriver(Engine(ids=Ids(secrets.randbits(64)), limits=limits))
    backend = MemoryBackend(driver)
    async with runtime.background_tasks() as tasks:
        tasks.start_soon(driver.run)
        try:
            yield backend
        finally:
            backend.close()


@lru_cache(maxsize=1_000)
def queue_address(queue: QueueName) -> QueueAddress:
    """Where a queue is in the engine."""
    return QueueAddress(_REGION, _ACCOUNT, queue)


def _settings(spec: QueueSpec) -> Mapping[str, object]:
    dead = spec.dead_letters
    return {
        "visibility_us": int(spec.lease_s * _SECOND_US),
        "delay_us": int(spec.delay_s * _SECOND_US),
        "retention_us": int(spec.retention_s * _SECOND_US),
        "redrive": dead and Redrive(queue_address(dead.queue), dead.max_receive_count),
        "fifo": is_ordered(spec.name),
        # Every message has an id to be known by: its own, or its body's hash.
        "content_deduplication": is_ordered(spec.name),
    }


def _send(address: QueueAddress, message: Outgoing) -> Send:
    # The engine hands attributes on unseen; in this process nobody else looks at them, so they stay as they are.
    attributes: Any = message.attributes
    return Send(
        address,
        message.body,
        message.size_bytes,
        attributes or None,
        # 0 would override the queue's delay; the contract has no such wish.
        int(message.delay_s * _SECOND_US) or None if message.delay_s else None,
        message.group,
        message.deduplication_id,
    )


def _receive(queue: QueueName, limit: int, wait_s: float, lease_s: float) -> Receive:
    return Receive(queue_address(queue), limit, int(wait_s * _SECOND_US), int(lease_s * _SECOND_US))


def _received(delivery: Delivery) -> Received:
    attributes: Any = delivery.attributes  # see `_send`
    return Received(
        message_id=MessageId(delivery.message_id),
        receipt=Receipt(delivery.receipt),
        body=delivery.body,
        attributes=attributes or {},
        receive_count=delivery.receive_count,
        sent_at_s=delivery.sent_us / _SECOND_US,
        group=delivery.group,
        deduplication_id=delivery.deduplication_id,
        sequence=delivery.sequence,
        dead_letter_source=QueueName(delivery.source.name) if delivery.source else None,
    )


def _peeked(message: MessageSeen) -> Peeked:
    attributes: Any = message.attributes  # see `_send`
    return Peeked(
        position=str(message.ordinal),
        message_id=MessageId(message.message_id),
        body=message.body,
        attributes=attributes,
        state=message.state,
        due_at_s=None if message.due_us is None else message.due_us / _SECOND_US,
        receive_count=message.receive_count,
        sent_at_s=message.sent_us / _SECOND_US,
        group=message.group,
        deduplication_id=message.deduplication_id,
        sequence=message.sequence,
        dead_letter_source=QueueName(message.source.name) if message.source else None,
    )


def _call_error(queue: QueueName, error: SqsError) -> BackendError:
    """What the engine's refusal of a whole call means."""
    if error.shape == "QueueDoesNotExist":
        return QueueNotFoundError(f"queue {queue} is not there; `busframe topology apply` makes those of a program")
    if error.shape == "OverLimit":
        return ThrottledError(f"queue {queue}: {error.text}")
    return MessageRefusedError(f"queue {queue}: {error.text}")


def _settle_error(error: SqsError) -> BackendError:
    """What the engine's refusal of a settlement or extension means: every other one is about the lease."""
    if error.shape == "ReceiptHandleIsInvalid":
        return ReceiptInvalidError(error.text)
    return LeaseLostError(error.text)
