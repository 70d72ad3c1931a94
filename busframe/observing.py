"""What watches a connection is told here: metrics, traces, an application's own counters.

    class Failures(Observer):
        def note(self, event: Event) -> None:
            if isinstance(event, DeadLettered):
                ...

    bus.observe(Failures())

An observer is told of each event after it has happened (`note`), and may put itself around two of them: the sending
of one message (`producing`), which it can give a trace context to travel in, and one call of a handler (`handling`). It
runs on the event loop, between the messages: it must not block. What it raises is logged and changes nothing.

Without an observer none of these values is made.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from busframe.delivery import Delivery
    from busframe.headers import Headers
    from busframe.message import QueueName
    from busframe.tracing import TraceContext

_log = logging.getLogger("busframe")

HandlerOutcome = Literal["done", "dropped", "later", "rejected", "failed", "interrupted", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What is watched.

    Attributes:
        bus: its name.
        scheme: of the backend's URL: "memory", "sqlite", "sqs".
    """

    bus: str
    scheme: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Producing:
    """A message is about to be written and sent.

    Attributes:
        operation: which of the two methods was called.
        message_type: its name on the wire.
        destination: of an event its type, which is the topic; of a command its owner's queue.
    """

    operation: Literal["publish", "send"]
    message_type: str
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """A message was sent, or could not be.

    Attributes:
        message_id: the bus's name for it, the same on all queues; None if it could not be written.
        correlation_id: see `Headers`.
        accepted: the queues that have their copy.
        failed: those that have none, or may have none, and why.
        error: what the caller is told; None if all went well.
        duration_s: from the call to its end, the encoding and repeated attempts included.
    """

    producing: Producing
    message_id: str | None
    correlation_id: str | None
    accepted: Sequence[str] = ()
    failed: Mapping[str, Exception] = field(default_factory=dict[str, Exception])
    error: BaseException | None = None
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """The backend was called for a batch; a call that was cancelled is not told of.

    Attributes:
        entries: messages in it; of a receive, those that came.
        failed: of these, the ones that failed.
        error: the call failed as a whole.
    """

    action: Literal["send", "receive", "settle", "extend"]
    queue: QueueName
    entries: int
    failed: int
    error: Exception | None
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A consumer took messages.

    Attributes:
        group: `bus/group`; empty for the owner of a command.
        redelivered: of these, the ones that were not the first delivery of their message.
    """

    queue: QueueName
    group: str
    count: int
    redelivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """A handler is about to be called."""

    queue: QueueName
    group: str
    delivery: Delivery[object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """A call of a handler has ended. What becomes of the message is told by the next event about it.

    Attributes:
        outcome: "done": it returned. "dropped", "later", "rejected": what it raised. "failed": it raised something
            else, or took too long. "interrupted": the program is ending. "lost": the lease ended under it.
        error: what it raised; None if it returned.
    """

    handling: Handling
    outcome: HandlerOutcome
    error: BaseException | None
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfMessage:
    """Something became of a message.

    Attributes:
        message_id: the broker's name for it.
        delivery: what was opened of it; None if it could not be read, or has no handler.
        attempt: from 1.
    """

    queue: QueueName
    group: str
    message_id: str
    delivery: Delivery[object] | None
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(_OfMessage):
    """A message is to be tried again after `delay_s`: given back, or kept in hand."""

    delay_s: float
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettered(_OfMessage):
    """A message was moved to the dead-letter queue."""

    reason: str
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost(_OfMessage):
    """The lease of a message in hand ended: the broker delivers it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollFailed:
    """A consumer could not receive.

    Attributes:
        failures: in a row.
        state: of its polling; see `ConsumerHealth`.
        wait_s: until it tries again.
    """

    queue: QueueName
    group: str
    failures: int
    state: str
    wait_s: float
    error: Exception


Event = Produced | Called | Received | Handled | Retried | DeadLettered | LeaseLost | PollFailed


class Watch(Protocol):
    """What an observer has put around a send or a call of a handler. Begun and ended in the same task."""

    @property
    def trace(self) -> TraceContext | None:
        """The trace context that a message being sent is to travel in; None leaves it as it is."""
        return None

    def end(self, event: Produced | Handled) -> None:
        """It is over."""
        ...


class Observer:
    """Derive from it, and write what you need: each method does nothing by itself."""

    def connected(self, connection: Connection) -> Observer:  # noqa: ARG002 - for those who override it
        """Tell what is to watch a new connection: itself, or another."""
        return self

    def note(self, event: Event) -> None:
        """Something has happened."""

    def producing(self, producing: Producing) -> Watch | None:  # noqa: ARG002 - the same
        """Put something around the sending of a message; None puts nothing."""
        return None

    def handling(self, handling: Handling) -> Watch | None:  # noqa: ARG002 - the same
        """Put something around a call of a handler; None puts nothing."""
        return None


class Watching:
    """All that has been put around one send or one call of a handler.

    Attributes:
        headers: of the message that is sent, once it is written.
    """

    __slots__ = ("_observers", "_watches", "headers")

    def __init__(self, observers: Observers, watches: Sequence[Watch]) -> None:
        self._observers = observers
        self._watches = watches
        self.headers: Headers | None = None

    @property
    def trace(self) -> TraceContext | None:
        """The trace context that the message being sent is to travel in, if an observer gives it one."""
        return next((watch.trace for watch in reversed(self._watches) if watch.trace is not None), None)

    def end(self, event: Produced | Handled) -> None:
        """It is over: the last to begin hears it first."""
        for watch in reversed(self._watches):
            try:
                watch.end(event)
            except Exception:  # noqa: BLE001 - the messages go on
                _log.exception("an observer failed")
        self._observers.note(event)


class Observers:
    """The observers of one connection, as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def note(self, event: Event) -> None:
        """Tell all of them."""
        for observer in self._observers:
            try:
                observer.note(event)
            except Exception:  # noqa: BLE001 - the messages go on
                _log.exception("an observer failed")

    def producing(self, producing: Producing) -> Watching:
        """Let all of them put something around it."""
        return Watching(self, self._begin(lambda observer: observer.producing(producing)))

    def handling(self, handling: Handling) -> Watching:
        """Let all of them put something around it."""
        return Watching(self, self._begin(lambda observer: observer.handling(handling)))

    def _begin(self, ask: Callable[[Observer], Watch | None]) -> list[Watch]:
        watches: list[Watch] = []
        for observer in self._observers:
            try:
                watch = ask(observer)
            except Exception:  # noqa: BLE001 - the messages go on
                _log.exception("an observer failed")
            else:
                if watch is not None:
                    watches.append(watch)
        return watches


def observers_of(observers: Sequence[Observer], connection: Connection) -> Observers | None:
    """The observers of a new connection; None if nobody watches."""
    return Observers([observer.connected(connection) for observer in observers]) if observers else None
