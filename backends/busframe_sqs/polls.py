"""Receives, which may be cancelled while SQS still holds their answer.

A receive that waits occupies a thread, for up to 20 seconds, and neither the thread nor the wait at SQS can be called
off: hanging up would not do, since SQS may have chosen the messages already, and they would stay hidden for their
lease. So a cancelled receive leaves its call running, and the call's answer belongs

1. to the next receive that asks the same thing (queue, limit, lease), which adopts the call instead of paying for
   another;
2. else to nobody: its messages are released as soon as they come.

So a program that receives in turns of a second, cancelling each, keeps one call under way and pays for one in twenty
seconds. Nobody gets a lease that has already run for a while: it begins when SQS answers, and an answer that finds
nobody is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import anyio

from busframe import runtime
from busframe.errors import BackendError
from busframe.message import Receipt
from busframe_sqs.calls import Call
from busframe_sqs.translate import receipt_entry, whole_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.message import QueueName
    from busframe_sqs.client import Message
    from busframe_sqs.connection import SqsConnection

# The one place where this backend repeats a call: there is nobody left to do it. After that the lease has to end.
_RELEASE_PAUSES_S: Final = (0.0, 0.1, 0.5)


class Wish(NamedTuple):
    """What a receive asks for, save how long it waits."""

    queue: QueueName
    limit: int
    lease_s: int


@dataclass(frozen=True, slots=True, eq=False)
class _Poll:
    """One ReceiveMessage."""

    wish: Wish
    url: str
    call: Call[Sequence[Message]]


class Polls:
    """The receives under way."""

    def __init__(self, connection: SqsConnection) -> None:
        self._connection = connection
        self._under_way: set[_Poll] = set()

    async def receive(self, wish: Wish, wait_s: float) -> Sequence[Message]:
        """Take messages; after `wait_s`, rounded up to whole seconds, none.

        Cancelled, it leaves at once; see the head of this file.
        """
        poll = self._orphan(wish) if wait_s else None
        if poll:
            began_s = runtime.now_s()
            with anyio.move_on_after(wait_s):
                if messages := await self._claim(poll):
                    return messages
            # It was under way before we came, so it ends before our time is over; or else our time ended first.
            wait_s -= runtime.now_s() - began_s
            if wait_s <= 0:
                return []
        return await self._claim(await self._start(wish, whole_seconds(wait_s)))

    @property
    def under_way(self) -> bool:
        """SQS has yet to answer some of them."""
        return bool(self._under_way)

    def close(self) -> None:
        """Send all who wait away with `ClosedError`; what their polls still bring is released."""
        for poll in self._under_way:
            poll.call.close()

    def _orphan(self, wish: Wish) -> _Poll | None:
        for poll in self._under_way:
            if poll.wish == wish and poll.call.under_way and not poll.call.wanted:
                return poll
        return None

    async def _start(self, wish: Wish, wait_s: int) -> _Poll:
        connection = self._connection
        url = await connection.url(wish.queue)
        connection.require_open()

        def receive() -> Sequence[Message]:
            answer = connection.client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=wish.limit,
                WaitTimeSeconds=wait_s,
                VisibilityTimeout=wish.lease_s,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            return answer.get("Messages", ())

        limiter = connection.poll_limiter if wait_s else connection.call_limiter
        poll = _Poll(wish, url, Call(receive, limiter))
        self._under_way.add(poll)
        connection.tasks.start_soon(self._serve, poll)
        return poll

    async def _claim(self, poll: _Poll) -> Sequence[Message]:
        try:
            with self._connection.translating(poll.wish.queue, "other"):
                return await poll.call.result()
        except anyio.get_cancelled_exc_class():
            # The answer may have come in the same instant: then the poll's own task has left it to us.
            if messages := poll.call.take():
                self.give_back(poll.wish.queue, poll.url, messages)
            raise

    async def _serve(self, poll: _Poll) -> None:
        try:
            await poll.call.serve()
        finally:
            self._under_way.remove(poll)
            if not poll.call.wanted and (messages := poll.call.take()):
                await self._release(poll.wish.queue, poll.url, messages)

    def give_back(self, queue: QueueName, url: str, messages: Sequence[Message]) -> None:
        """Have messages released in the background."""
        self._connection.tasks.start_soon(self._release, queue, url, messages)

    async def _release(self, queue: QueueName, url: str, messages: Sequence[Message]) -> None:
        """Give messages back, also while the program is being cancelled or the backend closed."""
        connection = self._connection
        entries = [receipt_entry(index, Receipt(message["ReceiptHandle"]), 0) for index, message in enumerate(messages)]

        def release() -> None:
            connection.client.change_message_visibility_batch(QueueUrl=url, Entries=entries)

        with anyio.CancelScope(shield=True):
            for pause_s in _RELEASE_PAUSES_S:
                await runtime.sleep(pause_s)
                try:
                    with connection.translating(queue, "settle"):
                        return await runtime.run_blocking(release, limiter=connection.call_limiter)
                except BackendError as error:
                    if not error.retryable:
                        return None
        return None
