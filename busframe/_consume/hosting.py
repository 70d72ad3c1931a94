"""Runs the consumers of a connection, and knows how they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from busframe import runtime
from busframe._consume.bounds import Bounds
from busframe._consume.consumer import Consumer
from busframe._consume.counts import Counts
from busframe._consume.health import Health
from busframe._consume.once import needs_inbox, with_inbox
from busframe.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskStatus

    from busframe.backend import Backend
    from busframe.inbox import Inbox
    from busframe.message import QueueName
    from busframe.observing import Observers
    from busframe.registry import Group
    from busframe.sending import Sender


class Host:
    """The consumers of one connection.

    Args:
        inbox: for handlers that ask for one; None if there is none.
        observers: are told what happens; None if nobody watches.

    Attributes:
        counts: what they have done so far, by queue.
    """

    def __init__(
        self, backend: Backend, sender: Sender, inbox: Inbox | None, observers: Observers | None = None
    ) -> None:
        self.counts: dict[str, Counts] = {}
        self._backend = backend
        self._sender = sender
        self._inbox = inbox
        self._observers = observers
        self._consuming: dict[QueueName, dict[Consumer, anyio.Event]] = {}

    @property
    def inbox(self) -> Inbox:
        """See `Live.inbox`."""
        if self._inbox is None:
            raise ConfigurationError("this connection has no inbox: connect(url, inbox='sqlite:///inbox.db')")
        return self._inbox

    def require_inbox(self, groups: Sequence[Group]) -> None:
        """Make sure that there is an inbox if one of the groups needs it.

        Raises:
            ConfigurationError: there is none.
        """
        if any(needs_inbox(group) for group in groups):
            _ = self.inbox

    def health(self, *, stuck_after_s: float, stale_after_s: float) -> Health:
        """See `Live.health`."""
        return Health(
            consumers=tuple(
                consumer.health(stuck_after_s=stuck_after_s, stale_after_s=stale_after_s)
                for consumers in self._consuming.values()
                for consumer in consumers
            )
        )

    async def run(
        self,
        groups: Sequence[Group],
        stop: anyio.Event,
        drain_s: float,
        bounds: Bounds | None = None,
        ended: anyio.Event | None = None,
        *,
        task_status: TaskStatus[Sequence[Consumer]],
    ) -> None:
        """Consume until told to stop, then drain. Shielded: cancellation arrives as `stop`, a drain has work to do."""
        bounds = bounds or Bounds()
        try:
            with anyio.CancelScope(shield=True):
                async with runtime.background_tasks() as keepers, anyio.create_task_group() as tasks:
                    consumers: list[Consumer] = []
                    for group in groups:
                        counts = self.counts.setdefault(group.queue, Counts(group))
                        guarded = with_inbox(group, self.inbox, keepers) if needs_inbox(group) else group
                        consumer = Consumer(
                            self._backend,
                            self._sender,
                            guarded,
                            counts,
                            bounds,
                            observers=self._observers,
                            drain_s=drain_s,
                        )
                        consumers.append(consumer)
                        tasks.start_soon(self._run, consumer, group.queue)
                    task_status.started(consumers)
                    await stop.wait()
                    for consumer in consumers:
                        consumer.stop()
        finally:
            if ended is not None:
                ended.set()

    async def stop(self, queue: QueueName) -> None:
        """Stop the consumers of a queue that is about to be removed, and wait until they have."""
        for consumer, ended in tuple(self._consuming.get(queue, {}).items()):
            consumer.stop()
            await ended.wait()

    async def _run(self, consumer: Consumer, queue: QueueName) -> None:
        consuming = self._consuming.setdefault(queue, {})
        ended = consuming[consumer] = anyio.Event()
        try:
            await consumer.run()
        finally:
            del consuming[consumer]
            ended.set()
