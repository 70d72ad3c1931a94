"""The bus for code that knows no event loop: scripts, web frameworks without async, threads.

    with connect_blocking(bus, "sqs://eu-west-1") as live:
        live.publish(OrderPlaced("o1", "ada"))

An event loop of its own runs in a thread; each call is handed to it and waits for its end. Calls from several threads
at once share batches as those of several tasks do, so a program with many threads should have one connection for all.
Handlers stay async: `running` runs them on that loop.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, Unpack

from anyio.from_thread import start_blocking_portal

from busframe.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence

    from anyio.from_thread import BlockingPortal

    from busframe._consume.counts import Counts
    from busframe._consume.health import Health
    from busframe.backend import ProvisionMode, QueueStats
    from busframe.bus import Bus
    from busframe.message import MessageId, QueueName
    from busframe.session import Live
    from busframe.writing import SendOptions

R = TypeVar("R")


class BlockingLive:
    """A live connection whose methods block. All of them may be called from any thread, but the event loop's own."""

    def __init__(self, live: Live, portal: BlockingPortal) -> None:
        self._live = live
        self._portal = portal
        self._open = True

    @property
    def live(self) -> Live:
        """The connection itself, for `call`."""
        return self._live

    @property
    def counts(self) -> Mapping[str, Counts]:
        """See `Live.counts`."""
        return self._live.counts

    def publish(self, event: object, **options: Unpack[SendOptions]) -> Sequence[QueueName]:
        """Put a copy of an event on the queue of every group that subscribed to it. As `Live.publish`."""
        return self.call(lambda: self._live.publish(event, **options))

    def send(self, command: object, **options: Unpack[SendOptions]) -> MessageId:
        """Put a command on its owner's queue. As `Live.send`."""
        return self.call(lambda: self._live.send(command, **options))

    def stats(self) -> Mapping[str, QueueStats]:
        """How full the queues of all groups are. As `Live.stats`."""
        return self.call(self._live.stats)

    def metrics(self, *, queues: bool = True) -> str:
        """All that can be counted, as text for Prometheus. As `Live.metrics`."""
        return self.call(lambda: self._live.metrics(queues=queues))

    def health(self) -> Health:
        """How the consumers are. As `Live.health`."""

        async def ask() -> Health:
            return self._live.health()

        return self.call(ask)

    @contextmanager
    def running(self, *, drain_s: float | None = None) -> Generator[None, None, None]:
        """Run the registry's handlers, on the connection's own loop, for as long as the context lasts, then drain.

        Args:
            drain_s: as `Live.running`; None is its default.
        """
        run = self._live.running() if drain_s is None else self._live.running(drain_s=drain_s)
        with self._portal.wrap_async_context_manager(run):
            yield

    def call(self, function: Callable[[], Awaitable[R]]) -> R:
        """Await what a function gives, on the connection's loop: for everything else that `live` can do.

        Raises:
            ClosedError: the connection was closed before: nothing was called.
        """
        try:
            begun = self._portal.start_task_soon(function)
        except RuntimeError as error:
            if self._open:
                raise
            raise ClosedError("nothing was done: the connection is closed") from error
        return begun.result()

    def note_closed(self) -> None:
        """Know that the loop is about to end."""
        self._open = False


@contextmanager
def connect_blocking(
    bus: Bus,
    url: str,
    *,
    recipients: str | None = None,
    inbox: str | None = None,
    provision: ProvisionMode = "create",
    backend: str = "asyncio",
) -> Generator[BlockingLive, None, None]:
    """Connect as `Bus.connect` does, with an event loop in a thread of its own.

    Args:
        bus: whose registry.
        url: as `Bus.connect`, and so for `recipients`, `inbox` and `provision`.
        recipients: the same.
        inbox: the same.
        provision: the same.
        backend: the event loop: "asyncio" or "trio".
    """
    with start_blocking_portal(backend, name=f"busframe {bus.name}") as portal:
        connection = bus.connect(url, recipients=recipients, inbox=inbox, provision=provision)
        with portal.wrap_async_context_manager(connection) as live:
            blocking = BlockingLive(live, portal)
            try:
                yield blocking
            finally:
                blocking.note_closed()
