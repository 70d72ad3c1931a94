"""The contract that a backend implements: everything the bus asks of a broker.

A backend is a package of its own, found by its URL scheme through the entry-point group `busframe.backends`. The entry
point is a `BackendFactory`: handed the URL, it gives an async context manager, inside which the backend works and at
whose end nothing of it is left running. `busframe.testing.BackendConformance` is this contract as tests.

What holds for every method, unless its docstring says otherwise:

*Concurrency.* Any number of tasks of one event loop may call any methods at once, `receive` included.

*Batches.* Sequences have 1 to `capabilities.batch_entries_max` entries; splitting is the caller's work, since the
caller knows what may wait. The answer has one outcome per entry, in the order of the entries: each caller learns
the fate of its own entry. An exception concerns the call as a whole, and its `effect` holds for all entries.

*Retries.* Of `send`, `receive`, `settle` and `extend` the backend makes none of its own: the bus has one layer of them
and needs to see each failure. What an SDK does within one call is switched off, or stated in the backend's
documentation. What is about queues (`provision`, `stats`, `describe`, `list_queues`, `purge`, `remove`) the bus does
not repeat: where single calls may well fail, the backend does, a bounded number of times.

*Bad input* (a negative delay, a lease beyond `lease_s_max`, an empty batch) raises `InvalidArgumentError` before
anything is sent. All times are seconds.

*Cancellation* is honoured within a second, and leaves nothing behind but what the docstring says. Leaving the backend's
own context may take longer: as long as one receive's wait, where the broker cannot be told that nobody waits any more.

*Errors* are `busframe.errors.BackendError`s; each backend keeps one table from its broker's errors to these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar, get_args, runtime_checkable

from busframe.checks import check_is, check_one_of, check_seconds, check_texts, check_whole
from busframe.errors import InvalidArgumentError
from busframe.message import is_ordered, queue_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from busframe.config import BackendUrl
    from busframe.ledger import Ledger
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
    from busframe.recipients import RecipientList

F = TypeVar("F", bound="BackendFactory")

_ONE_PROCESS: Final = "__busframe_one_process__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do, as facts. A declared capability is attacked by the conformance kit.

    What a program needs and a backend lacks is refused by name when the bus connects.

    Attributes:
        ordered: has queues whose name ends in `.fifo`, which deliver a group's messages in the order sent, one batch
            at a time, and hold back the rest of a group while its first undone message is out.
        fair_groups: on a queue without order, a group (tenant) with a large backlog does not keep the others waiting.
        deduplication_window_s: how long an ordered queue remembers a deduplication id, from the first send; 0: not.
        delay_s_max: longest `Outgoing.delay_s`. A `Release.delay_s` is bounded by what is left of `lease_s_max`, from
            the receive on; a longer one is honoured, or fails with `LeaseLostError` and changes nothing.
        lease_s_max: longest lease, counted from the receive over all its extensions.
        retention_s_max: longest a message is kept; then it is gone, in flight or not.
        wait_s_max: longest `wait_s` of one receive.
        message_bytes_max: largest `Outgoing.size_bytes`.
        batch_bytes_max: largest sum of `size_bytes` over a batch, without the messages larger than that, which only a
            backend takes whose `message_bytes_max` is larger.
        batch_entries_max: most entries in one send, settle or extend.
        receive_entries_max: largest `limit` of one receive.
        dead_letters: moves a message by itself when `DeadLetters.max_receive_count` is exceeded. The bus needs this
            as a safety net for consumers that die; giving up on purpose it does with send and acknowledge.
        topics: implements `TopicBackend`, so that a publish is one call whatever the number of recipients.
        durable: what was accepted survives the end of every process.
        shared: several processes may use it at once.
        exact_stats: `stats` tells the state at the call, not some state of the last minute.
    """

    ordered: bool
    fair_groups: bool
    deduplication_window_s: float
    delay_s_max: float
    lease_s_max: float
    retention_s_max: float
    wait_s_max: float
    message_bytes_max: int
    batch_bytes_max: int
    batch_entries_max: int
    receive_entries_max: int
    dead_letters: bool
    topics: bool
    durable: bool
    shared: bool
    exact_stats: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """Where a message goes that was received too often.

    Attributes:
        queue: ordered if and only if the source is.
        max_receive_count: 1 to 1,000. The receive after the n-th moves the message instead of handing it out.
    """

    queue: QueueName
    max_receive_count: int

    def __post_init__(self) -> None:
        queue_name(self.queue)
        check_whole("max_receive_count", self.max_receive_count, 1, 1000)  # Amazon SQS, RedrivePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSpec:
    """A queue as it should be.

    Attributes:
        lease_s: for receivers that name none; the bus always names one. 0 to 43,200.
        delay_s: for each message without a delay of its own. 0 to 900.
        retention_s: 60 to 1,209,600 (14 days), counted from the send, or from the end of the message's delay on a
            backend that takes delays beyond the retention.
        dead_letters: None keeps giving the message out.
        labels: free text by key, stored with the queue (SQS: tags): who owns it, when it was last in use.
    """

    name: QueueName
    lease_s: float = 30.0
    delay_s: float = 0.0
    retention_s: float = 345_600.0
    dead_letters: DeadLetters | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        # Amazon SQS, CreateQueue: the attribute ranges. The strictest backend sets the rule for all.
        for parameter, value, low, high in (
            ("lease_s", self.lease_s, 0, 43_200),
            ("delay_s", self.delay_s, 0, 900),
            ("retention_s", self.retention_s, 60, 1_209_600),
        ):
            check_seconds(parameter, value, low, high)
        queue_name(self.name, "name")
        check_texts("labels", self.labels, "text by text")
        if self.dead_letters is not None:
            check_is("dead_letters", self.dead_letters, DeadLetters, "a DeadLetters, or None")
        if self.dead_letters and is_ordered(self.dead_letters.queue) != is_ordered(self.name):
            allowed = "a queue of the same kind: both names end in '.fifo', or neither does"
            raise InvalidArgumentError("dead_letters.queue", self.dead_letters.queue, allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """A topic that the broker itself fans out (`Capabilities.topics`), and the queues that get a copy each."""

    name: str
    queues: tuple[QueueName, ...] = ()


ProvisionMode = Literal["create", "check", "assume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What must be there before a program starts.

    Attributes:
        queues: a dead-letter queue stands before the queues that name it.
        mode: "create" makes what is missing and changes what differs; "check" changes nothing and raises where
            something is missing or differs; "assume" makes no call at all, for production roles that may only send
            and receive.
    """

    queues: tuple[QueueSpec, ...] = ()
    topics: tuple[TopicSpec, ...] = ()
    mode: ProvisionMode = "create"

    def __post_init__(self) -> None:
        check_one_of("mode", self.mode, get_args(ProvisionMode))


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """How full a queue is.

    Attributes:
        visible: messages that a receive could return now, those held back by their group's order included.
        in_flight: delivered, their leases running.
        delayed: sent, not yet due.
        oldest_age_s: seconds since the oldest message still there was sent; None if the queue is empty or the
            broker does not tell.
        arrived: how many messages have come onto the queue so far, in whatever way. Its growth between two looks, less
            the growth of what is there, is how many have gone. None: the broker does not count them.
    """

    visible: int
    in_flight: int
    delayed: int
    oldest_age_s: float | None
    arrived: int | None = None

    @property
    def total(self) -> int:
        """All its messages, whatever their state."""
        return self.visible + self.in_flight + self.delayed


class Backend(Protocol):
    """A broker. See the head of this file for what holds of every method."""

    @property
    def capabilities(self) -> Capabilities:
        """The same for the backend's whole life."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The calls this backend has made of its broker so far; the same object for the backend's whole life.

        A backend without a service behind it notes each call of `send`, `receive`, `settle` and `extend` under that
        name. Bad input, refused before anything is sent, is not a call.
        """
        ...

    async def provision(self, plan: Plan) -> None:
        """Make the broker's queues and topics as the plan says, by its mode.

        Safe to repeat and to run from several processes at once: the second finds what the first made. A queue
        that is not in the plan is left alone. A failure half-way leaves what was made; repeat to go on.

        Raises:
            QueueNotFoundError: mode "check", and it is missing.
            QueueMismatchError: mode "check", and it differs; or it differs in what cannot be changed.
        """
        ...

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """Append messages. `Sent` means stored as safely as the backend ever stores (`durable`).

        Cancelled, each entry may have been sent or not. On an ordered queue the entries are appended in their order.

        Raises:
            QueueNotFoundError: nothing was sent.
        """
        ...

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """Take up to `limit` messages, each under a lease of `lease_s`.

        Returns as soon as there is at least one message, else after `wait_s` with nothing. With `wait_s` 0 the answer
        may be empty or short although messages are there. Fewer than `limit` says nothing about how many are left.

        Cancelled, messages that the broker hands out all the same are given back at once by the backend: none stays
        hidden for its lease because nobody was there to take it. Their receive count may have grown.

        Args:
            queue: where from.
            limit: 1 to `receive_entries_max`.
            wait_s: 0 to `wait_s_max`.
            lease_s: 0 to `lease_s_max`. 0 looks without hiding.
        """
        ...

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """Acknowledge or release deliveries; the two may be mixed.

        Acknowledging twice succeeds twice. A receipt whose lease has ended may still acknowledge if the message was
        not delivered again since; it must not acknowledge a newer delivery of an ordered queue. A `Release` of a lost
        lease fails with `LeaseLostError` or does nothing; where there is no order, it may end the lease of a newer
        delivery (Amazon SQS lets it).
        """
        ...

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """Move the end of leases. `LeaseLostError` if a lease is gone, or would exceed `lease_s_max` in all."""
        ...

    async def stats(self, queue: QueueName) -> QueueStats:
        """Count the queue's messages; see `Capabilities.exact_stats`."""
        ...

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """Tell how the queue is set up, or None if it is not there. What finds drift, and reads labels."""
        ...

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        """Name all queues that start with `prefix`, sorted. What finds orphans."""
        ...

    async def purge(self, queue: QueueName) -> None:
        """Remove all messages, those in flight and delayed included. May take up to a minute to finish."""
        ...

    async def remove(self, queue: QueueName) -> None:
        """Remove the queue with its messages. Removing what is not there succeeds."""
        ...


@runtime_checkable
class TopicBackend(Backend, Protocol):
    """A backend whose broker fans out by itself."""

    async def publish(self, topic: str, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """Send one copy of each message to every queue of the topic: one call, whatever their number."""
        ...


@runtime_checkable
class KeepsRecipients(Protocol):
    """A backend that keeps the recipient list in the place where it keeps the messages."""

    @property
    def recipients(self) -> RecipientList:
        """The list, open for as long as the backend is."""
        ...


@runtime_checkable
class Peeks(Protocol):
    """A backend that shows messages without receiving them: for people, not for programs that consume."""

    async def peek(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        """Show messages of a queue, whoever holds them. Nothing is changed, counted or woken by it.

        In the order the messages came, by and large: what was given back with a delay may have moved to the end.
        Fewer than `limit` means that there are no more.

        Args:
            queue: where.
            limit: 1 to 1,000.
            after: go on behind the message with this `position`, be it still there or not; None: from the start.

        Raises:
            QueueNotFoundError: there is no such queue.
        """
        ...


@runtime_checkable
class Immediate(Protocol):
    """A backend whose broker is in this process and answers without waiting: its calls as plain functions.

    Each does what the method without `_now` in its name does, with the same checks, outcomes, errors and entries in the
    ledger, and has done it when it returns. What stands around such a backend and does not have them is used without.

    The bus makes no effort to save calls of it: what is sent goes out at once, each message by itself, in the task that
    sends it. The bus sees to it that other tasks have their turn; nothing in here lets them.
    """

    def send_now(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """See `Backend.send`."""
        ...

    def receive_now(self, queue: QueueName, *, limit: int, lease_s: float) -> Sequence[Received]:
        """See `Backend.receive`: what it finds with `wait_s` 0."""
        ...

    def settle_now(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `Backend.settle`."""
        ...


class BackendFactory(Protocol):
    """What an entry point in the group `busframe.backends` must be."""

    def __call__(self, url: BackendUrl) -> AbstractAsyncContextManager[Backend]:
        """Open the backend the URL names.

        Raises:
            InvalidArgumentError: the URL has a part or a parameter the backend does not know. Before any effect.
            BackendError: on entering: the broker cannot be reached or used.
        """
        ...


def in_one_process(factory: F) -> F:
    """Mark a factory whose backends no other process can share (`Capabilities.shared` is False).

    What starts several processes refuses it before it starts the first; without the mark each of them would refuse.
    """
    setattr(factory, _ONE_PROCESS, True)
    return factory


def is_in_one_process(factory: BackendFactory) -> bool:
    """Tell whether a factory is marked `in_one_process`."""
    return getattr(factory, _ONE_PROCESS, False) is True
