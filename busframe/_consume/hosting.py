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
from busframe.errors import MissingStoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Backend
    from busframe.group import Group
    from busframe.inbox import Inbox
    from busframe.message import QueueName
    from busframe.observing import Observers
    from busframe.sending import Sender


class Run:
    """Consumers that begin and end together.

    They are told to end by an event and not by cancellation, since a drain has work to do. So the one who starts them
    sets `stop` whatever happens, and waits for `begun` where it can be cancelled: `TaskGroup.start` would wait for them
    if it is, and they for `stop`.

    Args:
        groups: what to consume.
        drain_s: how long handlers may go on after the stop.
        bounds: where the run ends by itself; None: nowhere.

    Attributes:
        consumers: one for each group, once it has begun.
        stop: set it to have them drain and end.
        begun: set when they are there.
        ended: set when they have ended.
    """

    def __init__(self, groups: Sequence[Group], drain_s: float, bounds: Bounds | None = None) -> None:
        self.groups = groups
        self.drain_s = drain_s
        self.bounds = bounds or Bounds()
        self.consumers: list[Consumer] = []
        self.stop, self.begun, self.ended = anyio.Event(), anyio.Event(), anyio.Event()


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
            raise MissingStoreError("inbox", "this connection has no inbox")
        return self._inbox

    def require_inbox(self, groups: Sequence[Group]) -> None:
        """Make sure that there is an inbox if one of the groups needs it.

        Raises:
            MissingStoreError: there is none.
        """
        asking = [group.queue for group in groups if needs_inbox(group)]
        if asking and self._inbox is None:
            text = f"{asking[0]} has a subscription with once=True, and this connection has no inbox"
            raise MissingStoreError("inbox", text)

    def health(self, *, stuck_after_s: float, stale_after_s: float) -> Health:
        """See `Live.health`."""
        return Health(
            consumers=tuple(
                consumer.health(stuck_after_s=stuck_after_s, stale_after_s=stale_after_s)
                for consumers in self._consuming.values()
                for consumer in consumers
            )
        )

    async def run(self, run: Run) -> None:
        """Consume until told to stop, then drain. Not to be cancelled from outside: see `Run`."""
        try:
            with anyio.CancelScope(shield=True):
                async with runtime.background_tasks() as keepers, anyio.create_task_group() as tasks:
                    for group in run.groups:
                        counts = self.counts.setdefault(group.queue, Counts(group))
                        guarded = with_inbox(group, self.inbox, keepers) if needs_inbox(group) else group
                        consumer = Consumer(
                            self._backend,
                            self._sender,
                            guarded,
                            counts,
                            run.bounds,
                            observers=self._observers,
                            drain_s=run.drain_s,
                        )
                        run.consumers.append(consumer)
                        tasks.start_soon(self._run, consumer, group.queue)
                    run.begun.set()
                    await run.stop.wait()
                    for consumer in run.consumers:
                        consumer.stop()
        finally:
            run.ended.set()

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
        except KeyboardInterrupt:
            del consuming[consumer]
            await self._hasten_all()
            raise
        finally:
            consuming.pop(consumer, None)
            ended.set()

    async def _hasten_all(self) -> None:
        """Have all consumers give back what they have, before the program ends."""
        running = [pair for consumers in self._consuming.values() for pair in consumers.items()]
        for consumer, _ in running:
            consumer.hasten()
        for _, ended in running:
            await ended.wait()
