"""Fan-out: one event, a copy on the queue of every group that subscribed to it."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from busframe.errors import (
    BackendError,
    BusframeError,
    ClosedError,
    InvalidArgumentError,
    MissingStoreError,
    PublishError,
    QueueNotFoundError,
)
from busframe.filters import nested
from busframe.message import is_ordered
from busframe.message_type import message_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe.filters import FilterOn
    from busframe.headers import Headers
    from busframe.message import MessageId, Outgoing, QueueName, Sent
    from busframe.observing import Watching
    from busframe.recipients import Subscription
    from busframe.sending import Sender
    from busframe.sending_side import SentCounts
    from busframe.topology.routes import Routes
    from busframe.writing import Options, Writer, Written

_log = logging.getLogger("busframe")


class _Facts:
    """What filters look at, read as far as one looks."""

    __slots__ = ("_body", "_headers", "_seen")

    def __init__(self, headers: Headers, body: str) -> None:
        self._headers = headers
        self._body = body
        self._seen: dict[FilterOn, Mapping[str, Any] | None] = {}

    def on(self, what: FilterOn) -> Mapping[str, Any] | None:
        """See `routes.Facts`."""
        if what not in self._seen:
            self._seen[what] = _header_facts(self._headers) if what == "headers" else _payload_facts(self._body)
        return self._seen[what]


def _header_facts(headers: Headers) -> Mapping[str, Any]:
    facts = msgspec.structs.asdict(headers)
    extra: Mapping[str, str] = facts.pop("extra", {})
    return {**extra, **{name: value for name, value in facts.items() if value is not None}}


def _payload_facts(body: str) -> Mapping[str, Any] | None:
    try:
        return nested(_DECODE_OBJECT(body))
    except msgspec.DecodeError:
        return None


_DECODE_OBJECT: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Publisher:
    """Puts events on the queues of their recipients.

    Args:
        writer: makes messages of them.
        routes: who the recipients are; None: there is no recipient list.
        sender: gets the copies there; those for one queue share calls, whoever publishes them.
        sent: what was published is counted here, by the name of its type.
        bytes_max: largest message the broker takes.
    """

    def __init__(
        self, writer: Writer, routes: Routes | None, sender: Sender, sent: Mapping[str, SentCounts], *, bytes_max: int
    ) -> None:
        self._writer = writer
        self._routes = routes
        self._sender = sender
        self._sent = sent
        self._bytes_max = bytes_max

    async def publish(self, event: object, options: Options, watching: Watching | None = None) -> Sequence[QueueName]:
        """Send a copy to every recipient, and return when all of them have confirmed. See `Live.publish`.

        One function from the event to the sender, since most events have one recipient and each coroutine in between
        would cost what a send to memory does.
        """
        kind = message_type(type(event))
        if kind.kind != "event":
            raise InvalidArgumentError("event", kind.name, "an event; a command is sent, with send()")
        if self._routes is None:
            raise MissingStoreError("recipients", "there is no recipient list to publish by, the one of subscribers")
        message = self._writer.write(event, kind, options)
        if watching is not None:
            watching.headers = message.headers
        counts = self._sent[kind.name]
        queues: Sequence[QueueName]
        try:
            self._sender.require_open()
            rows = self._routes.everybody(kind.name)
            if rows is None or len(rows) != 1:
                queues = await self._publish(message, rows)
            else:
                # The only recipient: nothing is kept count of unless it fails.
                queue = rows[0].queue
                copy = message.for_queue(queue)
                try:
                    await self._sender.send(queue, copy)
                    queues = (queue,)
                except (BackendError, ClosedError) as error:
                    queues = await self._publish_again(message, rows[0], error)
        except PublishError as error:
            counts.failed += 1
            counts.copies += len(error.accepted)
            raise
        except BusframeError:
            counts.failed += 1
            raise
        counts.messages += 1
        counts.copies += len(queues)
        return queues

    async def _publish(self, message: Written, rows: Sequence[Subscription] | None) -> Sequence[QueueName]:
        if rows is None:
            rows = await self._recipients_of(message)
        if not rows:
            _log.info("nobody has subscribed to %s: this message reaches nobody", message.headers.type)
            return ()
        for row in rows:
            message.require_fits(row.queue)
        return await self._spread(_Fanout(message), rows)

    async def _publish_again(
        self, message: Written, row: Subscription, error: BackendError | ClosedError
    ) -> Sequence[QueueName]:
        """Go on after the only recipient's queue did not take its copy."""
        fanout = _Fanout(message)
        fanout.asked[row.queue] = None
        fanout.note_failure(row, error if isinstance(error, BackendError) else BackendError(str(error)))
        return await self._look_again(fanout)

    async def _spread(self, fanout: _Fanout, rows: Sequence[Subscription]) -> Sequence[QueueName]:
        await self._send_to(fanout, rows)
        return await self._look_again(fanout)

    async def _look_again(self, fanout: _Fanout) -> Sequence[QueueName]:
        if gone := fanout.gone():
            # The copy of the list was older than the removal, or the queue is missing: the list, read anew, tells.
            await self._recipient_list.refresh()
            await self._send_to(fanout, fanout.take_up(gone, await self._recipients_of(fanout.message)))
        if fanout.failed:
            raise PublishError(accepted=fanout.accepted, failed=fanout.failed, again=partial(self._retry, fanout))
        return tuple(queue for queue in fanout.asked if queue in fanout.accepted)

    async def _retry(self, fanout: _Fanout) -> Sequence[QueueName]:
        """Send to those that failed, under the same id, as far as they are still subscribed."""
        await self._recipient_list.refresh()
        again = fanout.copy()
        rows = again.take_up(list(again.failed), await self._recipients_of(again.message))
        return await self._spread(again, rows)

    async def _recipients_of(self, message: Written) -> Sequence[Subscription]:
        return await self._recipient_list.recipients_of(message.headers.type, _Facts(message.headers, message.data))

    @property
    def _recipient_list(self) -> Routes:
        assert self._routes is not None  # noqa: S101 - without one nothing gets so far
        return self._routes

    async def _send_to(self, fanout: _Fanout, rows: Sequence[Subscription]) -> None:
        fanout.asked.update((row.queue, None) for row in rows)
        copies = [(row.queue, fanout.copy_for(row.queue, self._bytes_max)) for row in rows]
        fates: Sequence[Sent | BackendError]
        try:
            if len(copies) == 1:
                fates = [await self._sender.send(*copies[0])]
            else:
                fates = await self._sender.send_each(copies)
        except BackendError as error:
            fates = [error]
        except ClosedError as error:
            fates = [BackendError(str(error)) for _ in rows]
        for row, fate in zip(rows, fates, strict=True):
            if isinstance(fate, BackendError):
                fanout.note_failure(row, fate)
            else:
                fanout.accepted[row.queue] = fate.message_id


