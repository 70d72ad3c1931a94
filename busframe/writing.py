"""From a payload and what its sender says about it to a message that can be sent.

Pure, save for the id and the clock: everything that can be wrong with a message shows here, before any copy of it is
sent. A batch is refused as a whole, so no bad entry may get into one.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Final, TypedDict

import msgspec

from busframe import runtime
from busframe.checks import check_seconds, check_text, check_texts
from busframe.cloudevents import CONTENT_TYPE, STRUCTURED_JSON
from busframe.codec import checked_encoder_of, encoder_of, key_of
from busframe.delivery import CURRENT
from busframe.errors import InvalidArgumentError
from busframe.headers import HEADERS, Headers, encode_headers
from busframe.message import Checked, group_of, is_ordered, size_of_attribute, size_of_text
from busframe.tracing import TRACE

if TYPE_CHECKING:
    from busframe.cloudevents import CloudEvents
    from busframe.message import Outgoing, QueueName
    from busframe.message_type import MessageType
    from busframe.tracing import Propagator


ID_LENGTH_MAX: Final = 200
"""An inbox takes keys of a thousand characters, and puts more before it."""

_ALLOWED_ID: Final = f"text of 1 to {ID_LENGTH_MAX} characters"


class SendOptions(TypedDict, total=False):
    """The same as keyword arguments, for type checkers."""

    delay_s: float
    tenant: str | None
    key: str | None
    headers: Mapping[str, str] | None
    correlation_id: str | None
    id: str | None


class Options(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the sender of one message says about it; see `Live.publish`."""

    delay_s: float = 0.0
    tenant: str | None = None
    key: str | None = None
    headers: Mapping[str, str] | None = None
    correlation_id: str | None = None
    id: str | None = None

    def check(self) -> None:
        """Make sure that a message can carry it: what is of another type no consumer could read.

        Raises:
            InvalidArgumentError: it cannot.
        """
        check_seconds("delay_s", self.delay_s, 0)
        check_text("tenant", self.tenant, or_none=True)
        check_text("key", self.key, or_none=True)
        check_text("correlation_id", self.correlation_id, or_none=True)
        if self.id is not None:
            check_text("id", self.id, _ALLOWED_ID)
            if not 0 < len(self.id) <= ID_LENGTH_MAX:
                raise InvalidArgumentError("id", self.id, _ALLOWED_ID)
        if self.headers is not None:
            check_texts("headers", self.headers, "text by text")


PLAIN = Options()


