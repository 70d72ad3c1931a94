"""A live connection: publish, send, and run the handlers."""

from __future__ import annotations

import logging
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
from anyio import TASK_STATUS_IGNORED

from busframe import runtime
from busframe._consume.consumer import Consumer, Counts
from busframe.codec import HEADERS, Headers, encode, encode_headers, key_of
from busframe.errors import ConfigurationError, InvalidArgumentError, QueueNotFoundError
from busframe.message import Outgoing
from busframe.message_type import message_type
from busframe.publishing import Publisher, for_queue
from busframe.registry import command_queue
from busframe.sending import Sender
from busframe.topology.routes import Routes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from anyio.abc import TaskGroup, TaskStatus

    from busframe.backend import Backend, QueueStats
    from busframe.message import MessageId, QueueName
    from busframe.message_type import MessageType
    from busframe.recipients import RecipientList
    from busframe.registry import Registry

B = TypeVar("B")

_log = logging.getLogger("busframe")

DRAIN_S: Final = 25.0
"""Container platforms kill thirty seconds after they ask to stop; five are left for the program around the bus."""


class Live:
    """A bus connected to a backend. Made by `Bus.connect`; all methods may be called at once from any task."""

    def __init__(
        self, registry: Registry, backend: Backend, recipients: RecipientList | None, tasks: TaskGroup
    ) -> None:
        self._registry = registry
        self._backend = backend
        self._sender = Sender(backend, tasks)
        self._publisher = Publisher(Routes(recipients), self._sender) if recipients is not None else None
        self._counts: dict[str, Counts] = {queue: Counts() for queue in registry.groups}

    @property
    def counts(self) -> Mapping[str, Counts]:
        """What the consumers of this connection have done so far, by queue."""
        return self._counts

    async def stats(self) -> Mapping[str, QueueStats]:
        """How full the queues of all groups are, their dead-letter queues included."""
        stats: dict[str, QueueStats] = {}
        for group in self._registry.groups.values():
            for queue in (group.queue, group.dead_queue):
                stats[queue] = await self._backend.stats(queue)
        return stats

    def backend_as(self, kind: type[B]) -> B:
        """The backend as the class it is, for what only it can do.

        Raises:
            ConfigurationError: it is another.
        """
        if not isinstance(self._backend, kind):
            raise ConfigurationError(f"the backend is a {type(self._backend).__name__}, not a {kind.__name__}")
        return self._backend

    async def publish(self, event: object) -> Sequence[QueueName]:
        """Put a copy of an event on the queue of every group that subscribed to it.

        Returns:
            The queues that have their copy; empty if nobody subscribed. A group subscribes when a program that has it
            connects for the first time, and stays subscribed when the program ends.

        Raises:
            PublishError: some queues have theirs and some do not; it says which. Publishing again would reach the
                former twice.
            ConfigurationError: this connection has no recipient list.
        """
        kind = message_type(type(event))
        if kind.kind != "event":
            raise InvalidArgumentError("event", kind.name, "an event; a command is sent, with send()")
        if self._publisher is None:
            raise ConfigurationError(
                "there is no recipient list to publish by; name the one that subscribers name, such as "
                "connect(url, recipients='sqlite:///subscriptions.db')"
            )
        headers = self._headers(event, kind)
        return await self._publisher.publish(headers, _write(event, kind, headers))

    async def send(self, command: object) -> MessageId:
        """Put a command on its owner's queue.

        Raises:
            BackendError: it is not there, or, where the error's `effect` is "unknown", may not be there.
        """
        kind = message_type(type(command))
        if kind.kind != "command":
            raise InvalidArgumentError("command", kind.name, "a command; an event is published, with publish()")
        queue = command_queue(kind)
        if queue not in self._registry.groups:
            ordered = command_queue(kind, ordered=True)
            queue = ordered if ordered in self._registry.groups else queue
        try:
            message = _write(command, kind, self._headers(command, kind))
            return (await self._sender.send(queue, for_queue(message, queue))).message_id
        except QueueNotFoundError as error:
            owner = f"{kind.name} has no owner yet: its queue {queue} is made when a program that handles it connects"
            raise QueueNotFoundError(owner) from error

    @asynccontextmanager
    async def running(self, *, drain_s: float = DRAIN_S) -> AsyncGenerator[None, None]:
        """Run the registry's handlers for as long as the context lasts; leaving it drains.

        Draining stops polling, lets running handlers end for up to `drain_s` seconds, cancels the rest and gives their
        messages back, and settles everything else.
        """
        stop = anyio.Event()
        async with runtime.background_tasks() as tasks:
            await tasks.start(self._consume, stop, drain_s)
            try:
                yield
            finally:
                stop.set()

    async def serve(self, *, drain_s: float = DRAIN_S, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run the registry's handlers until cancelled, then drain: for `await task_group.start(live.serve)`."""
        async with self.running(drain_s=drain_s):
            task_status.started()
            await anyio.sleep_forever()

    async def serve_until_signal(
        self, *, drain_s: float = DRAIN_S, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> signal.Signals:
        """Run the registry's handlers until the process gets SIGINT or SIGTERM, then drain and return which it was.

        For the main thread of a worker process. A second signal has its usual effect, in case the drain takes too long.
        """
        async with self.running(drain_s=drain_s):
            task_status.started()
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for received in signals:
                    return received
        raise AssertionError("signals never end")  # pragma: no cover

    async def _consume(self, stop: anyio.Event, drain_s: float, *, task_status: TaskStatus[None]) -> None:
        """Host the consumers. Shielded: cancellation arrives as `stop`, since a drain has work to do."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                consumers = [
                    Consumer(self._backend, self._sender, group, self._counts[queue], drain_s=drain_s)
                    for queue, group in self._registry.groups.items()
                ]
                for consumer in consumers:
                    tasks.start_soon(consumer.run)
                task_status.started()
                await stop.wait()
                for consumer in consumers:
                    consumer.stop()

    def _headers(self, payload: object, kind: MessageType) -> Headers:
        return Headers(
            id=runtime.new_id(),
            type=kind.name,
            version=kind.version,
            source=self._registry.name,
            key=key_of(payload, kind),
        )


def _write(payload: object, kind: MessageType, headers: Headers) -> Outgoing:
    return Outgoing(
        body=encode(payload, kind),
        attributes={HEADERS: encode_headers(headers)},
        group=headers.key,
        deduplication_id=headers.id,
    )
