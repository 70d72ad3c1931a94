"""Opens a message: from what a backend handed out to the handler it is for and the delivery that handler is given.

Runs once for every message, before its handler and in no task of its own, so it makes no object that is not handed on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from busframe import runtime
from busframe._consume.anew import ANEW, read_former
from busframe._consume.verdict import NotYetDue
from busframe.cloudevents import looks_like_cloud_event, read_cloud_event
from busframe.codec import reader_of
from busframe.delivery import Delivery
from busframe.errors import CodecError, UnknownMessageError, UnknownTypeError
from busframe.foreign import foreign_message
from busframe.headers import HEADERS, Headers, read_headers, text_attributes
from busframe.message import MessageId, Outgoing, is_ordered

if TYPE_CHECKING:
    from busframe.codec import Body, Reader
    from busframe.group import Group, Handler
    from busframe.message import Received


class Opener:
    """Opens the messages of one group."""

    def __init__(self, group: Group) -> None:
        self._queue = group.queue
        self._ordered = is_ordered(group.queue)
        self._foreign = group.foreign
        self._by_type: dict[str, tuple[Handler, Reader]] = {
            name: (handler, reader_of(handler.kind)) for name, handler in group.handlers.items()
        }

    def open(self, received: Received) -> tuple[Handler, Delivery[object]]:
        """Find the handler of a message and read its payload.

        Raises:
            UnknownTypeError: nobody in this group handles its type.
            UnknownMessageError: it was not sent by a bus.
            DecodeError: its headers or its body are not what its type says.
            NotYetDue: it takes the place of an answer; see `onward`.
        """
        attributes = received.attributes
        former = read_former(received) if ANEW in attributes else None
        if former is not None and former.due_s is not None:
            _require_due(former.due_s)
        try:
            text = attributes.get(HEADERS)
            if text is None:
                headers, body = _unwrap(received)
            else:
                headers, body = read_headers(text, received), received.body
            if headers.due_s is not None:
                _require_due(headers.due_s)
            found = self._by_type.get(headers.type)
            if found is None:
                known = ", ".join(sorted(self._by_type)) or "no type"
                raise UnknownTypeError(f"no handler for {headers.type!r} in this group; it handles {known}")
            handler, read = found
            payload = read(body, headers.version, headers.encoding)
        except CodecError as error:
            if self._foreign is None:
                raise
            handler = self._foreign
            headers, payload = _as_foreign(received, error)
        if former is None:
            attempt, message_id, sent_at_s = received.receive_count, received.message_id, received.sent_at_s
        else:
            attempt = former.attempts + received.receive_count
            message_id, sent_at_s = MessageId(former.message_id), former.sent_at_s
        return handler, Delivery(
            payload=payload,
            headers=headers,
            attempt=attempt,
            queue=self._queue,
            message_id=message_id,
            sent_at_s=sent_at_s,
        )

    def lane(self, received: Received) -> str | None:
        """Name what the messages have in common that must not be handled at once; None if it may be.

        On an ordered queue that is the broker's message group. On any other the message group may be the tenant, whose
        messages need not wait for each other: there it is the key.
        """
        if self._ordered or received.group is None:
            return received.group
        try:
            text = received.attributes.get(HEADERS)
            return _unwrap(received)[0].key if text is None else read_headers(text, received).key
        except CodecError:
            return None


def _require_due(due_s: float) -> None:
    if (left_s := due_s - runtime.wall_s()) > 0:
        raise NotYetDue(left_s)


def onward(received: Received, left_s: float, delay_s_max: float) -> Outgoing:
    """The message that takes the place of one that is not yet due: the same, hidden for as long as the broker can."""
    return Outgoing(
        body=received.body,
        attributes=received.attributes,
        delay_s=min(left_s, delay_s_max),
        group=received.group,
    )


def _unwrap(received: Received) -> tuple[Headers, Body]:
    """Read a message that says what it is inside its body: a CloudEvent, or one that came through SNS."""
    message = foreign_message(received)
    text = message.attributes.get(HEADERS)
    if text is not None:
        return read_headers(text, received), message.body
    if looks_like_cloud_event(message.body):
        return read_cloud_event(message.body)
    raise UnknownMessageError(
        f"message {received.message_id} has no attribute {HEADERS!r} and is no CloudEvent: not sent by a bus"
    )


def _as_foreign(received: Received, problem: CodecError) -> tuple[Headers, object]:
    message = foreign_message(received)
    attributes = text_attributes(message.attributes)
    headers = Headers(
        id=message.message_id,
        type="",
        traceparent=attributes.get("traceparent"),
        tracestate=attributes.get("tracestate"),
    )
    return headers, replace(message, problem=str(problem))
