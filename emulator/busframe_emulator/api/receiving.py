"""ReceiveMessage: what is asked of the engine, and how deliveries are shown to the one who asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Self

from busframe_emulator.api import actions, results
from busframe_emulator.api.md5 import md5_of_attributes, md5_of_body
from busframe_emulator.api.messages import TRACE_HEADER, check_group
from busframe_emulator.engine import requests
from busframe_emulator.engine.settings import SECOND_US

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.engine.engine import Engine
    from busframe_emulator.engine.requests import Delivery, MessageAttribute

MILLISECOND_US: Final = 1_000

_ALL: Final = "All"
_EVERY_ATTRIBUTE: Final = frozenset({_ALL, ".*", "*"})
_PREFIX: Final = ".*"


class Waiting(NamedTuple):
    """A receive that waits in the engine, and what was asked, for when it is answered."""

    waiter: int
    request: actions.ReceiveMessage


class _Names(NamedTuple):
    """The message attributes asked for: by name, by prefix ("Hel.*"), or all. Names that match none are ignored."""

    exact: frozenset[str]
    prefixes: frozenset[str]

    @classmethod
    def of(cls, names: Sequence[str]) -> Self:
        prefixes = frozenset(name.removesuffix(_PREFIX) for name in names if name.endswith(_PREFIX))
        return cls(frozenset(names), prefixes)

    def choose(self, attributes: Mapping[str, MessageAttribute]) -> Mapping[str, MessageAttribute]:
        """Those of a message that are among them."""
        if not _EVERY_ATTRIBUTE.isdisjoint(self.exact):
            return attributes
        return {name: attribute for name, attribute in attributes.items() if self._has(name)}

    def _has(self, name: str) -> bool:
        # The beginnings of a name are few; the prefixes asked for may be many.
        return name in self.exact or (
            bool(self.prefixes) and any(name[:length] in self.prefixes for length in range(len(name) + 1))
        )


SYSTEM_ATTRIBUTES: Final[dict[str, Callable[[Delivery], str | None]]] = {
    "SenderId": lambda delivery: delivery.sender,
    "SentTimestamp": lambda delivery: str(delivery.sent_us // MILLISECOND_US),
    "ApproximateReceiveCount": lambda delivery: str(delivery.receive_count),
    "ApproximateFirstReceiveTimestamp": lambda delivery: str(delivery.first_received_us // MILLISECOND_US),
    "SequenceNumber": lambda delivery: delivery.sequence,
    "MessageDeduplicationId": lambda delivery: delivery.deduplication_id,
    "MessageGroupId": lambda delivery: delivery.group,
    TRACE_HEADER: lambda delivery: delivery.trace_header,
    "DeadLetterQueueSourceArn": lambda delivery: delivery.source.arn if delivery.source else None,
}
"""The facts of a delivery; None where it has no such fact. Timestamps are milliseconds since 1970."""


def receive_message(
    engine: Engine, caller: Caller, now_us: int, request: actions.ReceiveMessage
) -> results.Messages | Waiting:
    """Take messages now, or wait for them."""
    if request.receive_request_attempt_id is not None:
        check_group(request.receive_request_attempt_id, "ReceiveRequestAttemptId")
    wait_s, visibility_s = request.wait_time_seconds, request.visibility_timeout
    reply = engine.apply(
        now_us,
        requests.Receive(
            queue=caller.address(request.queue_url),
            limit=request.max_number_of_messages or 1,
            wait_us=None if wait_s is None else wait_s * SECOND_US,
            visibility_us=None if visibility_s is None else visibility_s * SECOND_US,
            attempt_id=request.receive_request_attempt_id,
        ),
    )
    if isinstance(reply, requests.Parked):
        return Waiting(reply.waiter, request)
    return show_deliveries(request, reply.deliveries)


def show_deliveries(request: actions.ReceiveMessage, deliveries: Sequence[Delivery]) -> results.Messages:
    """Show deliveries with the attributes that were asked for, and no others."""
    if not deliveries:
        return results.Messages()
    system_names = _system_names(request)
    names = _Names.of(request.message_attribute_names) if request.message_attribute_names else None
    return results.Messages(messages=[_show(delivery, system_names, names) for delivery in deliveries])


def _show(delivery: Delivery, system_names: Sequence[str], names: _Names | None) -> results.Message:
    message = results.Message(
        message_id=delivery.message_id,
        receipt_handle=delivery.receipt,
        md5_of_body=md5_of_body(delivery.body.encode()),
        body=delivery.body,
    )
    if system_names:
        facts = {name: SYSTEM_ATTRIBUTES[name](delivery) for name in system_names}
        message.attributes = {name: fact for name, fact in facts.items() if fact is not None} or None
    if names is not None and delivery.attributes and (chosen := names.choose(delivery.attributes)):
        # The checksum covers what is returned, not what was sent.
        message.md5_of_message_attributes = md5_of_attributes(chosen)
        message.message_attributes = {name: _show_attribute(attribute) for name, attribute in chosen.items()}
    return message


def _show_attribute(attribute: MessageAttribute) -> results.AttributeValue:
    data_type, value = attribute
    if isinstance(value, str):
        return results.AttributeValue(data_type=data_type, string_value=value)
    return results.AttributeValue(data_type=data_type, binary_value=value)


def _system_names(request: actions.ReceiveMessage) -> Sequence[str]:
    """The system attributes asked for, under the older name or the newer. Unknown ones are not there to be shown."""
    old, new = request.attribute_names, request.message_system_attribute_names
    if not old and not new:
        return ()
    wanted = {*(old or ()), *(new or ())}
    return [name for name in SYSTEM_ATTRIBUTES if name in wanted or _ALL in wanted]
