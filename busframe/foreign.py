"""Messages that no bus has sent, or that this program does not know: raw JSON, wrapped by SNS, of another system."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from busframe.errors import DecodeError
from busframe.message_type import MessageType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe.message import Received

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignMessage:
    """A message as its sender wrote it.

    Attributes:
        body: what the sender wrote, taken out of the envelope that SNS put around it.
        attributes: its message attributes, those inside the envelope if there is one.
        message_id: the name its broker gave it: SNS's, if it came that way, since that is the same for all subscribers.
        topic: the ARN of the SNS topic it came through; None if it came through none.
        subject: SNS's; None if it has none.
        problem: why no other handler of the group got it.
    """

    body: str
    attributes: Mapping[str, str | bytes] = field(default_factory=dict[str, "str | bytes"])
    message_id: str = ""
    topic: str | None = None
    subject: str | None = None
    problem: str = ""

    def json(self) -> Any:
        """Read the body as JSON, of whatever shape: notifications of S3, events of EventBridge.

        Raises:
            DecodeError: it is none. Left alone in a handler, it dead-letters the message.
        """
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise DecodeError(f"message {self.message_id}: its body is not JSON: {error}") from error

    def read(self, kind: type[T]) -> T:
        """Read the body as JSON of a shape: a dataclass, a TypedDict, a `msgspec.Struct`, `dict[str, int]`.

        Raises:
            DecodeError: it has another. Left alone in a handler, it dead-letters the message.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise DecodeError(f"message {self.message_id}: {error}") from error


FOREIGN: Final = MessageType(name="foreign", kind="command", version=1, key=None, payload=ForeignMessage)
"""Stands in for the type of messages that have none."""


class _SnsAttribute(msgspec.Struct, frozen=True, rename="pascal"):
    type: str
    value: str


class _SnsNotification(msgspec.Struct, frozen=True, rename="pascal"):
    """What SNS delivers to a queue without raw message delivery (Amazon SNS, "HTTP/HTTPS notification JSON format")."""

    type: Literal["Notification"]
    message_id: str
    topic_arn: str
    message: str
    subject: str | None = None
    message_attributes: dict[str, _SnsAttribute] = {}


_SNS: Final = msgspec.json.Decoder(_SnsNotification).decode


def foreign_message(received: Received) -> ForeignMessage:
    """Take a message out of SNS's envelope, if it is in one."""
    notification = _notification(received.body)
    if notification is None:
        return ForeignMessage(body=received.body, attributes=received.attributes, message_id=received.message_id)
    return ForeignMessage(
        body=notification.message,
        attributes={name: _value(attribute) for name, attribute in notification.message_attributes.items()},
        message_id=notification.message_id,
        topic=notification.topic_arn,
        subject=notification.subject,
    )


def _notification(body: str) -> _SnsNotification | None:
    if '"TopicArn"' not in body:
        return None
    try:
        return _SNS(body)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _value(attribute: _SnsAttribute) -> str | bytes:
    if not attribute.type.startswith("Binary"):
        return attribute.value
    try:
        return b64decode(attribute.value, validate=True)
    except ValueError:
        return attribute.value
