"""The sending half of a live connection: publish an event, send a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack, overload

from busframe.errors import ConfigurationError, InvalidArgumentError, QueueNotFoundError
from busframe.message_type import message_type
from busframe.publishing import Publisher
from busframe.registry import command_queue
from busframe.topology.routes import Routes
from busframe.writing import Options, SendOptions, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe.backend import Backend
    from busframe.message import MessageId, QueueName
    from busframe.message_type import Command, Event
    from busframe.recipients import RecipientList
    from busframe.refusals import CommandsAreSent, EventsArePublished, NoMessage, NotAMessage
    from busframe.registry import Registry
    from busframe.sending import Sender


class Sending:
    """See `busframe.session.Live`."""

    def __init__(self, registry: Registry, backend: Backend, recipients: RecipientList | None, sender: Sender) -> None:
        self._registry = registry
        self._sender = sender
        self._writer = Writer(
            registry.name,
            delay_s_max=backend.capabilities.delay_s_max,
            check_schema=registry.check_schema,
            envelope=registry.envelope,
        )
        self._publisher = None
        if recipients is not None:
            self._publisher = Publisher(Routes(recipients), sender, bytes_max=backend.capabilities.message_bytes_max)

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

        Returns:
            The queues that have their copy; empty if nobody subscribed. A group subscribes when a program that has it
            connects for the first time, and stays subscribed when the program ends.

        Raises:
            PublishError: some queues have theirs and some do not; it says which. Publishing again would reach the
                former twice; `await error.retry()` reaches the latter only.
            EncodeError: a part of the event is not what its class says.
            InvalidArgumentError: `event` is not one, or one of the others is not allowed. Nothing was sent.
            ConfigurationError: this connection has no recipient list.
        """
        options = Options(delay_s=delay_s, tenant=tenant, key=key, headers=headers, correlation_id=correlation_id)
        return self._publish(event, options)

    async def _publish(self, event: object, options: Options) -> Sequence[QueueName]:
        kind = message_type(type(event))
        if kind.kind != "event":
            raise InvalidArgumentError("event", kind.name, "an event; a command is sent, with send()")
        if self._publisher is None:
            raise ConfigurationError(
                "there is no recipient list to publish by; name the one that subscribers name, such as "
                "connect(url, recipients='sqlite:///subscriptions.db')"
            )
        return await self._publisher.publish(self._writer.write(event, kind, options))

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
    ) -> Any:
        """Put a command on its owner's queue. Arguments as `publish`.

        Raises:
            BackendError: it is not there, or, where the error's `effect` is "unknown", may not be there.
            EncodeError: a part of the command is not what its class says.
            InvalidArgumentError: `command` is not one, or one of the others is not allowed. Nothing was sent.
        """
        options = Options(delay_s=delay_s, tenant=tenant, key=key, headers=headers, correlation_id=correlation_id)
        return self._send(command, options)

    async def _send(self, command: object, options: Options) -> MessageId:
        kind = message_type(type(command))
        if kind.kind != "command":
            raise InvalidArgumentError("command", kind.name, "a command; an event is published, with publish()")
        queue = command_queue(kind)
        if queue not in self._registry.groups:
            ordered = command_queue(kind, ordered=True)
            queue = ordered if ordered in self._registry.groups else queue
        message = self._writer.write(command, kind, options)
        message.require_fits(queue)
        try:
            return (await self._sender.send(queue, message.for_queue(queue))).message_id
        except QueueNotFoundError as error:
            owner = f"{kind.name} has no owner yet: its queue {queue} is made when a program that handles it connects"
            raise QueueNotFoundError(owner) from error
