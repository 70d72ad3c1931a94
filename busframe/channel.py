"""A queue by its name, without types: for what other programs send there and read there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from busframe._consume.pulling import Shelf
from busframe.backend import Peeks
from busframe.checks import check_seconds, check_text, check_whole
from busframe.errors import UnsupportedError
from busframe.limits import PEEK_MAX, check_send
from busframe.message import Outgoing, Release
from busframe.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from busframe._consume.pulling import Stream
    from busframe.backend import Backend, QueueStats
    from busframe.foreign import ForeignMessage
    from busframe.message import MessageId, Peeked, QueueName, Received
    from busframe.retry import Retry
    from busframe.sending import Sender

    Pull = Callable[[Registry, Shelf[ForeignMessage]], AbstractAsyncContextManager[Stream[ForeignMessage]]]

SAMPLE_WAIT_S: Final = 1.0
"""Long enough that SQS asks all of its servers."""


class Channel:
    """One queue. Made by `Live.queue`; whether the queue is there shows when it is used."""

    def __init__(self, name: QueueName, backend: Backend, sender: Sender, pull: Pull) -> None:
        self.name = name
        self._backend = backend
        self._sender = sender
        self._pull = pull

    async def send(
        self,
        body: str,
        *,
        attributes: Mapping[str, str | bytes] | None = None,
        delay_s: float = 0.0,
        group: str | None = None,
        deduplication_id: str | None = None,
    ) -> MessageId:
        """Put a body on the queue as it is.

        Args:
            body: 1 or more characters that XML 1.0 allows.
            attributes: at most 10, as they will be received.
            delay_s: at most what the broker can do, and 0 on an ordered queue.
            group: the message group. An ordered queue needs one.
            deduplication_id: on an ordered queue, a second message with the same one is accepted and not delivered.

        Raises:
            InvalidArgumentError: one of them is not allowed; nothing was sent.
            BackendError: it is not there, or, where the error's `effect` is "unknown", may not be there.
        """
        message = Outgoing(
            body=body,
            attributes={} if attributes is None else attributes,
            delay_s=delay_s,
            group=group,
            deduplication_id=deduplication_id,
        )
        # Here and not in the backend: one message that is not allowed must not spoil a batch of others.
        check_send(self._backend.capabilities, self.name, [message])
        return (await self._sender.send(self.name, message)).message_id

    def receive(
        self, *, prefetch: int = 10, lease_s: float | None = None, retry: Retry | None = None
    ) -> AbstractAsyncContextManager[Stream[ForeignMessage]]:
        """Take what comes on the queue, of whatever kind: `async with channel.receive() as deliveries`.

        Neither the queue nor its dead-letter queue, `<name>-dead`, is made or changed. Without the latter a message
        that is given up stays where it is and comes again.

        Args:
            prefetch: how many deliveries are in hand at once, those being worked on included.
            lease_s: see `Bus.subscribe`, and so for `retry`.
            retry: what to do with an exception.
        """
        check_whole("prefetch", prefetch, 1)
        shelf: Shelf[ForeignMessage] = Shelf()
        registry = Registry("channel")
        registry.foreign(queue=self.name, concurrency=prefetch, lease_s=lease_s, retry=retry)(shelf.hand_over)
        return self._pull(registry, shelf)

    async def stats(self) -> QueueStats:
        """How full it is."""
        return await self._backend.stats(self.name)

    async def peek(self, *, limit: int = 100, after: str | None = None) -> Sequence[Peeked]:
        """Show messages without receiving them: for people to look at. Arguments as for `busframe.backend.Peeks.peek`.

        Raises:
            UnsupportedError: the broker shows messages to those only who receive them.
        """
        check_whole("limit", limit, 1, PEEK_MAX)
        check_text("after", after, "the position of a message", or_none=True)
        if not isinstance(self._backend, Peeks):
            raise UnsupportedError(f"{type(self._backend).__name__} cannot show messages without receiving them")
        return await self._backend.peek(self.name, limit=limit, after=after)

    async def sample(self, *, limit: int = 10, lease_s: float = 10.0) -> Sequence[Received]:
        """Receive messages and give them back at once: a look where `peek` cannot be had.

        It counts: each is delivered once more, and is dead-lettered if that was once too often. Meanwhile consumers do
        not get them; if this is interrupted, for `lease_s`.

        Args:
            limit: so many at most; fewer come although there are more, as the broker likes.
            lease_s: more than 0.
        """
        capabilities = self._backend.capabilities
        check_whole("limit", limit, 1)
        check_seconds("lease_s", lease_s, 0, above=True)
        found: dict[MessageId, Received] = {}
        try:
            while len(found) < limit:
                most = min(limit - len(found), capabilities.receive_entries_max)
                batch = await self._backend.receive(self.name, limit=most, wait_s=SAMPLE_WAIT_S, lease_s=lease_s)
                fresh = {received.message_id: received for received in batch if received.message_id not in found}
                if not fresh:
                    break
                found.update(fresh)
        finally:
            with anyio.move_on_after(lease_s, shield=True):
                releases = [Release(receipt=received.receipt) for received in found.values()]
                for first in range(0, len(releases), capabilities.batch_entries_max):
                    await self._backend.settle(self.name, releases[first : first + capabilities.batch_entries_max])
        return tuple(found.values())

    async def purge(self) -> None:
        """Remove all messages, those in flight and delayed included. May take the broker up to a minute to finish."""
        await self._backend.purge(self.name)
