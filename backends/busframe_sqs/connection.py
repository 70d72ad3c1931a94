"""One connection to SQS in one region: the client, its threads, the queues' URLs, and the translation of errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio

from busframe.errors import ClosedError, InvalidArgumentError, QueueNotFoundError
from busframe.message import QueueName
from busframe_sqs.calls import Call, run_call
from busframe_sqs.errors import call_error
from busframe_sqs.repeating import repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from anyio.abc import TaskGroup

    from busframe_sqs.client import SqsClient
    from busframe_sqs.errors import Doing
    from busframe_sqs.settings import SqsSettings

R = TypeVar("R")

# Amazon SQS, CreateQueue.
NAME_LENGTH_MAX = 80


class SqsConnection:
    """Makes API calls in threads. Safe to use from any number of tasks.

    Waiting receives have threads of their own (`poll_limiter`), so that everything else never queues behind them.

    Args:
        client: thread-safe, as boto3's clients are.
        settings: what the URL says.
        tasks: calls run in it, and it does not end before they do.
    """

    def __init__(self, client: SqsClient, settings: SqsSettings, tasks: TaskGroup) -> None:
        self.client = client
        self.tasks = tasks
        self.prefix = settings.prefix
        self.call_limiter = anyio.CapacityLimiter(settings.calls)
        self.poll_limiter = anyio.CapacityLimiter(settings.polls)
        self._urls: dict[QueueName, str] = {}
        self._lookups: dict[QueueName, Call[str]] = {}
        self._closed = False

    def close(self) -> None:
        """Refuse every later call. Those under way go on."""
        self._closed = True

    def require_open(self) -> None:
        """Raise `ClosedError` after `close`."""
        if self._closed:
            raise ClosedError("the sqs:// backend is closed")

    def physical_name(self, queue: QueueName) -> str:
        """Name a queue as SQS knows it."""
        name = self.prefix + queue
        if len(name) > NAME_LENGTH_MAX:
            allowed = f"at most {NAME_LENGTH_MAX} characters together with the prefix {self.prefix!r}"
            raise InvalidArgumentError("queue", queue, allowed)
        return name

    def logical_name(self, physical: str) -> QueueName:
        """Name a queue as the program knows it. One that lies outside the prefix keeps its whole name."""
        return QueueName(physical.removeprefix(self.prefix))

    async def call(self, queue: QueueName, request: Callable[[SqsClient], R], *, doing: Doing = "other") -> R:
        """Make a call that needs no queue URL, once. Cancelled, it may have taken effect or not.

        Args:
            queue: what errors name.
            request: runs in a worker thread.
            doing: decides what some errors mean.
        """
        self.require_open()
        with self.translating(queue, doing):
            return await run_call(self.tasks, lambda: request(self.client), self.call_limiter)

    async def ask(self, queue: QueueName, request: Callable[[SqsClient, str], R], *, doing: Doing = "other") -> R:
        """Make a call about a queue, once, which gets the queue's URL. See `call`."""
        url = await self.url(queue)
        return await self.call(queue, lambda client: request(client, url), doing=doing)

    async def insist(self, queue: QueueName, request: Callable[[SqsClient], R]) -> R:
        """Make a call that needs no queue URL, again and again if that can help: see `repeating`."""
        return await repeated(queue, lambda: self.call(queue, request))

    async def insist_about(self, queue: QueueName, request: Callable[[SqsClient, str], R]) -> R:
        """Make a call about a queue, which gets the queue's URL, and is repeated as `insist` does it."""
        return await repeated(queue, lambda: self.ask(queue, request))

    async def url(self, queue: QueueName) -> str:
        """Tell a queue's URL: from SQS the first time, then from memory. Lookups of one queue share one call."""
        self.require_open()
        if known := self._urls.get(queue):
            return known
        lookup = self._lookups.get(queue)
        if lookup is None or not (lookup.wanted or lookup.under_way):
            name = self.physical_name(queue)
            lookup = Call(lambda: self.client.get_queue_url(QueueName=name)["QueueUrl"], self.call_limiter)
            self._lookups[queue] = lookup
            self.tasks.start_soon(self._look_up, queue, lookup)
        with self.translating(queue, "other"):
            url = await lookup.result()
        self.remember(queue, url)
        return url

    def remember(self, queue: QueueName, url: str) -> None:
        """Keep a URL that SQS has told."""
        self._urls[queue] = url

    def forget(self, queue: QueueName) -> None:
        """Ask for the URL anew next time."""
        self._urls.pop(queue, None)

    @contextmanager
    def translating(self, queue: QueueName, doing: Doing) -> Generator[None, None, None]:
        """Turn errors of boto3 into errors of the bus, and forget the URL of a queue that is gone."""
        try:
            yield
        except Exception as error:
            meant = call_error(queue, error, doing)
            if meant is None:
                raise
            if isinstance(meant, QueueNotFoundError):
                self.forget(queue)
            raise meant from error

    async def _look_up(self, queue: QueueName, lookup: Call[str]) -> None:
        try:
            await lookup.serve()
        finally:
            if self._lookups.get(queue) is lookup:
                del self._lookups[queue]
