"""The sending half of a live connection: publish an event, send a command."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, overload

from busframe import runtime
from busframe.errors import (
    BackendError,
    BusframeError,
    InvalidArgumentError,
    PublishError,
    QueueNotFoundError,
)
from busframe.message_type import message_type
from busframe.observing import Produced, Producing
from busframe.owners import Owners
from busframe.publishing import Publisher
from busframe.queue_names import command_queue
from busframe.topology.routes import Routes
from busframe.tracing import in_trace, leave_trace
from busframe.writing import Options, SendOptions, Writer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from busframe.backend import Backend
    from busframe.message import MessageId, QueueName, Sent
    from busframe.message_type import Command, Event, MessageType
    from busframe.observing import Observers, Watching
    from busframe.recipients import RecipientList
    from busframe.refusals import CommandsAreSent, EventsArePublished, NoMessage, NotAMessage
    from busframe.registry import Registry
    from busframe.sending import Sender
    from busframe.writing import Written

R = TypeVar("R")


@dataclass(slots=True)
class SentCounts:
    """What was sent of one message type on one connection.

    Attributes:
        messages: published or sent, whatever the number of their copies.
        copies: queues that took one.
        failed: publishes and sends that failed, or reached only some of their queues.
    """

    messages: int = 0
    copies: int = 0
    failed: int = 0


class Sending:
    """See `busframe.session.Live`."""

    def __init__(
        self,
        registry: Registry,
        backend: Backend,
        recipients: RecipientList | None,
        sender: Sender,
        observers: Observers | None = None,
    ) -> None:
        self._registry = registry
        self._observers = observers
        self._sent = defaultdict[str, SentCounts](SentCounts)
        self._sender = sender
        self._owners = Owners(registry, backend)
        self._writer = Writer(
            registry.name,
            delay_s_max=backend.capabilities.delay_s_max,
            check_schema=registry.check_schema,
            envelope=registry.envelope,
        )
        self._publisher = Publisher(
            self._writer,
            None if recipients is None else Routes(recipients),
            sender,
            self._sent,
            bytes_max=backend.capabilities.message_bytes_max,
        )

    @property
    def sent(self) -> Mapping[str, SentCounts]:
        """What was published and sent on this connection so far, by message type."""
        return self._sent

    @overload
    def publish(self, event: Command, **options: Unpack[SendOptions]) -> CommandsAreSent: ...  # type: ignore[overload-overlap]
    @overload
    async def publish(self, event: Event, **options: Unpack[SendOptions]) -> Sequence[QueueName]: ...
    @overload
    def publish(self, event: NoMessage, **options: Unpack[SendOptions]) -> NotAMessage: ...  # type: ignore[overload-overlap]
    @overload
    async def publish(self, event: object, **options: Unpack[SendOptions]) -> Sequence[QueueName]: ...
    def publish(
        self,
        event: object,
        *,
        delay_s: float = 0.0,
        tenant: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        correlation_id: str | None = None,
        id: str | None = None,  # noqa: A002 - `delivery.headers.id`, as the others are named
    ) -> Any:
        """Put a copy of an event on the queue of every group that subscribed to it.

        Args:
            event: an instance of a class declared with `@event`.
            delay_s: seconds before which no group gets it; 0 or more. A delay longer than the broker's longest is
                waited for in the broker all the same, a part at a time. An ordered queue takes none.
            tenant: on whose behalf it is sent. Where the broker can be fair (Amazon SQS), a tenant with a large
                backlog does not keep the others waiting.
            key: in place of the value of the event's own key: what it is kept in order by.
            headers: the application's own, text by text; handlers find them in `delivery.headers.extra`.
            correlation_id: in place of the one handed on: inside a handler that of the message it handles, elsewhere
                none.
            id: a name for the message that a repetition has too, also after a crash and from another process, such as
                `order-17-placed`: on an ordered queue the second is accepted and not delivered within the broker's
                deduplication window (Amazon SQS: five minutes), and a handler with `once=True` handles one of them. No
                other message of this bus may have it. 1 to 200 characters; a fresh one if None.

        Returns:
            The queues that have their copy; empty if nobody subscribed. A group subscribes when a program that has it
            connects for the first time, and stays subscribed when the program ends.

        Raises:
            PublishError: some queues have theirs and some do not; it says which. Publishing again would reach the
                former twice; `await error.retry()` reaches the latter only.
            EncodeError: a part of the event is not what its class says.
            InvalidArgumentError: `event` is not one, or one of the others is not allowed. Nothing was sent.
            MissingStoreError: this connection has no recipient list.
        """
        options = Options(
            delay_s=delay_s, tenant=tenant, key=key, headers=headers, correlation_id=correlation_id, id=id
        )
        if self._observers is None:
            return self._publisher.publish(event, options)
        return self._publish_watched(event, options)

    async def _publish_watched(self, event: object, options: Options) -> Sequence[QueueName]:
        kind = message_type(type(event))
        producing = Producing(operation="publish", message_type=kind.name, destination=kind.name)
        return await self._watched(producing, lambda watching: self._publisher.publish(event, options, watching))

    @overload
    def send(self, command: Event, **options: Unpack[SendOptions]) -> EventsArePublished: ...  # type: ignore[overload-overlap]
    @overload
    async def send(self, command: Command, **options: Unpack[SendOptions]) -> MessageId: ...
    @overload
    def send(self, command: NoMessage, **options: Unpack[SendOptions]) -> NotAMessage: ...  # type: ignore[overload-overlap]
    @overload
    async def send(self, command: object, **options: Unpack[SendOptions]) -> MessageId: ...
    def send(
        self,
        command: object,
        *,
        delay_s: float = 0.0,
        tenant: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        correlation_id: str | None = None,
        id: str | None = None,  # noqa: A002 - `delivery.headers.id`, as the others are named
    ) -> Any:
        """Put a command on its owner's queue. Arguments as `publish`.

        Raises:
            BackendError: it is not there, or, where the error's `effect` is "unknown", may not be there.
            EncodeError: a part of the command is not what its class says.
            InvalidArgumentError: `command` is not one, or one of the others is not allowed. Nothing was sent.
        """
        options = Options(
            delay_s=delay_s, tenant=tenant, key=key, headers=headers, correlation_id=correlation_id, id=id
        )
        return self._send(command, options) if self._observers is None else self._send_watched(command, options)

    async def _send(self, command: object, options: Options, watching: Watching | None = None) -> MessageId:
        kind = message_type(type(command))
        if kind.kind != "command":
            raise InvalidArgumentError("command", kind.name, "a command; an event is published, with publish()")
        message = self._writer.write(command, kind, options)
        if watching is not None:
            watching.headers = message.headers
        self._sender.require_open()
        counts = self._sent[kind.name]
        try:
            queue = self._owners.known(kind) or await self._owners.find(kind)
            try:
                sent = await self._send_to(kind, queue, message)
            except QueueNotFoundError as error:
                sent = await self._send_to_another(kind, queue, message, error)
        except BusframeError:
            counts.failed += 1
            raise
        counts.messages += 1
        counts.copies += 1
        return sent.message_id

    async def _send_watched(self, command: object, options: Options) -> MessageId:
        kind = message_type(type(command))
        destination = await self._owners.find(kind) if kind.kind == "command" else command_queue(kind)
        producing = Producing(operation="send", message_type=kind.name, destination=destination)
        return await self._watched(producing, lambda watching: self._send(command, options, watching))

    async def _send_to(self, kind: MessageType, queue: QueueName, message: Written) -> Sent:
        message.require_fits(queue)
        sent = await self._sender.send(queue, message.for_queue(queue))
        self._owners.remember(kind, queue)
        return sent

    async def _send_to_another(
        self, kind: MessageType, queue: QueueName, message: Written, error: QueueNotFoundError
    ) -> Sent:
        """Send to where the owner is by now, its queue not being where it was."""
        other = await self._owners.find_again(kind, queue)
        try:
            if other is not None:
                return await self._send_to(kind, other, message)
        except QueueNotFoundError:
            pass
        except InvalidArgumentError:
            if self._owners.known(kind) is not None:  # else it is not known to be there
                raise
        raise QueueNotFoundError(
            f"{kind.name} has no owner yet: its queue {queue} is made when a program that handles it connects"
        ) from error

    async def _watched(self, producing: Producing, produce: Callable[[Watching], Awaitable[R]]) -> R:
        """Write and send a message with what observers put around it, and tell them how it went."""
        assert self._observers is not None  # noqa: S101 - somebody watches
        watching = self._observers.producing(producing)
        trace = watching.trace
        token = None if trace is None else in_trace(trace)
        begun_s = runtime.now_s()
        accepted: Sequence[str] = ()
        error: BaseException | None = None
        try:
            result = await produce(watching)
            accepted = cast("Sequence[str]", result) if producing.operation == "publish" else (producing.destination,)
        except BaseException as raised:
            error = raised
            raise
        else:
            return result
        finally:
            if token is not None:
                leave_trace(token)
            watching.end(_produced(producing, watching, accepted, error, runtime.now_s() - begun_s))


def _produced(
    producing: Producing, watching: Watching, accepted: Sequence[str], error: BaseException | None, took_s: float
) -> Produced:
    headers = watching.headers
    failed: Mapping[str, Exception] = {}
    if isinstance(error, PublishError):
        accepted, failed = tuple(error.accepted), error.failed
    elif isinstance(error, BackendError) and producing.operation == "send":
        failed = {producing.destination: error}
    return Produced(
        producing=producing,
        message_id=None if headers is None else headers.id,
        correlation_id=None if headers is None else headers.correlation_id or headers.id,
        accepted=accepted,
        failed=failed,
        error=error,
        duration_s=took_s,
    )
