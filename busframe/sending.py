"""Sends that are batched, repeated where that can help, and answered one by one.

A backend that answers without waiting (`busframe.backend.Immediate`) is sent each message by itself, by the task that
sends it: there is no call under way for others to gather behind, and a batch would cost more than it saves.
"""

from __future__ import annotations

import logging
from contextvars import copy_context
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe.backend import Immediate
from busframe.batching import Batcher, unaccounted, unforeseen
from busframe.errors import BackendError, BusframeError, ClosedError
from busframe.headers import marked_again
from busframe.limits import check_send
from busframe.message import Outgoing, Sent, is_ordered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskGroup

    from busframe.backend import Backend
    from busframe.message import QueueName, SendOutcome

ATTEMPTS_MAX: Final = 5
FIRST_WAIT_S: Final = 0.1
"""Five attempts with doubling waits span three seconds at most: long enough for a throttle or a restarted connection,
short enough for a caller that waits."""

CALLS_MAX: Final = 4
"""Calls under way per queue; a further one starts only for a full batch, or one that has waited."""

BATCHERS_MAX: Final = 1_000
"""With more queues than this, those with nothing under way are forgotten: reply queues come and go."""

COPIES_MAX: Final = 32
"""After so many copies sent in a row others have their turn."""

FLUSH_S: Final = 5.0
"""How long a closing connection waits for sends under way: one call and its repetitions."""

_log = logging.getLogger("busframe")
_SIZE_BYTES: Final = attrgetter("size_bytes")