class _Fanout:
    """One publish on its way: who has a copy, and who has not."""

    __slots__ = ("_copies", "_groups", "_maybe", "accepted", "asked", "failed", "message")

    def __init__(self, message: Written) -> None:
        self.message = message
        self.asked: dict[QueueName, None] = {}
        self.accepted: dict[str, MessageId] = {}
        self.failed: dict[str, BackendError] = {}
        self._groups: dict[str, str] = {}  # of the queues that failed
        self._maybe: set[str] = set()  # those that may have a copy, although they failed
        self._copies: dict[tuple[bool, bool], Outgoing] = {}

    def copy(self) -> _Fanout:
        """As it is now, for another attempt."""
        other = _Fanout(self.message)
        other.asked |= self.asked
        other.accepted |= self.accepted
        other.failed |= self.failed
        other._groups |= self._groups
        other._maybe |= self._maybe
        return other

    def gone(self) -> list[str]:
        """Those that failed because they are not there."""
        return [queue for queue, error in self.failed.items() if isinstance(error, QueueNotFoundError)]

    def take_up(self, queues: Sequence[str], rows: Sequence[Subscription]) -> list[Subscription]:
        """Take back the failure of some queues, and name who is to get their copies.

        Args:
            queues: that failed.
            rows: the recipients of the message by now. A queue that is not among them any more needs no copy; a group
                that has moved needs one on its new queue.
        """
        owed: dict[str, bool] = {}
        for queue in queues:
            maybe = self.failed.pop(queue).effect == "unknown"
            owed[queue] = owed[self._groups.pop(queue) or queue] = maybe
        targets = [
            row
            for row in rows
            if (row.queue in owed or row.group in owed)
            and row.queue not in self.accepted
            and row.queue not in self.failed
        ]
        self._maybe.update(row.queue for row in targets if owed.get(row.queue, False) or owed.get(row.group, False))
        return targets

    def note_failure(self, row: Subscription, error: BackendError) -> None:
        """Remember that a queue has no copy, or may have none."""
        if row.queue in self._maybe:
            error.effect = "unknown"  # An earlier attempt may have worked, whatever this one says.
        self.failed[row.queue] = error
        self._groups[row.queue] = row.group

    def copy_for(self, queue: QueueName, bytes_max: int) -> Outgoing:
        """The message as it is for a queue, made once for each kind of queue.

        Where the queue may have a copy already, this one says so, if there is room left to say it.
        """
        kind = (is_ordered(queue), queue in self._maybe)
        copy = self._copies.get(kind)
        if copy is None:
            copy = self.message.for_queue(queue)
            if queue in self._maybe and (marked := self.message.marked().for_queue(queue)).size_bytes <= bytes_max:
                copy = marked
            self._copies[kind] = copy
        return copy