class Written(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message, ready for whichever queue.

    Attributes:
        data: the payload as text; the body too, unless it is in an envelope.
        size_bytes: of the body and the attributes, as SQS counts them.
        delay_s: what is left of the wish for a delay when the broker's longest is used; `headers.due_s` has the rest.
    """

    headers: Headers
    data: str
    body: str
    attributes: Mapping[str, str | bytes]
    size_bytes: int
    delay_s: float

    def require_fits(self, queue: QueueName) -> None:
        """Make sure the message can go to a queue.

        Raises:
            InvalidArgumentError: the queue is ordered, and the message has no key or a delay.
        """
        if is_ordered(queue):
            if self.headers.key is None:
                raise InvalidArgumentError("key", None, f"text: queue {queue} is ordered by it")
            if self.delay_s:
                allowed = f"0: queue {queue} is ordered, and in it a message would hold up those behind it"
                raise InvalidArgumentError("delay_s", self.delay_s, allowed)

    def marked(self) -> Written:
        """The same message, with headers that say that it may come twice. In an envelope there is no place for that."""
        if HEADERS not in self.attributes:
            return self
        headers = msgspec.structs.replace(self.headers, again=True)
        attributes = {**self.attributes, HEADERS: encode_headers(headers)}
        size_bytes = _size(self.body, attributes)
        return msgspec.structs.replace(self, headers=headers, attributes=attributes, size_bytes=size_bytes)

    def for_queue(self, queue: QueueName) -> Outgoing:
        """Make the copy for one queue.

        The broker's message group is the key on an ordered queue. On any other it is whom the broker is to be fair
        among: the tenant, or else the key.

        Raises:
            InvalidArgumentError: it cannot go there; see `require_fits`.
        """
        # What `Outgoing` would look for cannot be there: all of it is JSON, base64 or text that was looked at, and
        # groups are named by `group_of`.
        headers = self.headers
        if is_ordered(queue):
            self.require_fits(queue)
            return Checked(
                body=self.body,
                attributes=self.attributes,
                size_bytes=self.size_bytes,
                group=None if headers.key is None else group_of(headers.key),
                # As CloudEvents has it: what no two messages share is the source and the id together.
                deduplication_id=group_of(f"{headers.source}/{headers.id}"),
            )
        share = headers.key if headers.tenant is None else headers.tenant
        return Checked(
            body=self.body,
            attributes=self.attributes,
            size_bytes=self.size_bytes,
            delay_s=self.delay_s,
            group=None if share is None else group_of(share),
        )


class Writer:
    """Writes the messages of one bus.

    Args:
        source: the name of the bus.
        delay_s_max: the longest delay of the broker.
        check_schema: read each payload back before it is sent.
        envelope: what to put messages into; None: nothing.
        propagator: tells which trace a message belongs to.
    """

    def __init__(
        self,
        source: str,
        *,
        delay_s_max: float,
        check_schema: bool = True,
        envelope: CloudEvents | None = None,
        propagator: Propagator = TRACE.get,
    ) -> None:
        self._source = source
        self._delay_s_max = delay_s_max
        self._encoder_of = checked_encoder_of if check_schema else encoder_of
        self._envelope = envelope
        self._propagator = propagator
        self._plain: dict[MessageType, _PlainHeaders] = {}

    def write(self, payload: object, kind: MessageType, options: Options = PLAIN) -> Written:
        """Write a message.

        Raises:
            EncodeError: the payload cannot be written as its type.
            InvalidArgumentError: one of the options is not allowed.
        """
        data, encoding = self._encoder_of(kind)(payload)
        cause, trace = CURRENT.get(), self._propagator()
        if (
            (cause is None and trace is None)
            and (kind.key is None and encoding is None and self._envelope is None)
            and (options is PLAIN or (options == PLAIN and options.delay_s is not False))
        ):
            plain = self._plain.get(kind)
            if plain is None:
                plain = self._plain[kind] = _PlainHeaders(kind, self._source)
            return plain.write(data)
        if options is not PLAIN:
            options.check()
        delay_s, due_s = self._delays(options.delay_s) if options.delay_s else (0.0, None)
        correlation_id = options.correlation_id
        causation_id = None
        if cause is not None:
            causation_id = cause.headers.id
            correlation_id = correlation_id or cause.headers.correlation_id or causation_id
        headers = Headers(
            id=runtime.new_id() if options.id is None else options.id,
            type=kind.name,
            version=kind.version,
            source=self._source,
            key=key_of(payload, kind) if options.key is None else options.key,
            tenant=options.tenant,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=None if trace is None else trace.traceparent,
            tracestate=None if trace is None else trace.tracestate,
            due_s=due_s,
            encoding=encoding,
            extra=dict(options.headers) if options.headers else {},
        )
        if self._envelope is None:
            body, attributes = data, {HEADERS: encode_headers(headers)}
        else:
            body, attributes = self._envelope.write(headers, data, kind.form), {CONTENT_TYPE: STRUCTURED_JSON}
        return Written(
            headers=headers,
            data=data,
            body=body,
            attributes=attributes,
            size_bytes=_size(body, attributes),
            delay_s=delay_s,
        )

    def _delays(self, wished_s: float) -> tuple[float, float | None]:
        """Split a delay into what the broker can do and, if that is not all of it, when the message is due."""
        if wished_s <= self._delay_s_max:
            return wished_s, None
        return self._delay_s_max, runtime.wall_s() + wished_s


class _PlainHeaders:
    """Writes the messages of one type whose headers differ in nothing but their id, as most do: a third of the work."""

    __slots__ = ("_before", "_behind", "_size_bytes", "_source", "_type", "_version")

    def __init__(self, kind: MessageType, source: str) -> None:
        self._type = kind.name
        self._version = kind.version
        self._source = source
        example = runtime.new_id()
        text = encode_headers(Headers(id=example, type=kind.name, version=kind.version, source=source))
        self._before, self._behind = text.split(example)
        self._size_bytes = size_of_attribute(HEADERS, text)

    def write(self, data: str) -> Written:
        """Write one with this payload."""
        name = runtime.new_id()
        return Written(
            headers=Headers(id=name, type=self._type, version=self._version, source=self._source),
            data=data,
            body=data,
            attributes={HEADERS: f"{self._before}{name}{self._behind}"},
            size_bytes=self._size_bytes + size_of_text(data),
            delay_s=0.0,
        )


def _size(body: str, attributes: Mapping[str, str | bytes]) -> int:
    size = size_of_text(body)
    for name, value in attributes.items():
        size += size_of_attribute(name, value)
    return size
