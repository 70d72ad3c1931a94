"""Fan-out: one event, a copy on the queue of every group that subscribed to it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec

from busframe.errors import BackendError, PublishError
from busframe.filters import nested

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe.filters import FilterOn
    from busframe.headers import Headers
    from busframe.message import MessageId, QueueName
    from busframe.sending import Sender
    from busframe.topology.routes import Routes
    from busframe.writing import Written

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
        routes: who they are.
        sender: gets the copies there; those for one queue share calls, whoever publishes them.
    """

    def __init__(self, routes: Routes, sender: Sender) -> None:
        self._routes = routes
        self._sender = sender

    async def publish(self, message: Written) -> Sequence[QueueName]:
        """Send a copy to every recipient, and return when all of them have confirmed.

        Args:
            message: its headers say who gets it.

        Returns:
            The queues that have their copy.

        Raises:
            PublishError: some have theirs and some do not.
            InvalidArgumentError: one of the queues cannot take it; nothing was sent.
        """
        rows = await self._routes.recipients_of(message.headers.type, _Facts(message.headers, message.data))
        queues = tuple(row.queue for row in rows)
        message.require_fits(queues)
        accepted: dict[str, MessageId] = {}
        failed: dict[str, BackendError] = {}

        async def copy_to(queue: QueueName) -> None:
            try:
                accepted[queue] = (await self._sender.send(queue, message.for_queue(queue))).message_id
            except BackendError as error:
                failed[queue] = error

        if not queues:
            _log.info("nobody has subscribed to %s: this message reaches nobody", message.headers.type)
        elif len(queues) == 1:
            await copy_to(queues[0])
        else:
            async with anyio.create_task_group() as tasks:
                for queue in queues:
                    tasks.start_soon(copy_to, queue)
        if failed:
            raise PublishError(accepted=accepted, failed=failed)
        return queues
