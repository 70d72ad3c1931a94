"""Opens a message: from what a backend handed out to the handler it is for and the delivery that handler is given.

Runs once for every message, before its handler and in no task of its own, so it makes no object that is not handed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from busframe.codec import decode_headers, reader_of
from busframe.delivery import Delivery
from busframe.errors import UnknownMessageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe.message import Received
    from busframe.registry import Group, Handler


class Opener:
    """Opens the messages of one group."""

    def __init__(self, group: Group) -> None:
        self._queue = group.queue
        self._by_type: dict[str, tuple[Handler, Callable[[str], object]]] = {
            name: (handler, reader_of(handler.kind)) for name, handler in group.handlers.items()
        }

    def open(self, received: Received) -> tuple[Handler, Delivery[object]]:
        """Find the handler of a message and read its payload.

        Raises:
            UnknownMessageError: nobody in this group handles its type, or it was not sent by a bus.
            DecodeError: its headers or its body are not what its type says.
        """
        headers = decode_headers(received)
        found = self._by_type.get(headers.type)
        if found is None:
            known = ", ".join(sorted(self._by_type))
            raise UnknownMessageError(f"no handler for {headers.type!r} in this group; it handles {known}")
        handler, read = found
        return handler, Delivery(
            payload=read(received.body),
            headers=headers,
            attempt=received.receive_count,
            queue=self._queue,
            message_id=received.message_id,
            sent_at_s=received.sent_at_s,
        )