class Sender:
    """Sends to any queue of a backend.

    Args:
        backend: where to.
        tasks: runs the calls; has to live until `aclose` has returned.
    """

    def __init__(self, backend: Backend, tasks: TaskGroup) -> None:
        self._backend = backend
        self._immediate = backend if isinstance(backend, Immediate) else None
        self._turn = runtime.turns()
        self._tasks = tasks
        self._batchers: dict[QueueName, Batcher[Outgoing, SendOutcome]] = {}
        self._under_way = 0
        self._closed = False
        self._quiet: anyio.Event | None = None
        # Calls are made for many callers: none of them may leave its context variables in the tasks that make them.
        self._context = copy_context()

    def require_open(self) -> None:
        """Raise a `ClosedError` if `aclose` was called."""
        if self._closed:
            raise ClosedError("nothing was sent: the connection is closed")

    async def send(self, queue: QueueName, message: Outgoing) -> Sent:
        """Send one message; it may share a call with others.

        An attempt whose answer got lost is repeated: nothing is lost, and on a queue without deduplication the message
        may be there twice. Cancelled, the message may have been sent or not; it surely was not if its call had not
        begun.

        Raises:
            BackendError: not sent, or, where its `effect` is "unknown", maybe sent.
            ClosedError: the connection was closed before: not sent.
        """
        if self._closed:
            raise ClosedError(f"a message for {queue} was not sent: the connection is closed")
        if message.delay_s or message.deduplication_id is not None:
            # Here, since a whole batch is refused for one entry that is wrong.
            check_send(self._backend.capabilities, queue, (message,))
        self._under_way += 1
        try:
            if self._immediate is not None:
                # Before the effect: cancelled here, it was surely not sent.
                await self._turn()
                outcome = self._sent_now(queue, message)
            else:
                outcome = await self._attempt(queue, message)
            return outcome if isinstance(outcome, Sent) else await self._repeat(queue, message, outcome)
        finally:
            self._under_way -= 1
            if self._quiet is not None and not self._under_way:
                self._quiet.set()

    async def send_each(self, copies: Sequence[tuple[QueueName, Outgoing]]) -> Sequence[Sent | BackendError]:
        """Send several messages, to as many queues or fewer, at once, and tell the fate of each.

        As `send` for each of them, without a task for each. Cancelled, each may have been sent or not.

        Raises:
            InvalidArgumentError: a queue cannot take its message. Nothing was sent.
            ClosedError: the connection was closed before: nothing was sent.
        """
        if self._closed:
            raise ClosedError(f"messages for {len(copies)} queues were not sent: the connection is closed")
        for queue, message in copies:
            if message.delay_s or message.deduplication_id is not None:
                check_send(self._backend.capabilities, queue, (message,))
        self._under_way += 1
        try:
            fates = await (self._send_in_batches(copies) if self._immediate is None else self._send_in_turns(copies))
            if any(isinstance(fate, BackendError) and fate.retryable for fate in fates):
                await self._repeat_each(copies, fates)
            return fates
        finally:
            self._under_way -= 1
            if self._quiet is not None and not self._under_way:
                self._quiet.set()

    async def _send_in_batches(self, copies: Sequence[tuple[QueueName, Outgoing]]) -> list[Sent | BackendError]:
        begun = [
            (batcher, batcher.begin(message))
            for queue, message in copies
            for batcher in (self._batchers.get(queue) or self._context.run(self._open, queue),)
        ]
        fates: list[Sent | BackendError] = []
        for batcher, entry in begun:
            try:
                outcome = await batcher.finish(entry)
            except BackendError as whole:
                fates.append(whole)
            else:
                fates.append(outcome if isinstance(outcome, Sent) else outcome.error)
        return fates

    async def _send_in_turns(self, copies: Sequence[tuple[QueueName, Outgoing]]) -> list[Sent | BackendError]:
        fates: list[Sent | BackendError] = []
        for index, (queue, message) in enumerate(copies):
            if index % COPIES_MAX == 0:
                await self._turn()
            fates.append(self._sent_now(queue, message))
        return fates

    def _sent_now(self, queue: QueueName, message: Outgoing) -> Sent | BackendError:
        assert self._immediate is not None  # noqa: S101 - the backend answers without waiting
        try:
            outcomes = self._immediate.send_now(queue, (message,))
        except BackendError as whole:
            return whole
        except BusframeError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in a backend, as everywhere
            return unforeseen(error)
        if len(outcomes) != 1:
            return unaccounted(len(outcomes), 1)
        outcome = outcomes[0]
        return outcome if isinstance(outcome, Sent) else outcome.error

    async def _repeat_each(
        self, copies: Sequence[tuple[QueueName, Outgoing]], fates: list[Sent | BackendError]
    ) -> None:
        """Try again what failed, each at its own pace, and write down the new fates."""

        async def repeat(index: int, error: BackendError) -> None:
            queue, message = copies[index]
            try:
                fates[index] = await self._repeat(queue, message, error)
            except BackendError as last:
                fates[index] = last

        async with anyio.create_task_group() as tasks:
            for index, fate in enumerate(fates):
                if isinstance(fate, BackendError):
                    tasks.start_soon(repeat, index, fate)

    async def aclose(self, *, within_s: float = FLUSH_S) -> None:
        """Refuse further sends, and wait for those under way, their repetitions included.

        After `within_s` they are given up: each caller is told what is known of its own message. Not interrupted by
        cancellation, since callers are.
        """
        self._closed = True
        if self._under_way:
            self._quiet = anyio.Event()
            with anyio.move_on_after(within_s, shield=True):
                await self._quiet.wait()
        for batcher in self._batchers.values():
            batcher.close()

    async def _attempt(self, queue: QueueName, message: Outgoing) -> Sent | BackendError:
        if self._immediate is not None:
            return self._sent_now(queue, message)
        batcher = self._batchers.get(queue) or self._context.run(self._open, queue)
        try:
            outcome = await batcher.submit(message)
        except BackendError as whole:
            return whole
        return outcome if isinstance(outcome, Sent) else outcome.error

    async def _repeat(self, queue: QueueName, message: Outgoing, error: BackendError) -> Sent:
        """Try again what failed once, on an ordered queue under the same deduplication id.

        Elsewhere what may be there already says so in its headers.
        """
        unknown = False
        for attempt in range(2, ATTEMPTS_MAX + 2):
            unknown = unknown or error.effect == "unknown"
            if not error.retryable or attempt > ATTEMPTS_MAX:
                break
            _log.warning("send to %s failed, attempt %d of %d: %s", queue, attempt - 1, ATTEMPTS_MAX, error)
            await runtime.sleep(runtime.random() * FIRST_WAIT_S * 2 ** (attempt - 1))
            if unknown and message.deduplication_id is None:
                message = self._marked(message)
            outcome = await self._attempt(queue, message)
            if isinstance(outcome, Sent):
                return outcome
            error = outcome
        if unknown:
            # An earlier attempt may have gone through: the caller must not be told otherwise.
            error.effect = "unknown"
        raise error

    def _marked(self, message: Outgoing) -> Outgoing:
        """The message with headers that say that it may come twice, if there is room left for that."""
        marked = Outgoing(
            body=message.body,
            attributes=marked_again(message.attributes),
            delay_s=message.delay_s,
            group=message.group,
        )
        return marked if marked.size_bytes <= self._backend.capabilities.message_bytes_max else message

    def _open(self, queue: QueueName) -> Batcher[Outgoing, SendOutcome]:
        if len(self._batchers) >= BATCHERS_MAX:
            for idle in [queue for queue, batcher in self._batchers.items() if batcher.idle]:
                self._batchers.pop(idle).close()
        capabilities = self._backend.capabilities

        async def call(batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
            return await self._backend.send(queue, batch)

        batcher = self._batchers[queue] = Batcher[Outgoing, "SendOutcome"](
            self._tasks,
            call,
            entries_max=capabilities.batch_entries_max,
            bytes_max=capabilities.batch_bytes_max,
            size=_SIZE_BYTES,
            # One call at a time keeps what one task sends after another in order, also where it does not wait between.
            calls_max=1 if is_ordered(queue) else CALLS_MAX,
        )
        return batcher
