"""A live connection: publish, send, and run the handlers."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
from anyio import TASK_STATUS_IGNORED

from busframe import runtime
from busframe._consume.bounds import Bounds
from busframe._consume.counts import Counts
from busframe._consume.health import STALE_AFTER_S, STUCK_AFTER_S
from busframe._consume.hosting import Host, Run
from busframe._consume.pulling import Shelf, Stream
from busframe._consume.signals import SignalWatch, first_of
from busframe.channel import Channel
from busframe.checks import check_flag, check_is, check_names, check_seconds, check_text, check_whole
from busframe.dead_letters import DeadLetterQueue
from busframe.entering import Entering
from busframe.errors import BackendError, ConfigurationError, InvalidArgumentError
from busframe.group import DEFAULT_CONCURRENCY, names_of
from busframe.message import queue_name
from busframe.message_type import message_type
from busframe.metrics import families, queue_families
from busframe.observed_backend import observed
from busframe.queue_names import dead_queue, source_of_dead
from busframe.registry import Registry
from busframe.samples import written
from busframe.sending import Sender
from busframe.sending_side import Sending
from busframe.topology.operations import Topology

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from anyio.abc import TaskGroup, TaskStatus

    from busframe._consume.health import Health
    from busframe.backend import Backend, Capabilities, QueueStats
    from busframe.filters import FilterOn
    from busframe.group import Group
    from busframe.inbox import Inbox
    from busframe.message import QueueName
    from busframe.observing import Observers
    from busframe.recipients import RecipientList
    from busframe.registering import HandleOptions, SubscribeOptions
    from busframe.retry import Retry
    from busframe.samples import Family

B = TypeVar("B")
T = TypeVar("T")

_log = logging.getLogger("busframe")

DRAIN_S: Final = 25.0
"""Container platforms kill thirty seconds after they ask to stop; five are left for the program around the bus."""

_RUNNING: Final = (
    "running() runs nothing by itself; write `async with live.running():`, and the handlers run for as long as the "
    "program is inside (to run them until it is cancelled: `await live.serve()`)"
)


class Live(Sending):
    """A bus connected to a backend. Made by `Bus.connect`; all methods may be called at once from any task."""

    def __init__(
        self,
        registry: Registry,
        backend: Backend,
        recipients: RecipientList | None,
        tasks: TaskGroup,
        *,
        inbox: Inbox | None = None,
        prepare: Callable[[Registry], Awaitable[None]] | None = None,
        observers: Observers | None = None,
    ) -> None:
        watched = backend if observers is None else observed(backend, observers)
        super().__init__(registry, backend, recipients, Sender(watched, tasks), observers)
        self._backend = backend
        self._prepare = prepare
        self._host = Host(watched, self._sender, inbox, observers)
        self._host.counts.update((queue, Counts(group)) for queue, group in registry.groups.items())
        self._topology = Topology(
            registry, backend, recipients, by=runtime.who(registry.name), before_removal=self._host.stop
        )

    @property
    def topology(self) -> Topology:
        """The subscriptions in the recipient list, and their queues: to see, pause, move, unsubscribe and check them.

        Unsubscribing a group stops this connection's consumers of its queue, once the queue is empty. So a handler
        cannot wait for its own group to be unsubscribed.
        """
        return self._topology

    @property
    def counts(self) -> Mapping[str, Counts]:
        """What the consumers of this connection have done so far, by queue."""
        return self._host.counts

    def health(self, *, stuck_after_s: float = STUCK_AFTER_S, stale_after_s: float = STALE_AFTER_S) -> Health:
        """How the consumers of this connection are, for a probe: `live.health().healthy`.

        Args:
            stuck_after_s: a handler that has been running for longer is stuck.
            stale_after_s: polls that have failed for longer are a fault, whatever the error.
        """
        check_seconds("stuck_after_s", stuck_after_s, 0)
        check_seconds("stale_after_s", stale_after_s, 0)
        return self._host.health(stuck_after_s=stuck_after_s, stale_after_s=stale_after_s)

    async def aclose(self) -> None:
        """Refuse further sends and wait for those under way, for a few seconds; leaving `Bus.connect` does it.

        What is not sent by then is given up, and its sender told what is known of it.
        """
        await self._sender.aclose()

    async def stats(self) -> Mapping[str, QueueStats]:
        """How full the queues of all groups are, their dead-letter queues included."""
        stats: dict[str, QueueStats] = {}
        for group in self._registry.groups.values():
            for queue in (group.queue, group.dead_queue):
                stats[queue] = await self._backend.stats(queue)
        return stats

    async def metrics(self, *, queues: bool = True) -> str:
        """All of this as text for Prometheus; docs/observability.md lists what there is.

        Args:
            queues: tell how full the queues are. That asks the broker, on Amazon SQS with a call for each queue; a
                queue that cannot be asked is told of as such.
        """
        check_flag("queues", queues)
        asked = await self.queue_samples() if queues else ()
        return written((*asked, *self.samples()))

    def samples(self) -> Sequence[Family]:
        """The metrics as values, those of the queues left out: several processes' make one page by `samples.merged`."""
        return families(counts=self.counts, sent=self.sent, calls=self._backend.ledger.calls, health=self.health())

    async def queue_samples(self) -> Sequence[Family]:
        """The metrics of the queues as values: for one of several processes to ask for; see `metrics`."""
        stats: dict[str, QueueStats | BackendError] = {}
        for group in self._registry.groups.values():
            for queue in (group.queue, group.dead_queue):
                try:
                    stats[queue] = await self._backend.stats(queue)
                except BackendError as error:
                    stats[queue] = error
        return queue_families(stats)

    @property
    def inbox(self) -> Inbox:
        """Where it stands which messages have been handled, for subscriptions with `once=True`.

        Raises:
            ConfigurationError: this connection has none.
        """
        return self._host.inbox

    @property
    def capabilities(self) -> Capabilities:
        """What the broker can do, as facts."""
        return self._backend.capabilities

    def backend_as(self, kind: type[B]) -> B:
        """The backend as the class it is, for what only it can do.

        Raises:
            ConfigurationError: it is another.
        """
        check_is("kind", kind, type, "the class of a backend, such as SqsBackend")
        if not isinstance(self._backend, kind):
            raise ConfigurationError(f"the backend is a {type(self._backend).__name__}, not a {kind.__name__}")
        return self._backend

    def running(
        self, *, groups: Sequence[str] | None = None, concurrency: int | None = None, drain_s: float = DRAIN_S
    ) -> AbstractAsyncContextManager[None, None]:
        """Run the registry's handlers for as long as the context lasts; leaving it drains.

        Draining stops polling, lets running handlers end for up to `drain_s` seconds, cancels the rest and gives their
        messages back, and settles everything else.

        Args:
            groups: run these only, named as for `Registry.select`; None is all of them.
            concurrency: handle so many messages of each group at a time, in place of what the subscriptions say.
            drain_s: see above.
        """
        return Entering(self._running(groups, concurrency, drain_s), "live.running(...)", _RUNNING)

    @asynccontextmanager
    async def _running(
        self, groups: Sequence[str] | None, concurrency: int | None, drain_s: float
    ) -> AsyncGenerator[None, None]:
        check_seconds("drain_s", drain_s, 0)
        run = Run(self._chosen(groups, concurrency), drain_s)
        async with runtime.background_tasks() as tasks:
            tasks.start_soon(self._host.run, run)
            try:
                await run.begun.wait()
                yield
            finally:
                run.stop.set()

    async def serve(self, *, drain_s: float = DRAIN_S, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run the registry's handlers until cancelled, then drain: for `await task_group.start(live.serve)`.

        Args:
            drain_s: as for `running`.
            task_status: told when the handlers run.
        """
        async with self.running(drain_s=drain_s):
            task_status.started()
            await anyio.sleep_forever()

    async def serve_until_signal(
        self, *, drain_s: float = DRAIN_S, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> signal.Signals:
        """Run the registry's handlers until the process gets SIGINT or SIGTERM, then drain and return which it was.

        For the main thread of a worker process. A second signal ends the drain: handlers are cancelled and their
        messages given back. A third has its usual effect.

        Args:
            drain_s: as for `running`.
            task_status: told when the handlers run.
        """
        first = await self.work(signals=True, drain_s=drain_s, task_status=task_status)
        assert first is not None  # noqa: S101 - nothing else ends it
        return first

    async def work(
        self,
        *,
        groups: Sequence[str] | None = None,
        concurrency: int | None = None,
        until_empty: bool = False,
        deliveries_max: int | None = None,
        time_max_s: float | None = None,
        signals: bool = False,
        drain_s: float = DRAIN_S,
        task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
    ) -> signal.Signals | None:
        """Run the registry's handlers until an end is reached, then drain: for jobs that a timer starts, and for tests.

        Whichever of the ends comes first counts; without any it runs until it is cancelled. What became of the
        messages is in `counts`.

        Args:
            groups: as for `running`, and so is `concurrency`.
            concurrency: the same.
            until_empty: end when nothing is left that could be received now, also of what handlers have sent
                meanwhile. Messages that are delayed, such as those to be tried again later, or in the hands of another
                process are not waited for.
            deliveries_max: end after taking so many deliveries; no more are taken. One that is given back counts.
            time_max_s: end after so many seconds.
            signals: end at SIGINT and SIGTERM, as `serve_until_signal` does. In the main thread only.
            drain_s: as for `running`.
            task_status: for `task_group.start`.

        Returns:
            The signal that ended it, if one did.

        Raises:
            InvalidArgumentError: one of the arguments is not allowed; nothing was run.
            BackendError: the broker failed: with `until_empty` several times in a row, with `time_max_s` so often at
                its end, or ever since the start.
        """
        check_seconds("drain_s", drain_s, 0)
        check_flag("until_empty", until_empty)
        check_flag("signals", signals)
        check_whole("deliveries_max", deliveries_max, 1, or_none="no bound")
        check_seconds("time_max_s", time_max_s, 0, above=True, or_none="no bound")
        chosen = self._chosen(groups, concurrency)
        bounds = Bounds(consumers=len(chosen), deliveries_max=deliveries_max, until_empty=until_empty)
        if not chosen and until_empty:
            return None
        watch = SignalWatch()
        run = Run(chosen, drain_s, bounds)
        async with runtime.background_tasks() as tasks:
            if signals:
                await tasks.start(watch.run)
            tasks.start_soon(self._host.run, run)
            try:
                await run.begun.wait()
                task_status.started()
                with anyio.move_on_after(time_max_s) as time:
                    await first_of(bounds.reached, watch.first)
                if time.cancelled_caught:
                    outages = [consumer.outage for consumer in run.consumers]
                    bounds.error = next((outage for outage in outages if outage is not None), None)
            finally:
                run.stop.set()
            tasks.start_soon(watch.hasten, run.consumers)
            await run.ended.wait()
        if bounds.error is not None:
            raise bounds.error
        return watch.signal

    def stream(
        self,
        kind: type[T],
        *,
        group: str | None = None,
        queue: str | None = None,
        ordered: bool = False,
        prefetch: int = DEFAULT_CONCURRENCY,
        lease_s: float | None = None,
        retry: Retry | None = None,
        once: bool = False,
        once_window_s: float | None = None,
        filter: Mapping[str, object] | None = None,  # noqa: A002 - the word for it
        filter_on: FilterOn = "headers",
        drain_s: float = DRAIN_S,
    ) -> AbstractAsyncContextManager[Stream[T]]:
        """Pull the deliveries of one type: for a program that owns its loop.

            async with live.stream(OrderPlaced, group="audit") as deliveries:
                async for delivery in deliveries:
                    async with delivery:
                        ...

        The group is entered in the recipient list and its queue made when the context is entered, as `connect` does it
        for subscriptions. What cannot be read as `kind` is dead-lettered and not seen here. Leaving the context gives
        back what nobody works on, and lets tasks that still work on a delivery do so for `drain_s` seconds.

        Args:
            kind: a class declared with `@event` or `@command`.
            group: the subscription's name for an event; None for a command.
            queue: another name for the group's queue.
            ordered: see `Bus.subscribe`, and so for `lease_s`, `retry`, `once`, `once_window_s` and the filter.
            prefetch: how many deliveries are in hand at once, those being worked on included. 1 keeps the others free
                for whoever is faster, for the price of one call of the broker for each message.
            lease_s: the same.
            retry: the same.
            once: the same.
            once_window_s: the same.
            filter: the same.
            filter_on: the same.
            drain_s: see above.

        Raises:
            InvalidArgumentError: an event without a group, a command with one, or what `Bus.subscribe` refuses.
            ConfigurationError: on entering: handlers of this bus consume the queue already.
        """
        declared = message_type(kind)
        check_whole("prefetch", prefetch, 1)
        check_seconds("drain_s", drain_s, 0)
        shelf: Shelf[T] = Shelf()
        registry = Registry(self._registry.name, unknown_types=self._registry.unknown_types)
        terms: HandleOptions = {
            "ordered": ordered,
            "concurrency": prefetch,
            "lease_s": lease_s,
            "retry": retry,
            "once": once,
            "once_window_s": once_window_s,
        }
        if declared.kind == "command":
            if group is not None or queue is not None:
                raise InvalidArgumentError(
                    "group", group or queue, f"None: {declared.name} is a command, with one owner"
                )
            registry.handle(kind, **terms)(shelf.hand_over)
        elif group is None:
            raise InvalidArgumentError("group", None, f"text: {declared.name} is an event, and each group gets a copy")
        else:
            more: SubscribeOptions = {"group": group, "queue": queue, "filter": filter, "filter_on": filter_on, **terms}
            registry.subscribe(kind, **more)(shelf.hand_over)
        return self._pull(registry, shelf, prepare=True, drain_s=drain_s)

    def queue(self, name: str) -> Channel:
        """A queue by its name, to exchange messages with programs that know no bus."""
        return Channel(queue_name(name, "name"), self._backend, self._sender, self._pull)

    async def queues(self, prefix: str = "") -> Sequence[QueueName]:
        """Name all queues of the broker that start with `prefix`, sorted, those of other programs included."""
        check_text("prefix", prefix)
        return await self._backend.list_queues(prefix)

    def dead_letters(self, name: str) -> DeadLetterQueue:
        """The dead letters of a group or queue, to be looked at, replayed and dropped.

        Args:
            name: of a group of this bus, as for `Registry.select`; of any queue; or of a dead-letter queue itself.
        """
        check_text("name", name)
        known = [group for group in self._registry.groups.values() if name in names_of(group)]
        queue = known[0].queue if known else queue_name(name, "name")
        source = None if known else source_of_dead(queue)
        groups = [name for group in self._registry.groups.values() for name in names_of(group)]
        if source is None:
            return DeadLetterQueue(dead_queue(queue), queue, self._backend, self._sender, groups)
        return DeadLetterQueue(queue, source, self._backend, self._sender, groups)

    @asynccontextmanager
    async def _pull(
        self, registry: Registry, shelf: Shelf[T], *, prepare: bool = False, drain_s: float = DRAIN_S
    ) -> AsyncGenerator[Stream[T]]:
        (group,) = registry.groups.values()
        if group.queue in self._registry.groups:
            raise ConfigurationError(
                f"queue {group.queue} has handlers on this bus: they and this stream would compete for its messages"
            )
        self._host.require_inbox((group,))
        if prepare and self._prepare is not None:
            await self._prepare(registry)
        run = Run((group,), drain_s)
        async with runtime.background_tasks() as tasks:
            tasks.start_soon(self._host.run, run)
            try:
                await run.begun.wait()
                yield Stream(shelf)
            finally:
                shelf.close()
                run.stop.set()

    def _chosen(self, names: Sequence[str] | None, concurrency: int | None) -> Sequence[Group]:
        """The groups to run, after making sure that what they need is there."""
        check_names("groups", names, "a sequence of names, such as ['billing'], or None for all", or_none=True)
        check_whole("concurrency", concurrency, 1, or_none="what the subscriptions say")
        groups = self._registry.select(names)
        if concurrency is not None:
            groups = [replace(group, concurrency=concurrency) for group in groups]
        self._host.require_inbox(groups)
        return groups
