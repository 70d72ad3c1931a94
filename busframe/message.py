"""What goes in and what comes out: the values that travel between the bus and a backend.

All are immutable. A backend may keep any of them for as long as it likes, and so may a caller.

None but `Failed` can be part of a cycle, so the garbage collector need not look at them (`gc=False`): at tens of
thousands a second its looks cost a tenth of the time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal, NewType
from urllib.parse import quote

import msgspec

from busframe.checks import check_seconds, check_text
from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from busframe.errors import BackendError

QueueName = NewType("QueueName", str)
"""A queue's name without the backend's prefix. The name of an ordered queue ends in `.fifo`, everywhere."""

MessageId = NewType("MessageId", str)
Receipt = NewType("Receipt", str)
"""The token that settles one delivery. Opaque; at most 1,024 characters."""

ORDERED_SUFFIX: Final = ".fifo"

# Amazon SQS, CreateQueue: 1 to 80 letters, digits, hyphens, underscores; `.fifo` counts. The strictest of the
# backends sets the rule for all, so that a program does not fail on the day its broker changes.
_QUEUE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")

# Amazon SQS, SendMessage: these code points and no others may stand in a body.
_FORBIDDEN_TEXT: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Amazon SQS, SendMessage: MessageGroupId and MessageDeduplicationId.
_TOKEN: Final = re.compile(r"[!-~]{1,128}")
_UNRESERVED: Final = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")

# Amazon SQS, message attributes: at most ten, names of 1 to 256 of these.
_ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_RESERVED_PREFIXES: Final = ("aws.", "amazon.")
ATTRIBUTES_MAX: Final = 10


def queue_name(name: str, parameter: str = "queue") -> QueueName:
    """Check a queue's name; `parameter` is what the caller calls it.

    Raises:
        InvalidArgumentError: it is not 1 to 80 letters, digits, `-` and `_`, with `.fifo` at the end at most.
    """
    allowed = "1 to 80 letters, digits, '-' and '_'; '.fifo' may end it"
    check_text(parameter, name, allowed)
    if not _QUEUE_NAME.fullmatch(name):
        raise InvalidArgumentError(parameter, name, allowed)
    return QueueName(name)


def is_ordered(queue: QueueName) -> bool:
    """Tell whether the queue keeps the order of its message groups: its name says so."""
    return queue.endswith(ORDERED_SUFFIX)


def size_of_text(text: str) -> int:
    """Count bytes."""
    return len(text) if text.isascii() else len(text.encode())


def size_of_attribute(name: str, value: str | bytes) -> int:
    """Count bytes as SQS does: name, type and value."""
    return len(name) + len("String") + (size_of_text(value) if isinstance(value, str) else len(value))


def can_be_body(text: str) -> bool:
    """Tell whether a message can carry this text as it is."""
    return bool(text) and not _FORBIDDEN_TEXT.search(text)


def group_of(text: str) -> str:
    """Write any text as the name of a message group: as it is if it can be, else percent-encoded, or as a hash.

    Different texts have different names.
    """
    if _TOKEN.fullmatch(text) and "%" not in text:
        return text
    quoted = quote(text, safe=_UNRESERVED, errors="surrogatepass")
    if 0 < len(quoted) <= 128:  # noqa: PLR2004 - the limit of _TOKEN
        return quoted
    return "%" + sha256(text.encode(errors="surrogatepass")).hexdigest()


class Outgoing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message to send.

    Attributes:
        body: 1 or more characters that XML 1.0 allows. Bytes and everything else are the codec's business.
        attributes: at most 10; text or bytes, none empty. They count toward the size.
        delay_s: seconds until it can be received; 0 is now. An ordered queue takes no delay of a single message.
        group: what is kept in order on an ordered queue (there it is required); on any other queue the tenant
            among whom a backend with `fair_groups` shares its deliveries. 1 to 128 visible ASCII characters.
        deduplication_id: on an ordered queue, a second message with the same id within the backend's
            `deduplication_window_s` is accepted and not delivered. Elsewhere it is refused.
        size_bytes: what SQS counts toward its limits: body, and name, type and value of each attribute. Counted here,
            whatever is given.
    """

    body: str
    attributes: Mapping[str, str | bytes] = msgspec.field(default_factory=dict[str, str | bytes])
    delay_s: float = 0.0
    group: str | None = None
    deduplication_id: str | None = None
    size_bytes: int = 0

    def __post_init__(self) -> None:
        if not self.body or not isinstance(self.body, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidArgumentError("body", self.body, "text of at least one character")
        size = _checked_size(self.body)
        if size < 0:
            bad = _FORBIDDEN_TEXT.findall(self.body)[0]
            raise InvalidArgumentError("body", bad, _ALLOWED_TEXT)
        if self.attributes:
            size += _size_of_attributes(self.attributes)
        msgspec.structs.force_setattr(self, "size_bytes", size)
        check_seconds("delay_s", self.delay_s, 0)
        for parameter, token in (("group", self.group), ("deduplication_id", self.deduplication_id)):
            if token is not None:
                check_text(parameter, token, _ALLOWED_NAMING)
                if not _TOKEN.fullmatch(token):
                    raise InvalidArgumentError(parameter, token, _ALLOWED_NAMING)


class Checked(Outgoing, frozen=True, gc=False):
    """An `Outgoing` that is right by the way it was made, its `size_bytes` too: it is not looked at again."""

    def __post_init__(self) -> None:
        """Check nothing."""


_ALLOWED_TEXT: Final = "only characters that XML 1.0 allows"
_ALLOWED_NAME: Final = "1 to 256 letters, digits, '-', '_' and single '.', not starting with AWS. or Amazon."
_ALLOWED_NAMING: Final = "1 to 128 visible ASCII characters, no spaces"


def _checked_size(text: str) -> int:
    """Count bytes; -1 if it has a character that XML 1.0 does not allow."""
    # Nearly all text is JSON in ASCII, and these two looks are quicker than the pattern.
    if text.isascii() and text.isprintable():
        return len(text)
    return -1 if _FORBIDDEN_TEXT.search(text) else len(text.encode())


def _size_of_attributes(attributes: Mapping[str, str | bytes]) -> int:
    if not isinstance(attributes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped code
        raise InvalidArgumentError("attributes", attributes, "text or bytes by name")
    if len(attributes) > ATTRIBUTES_MAX:
        raise InvalidArgumentError("attributes", len(attributes), f"at most {ATTRIBUTES_MAX}")
    size = 0
    for name, value in attributes.items():
        if not _can_be_name(name):
            raise InvalidArgumentError("attributes", name, _ALLOWED_NAME)
        if not isinstance(value, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped code
            raise InvalidArgumentError(f"attributes[{name!r}]", value, "text or bytes")
        value_size = _checked_size(value) if isinstance(value, str) else len(value)
        if value_size <= 0:
            raise InvalidArgumentError(f"attributes[{name!r}]", value, f"not empty, {_ALLOWED_TEXT}")
        size += len(name) + len("String") + value_size  # "Binary" is as long
    return size


@lru_cache(maxsize=1_000)
def _can_be_name(name: str) -> bool:
    check_text("attributes", name, _ALLOWED_NAME)
    return (
        len(name) <= 256  # noqa: PLR2004 - the limit stands in the message
        and _ATTRIBUTE_NAME.fullmatch(name) is not None
        and not name.lower().startswith(_RESERVED_PREFIXES)
    )


class Received(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One delivery, with its lease running since before `receive` returned.

    Attributes:
        receipt: settles and extends this delivery, and only this one.
        receive_count: how many times it was handed out, this time included; 1 or more. An answer that got lost
            on its way counts, so it may exceed the number of times anyone saw the message.
        sent_at_s: seconds since 1970 by the broker's clock.
        sequence: grows within a group on an ordered queue; compare as integers. None elsewhere.
        dead_letter_source: the queue that gave the message up, where the backend moved it here by itself.
    """

    message_id: MessageId
    receipt: Receipt
    body: str
    attributes: Mapping[str, str | bytes]
    receive_count: int
    sent_at_s: float
    group: str | None = None
    deduplication_id: str | None = None
    sequence: str | None = None
    dead_letter_source: QueueName | None = None


MessageState = Literal["visible", "in_flight", "delayed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peeked:
    """A message as it lies in its queue, shown without being received.

    Attributes:
        position: where it lies, for `peek(after=...)`; only the backend can read it.
        state: "visible": a receive could return it now, or could if its group let it; "in_flight": delivered, its lease
            running; "delayed": not yet due. What was given back with a delay is one of the latter, by backend.
        due_at_s: when it becomes visible by itself, in seconds since 1970; None while it is visible.
        receive_count: how many times it was handed out so far.
        sent_at_s: seconds since 1970 by the broker's clock.
        dead_letter_source: the queue that gave the message up, where the backend moved it here by itself.
    """

    position: str
    message_id: MessageId
    body: str
    attributes: Mapping[str, str | bytes]
    state: MessageState
    due_at_s: float | None
    receive_count: int
    sent_at_s: float
    group: str | None = None
    deduplication_id: str | None = None
    sequence: str | None = None
    dead_letter_source: QueueName | None = None


class Acknowledge(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Done: remove the message."""

    receipt: Receipt


class Release(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Give the message back, to be delivered again after `delay_s` seconds (0: at once)."""

    receipt: Receipt
    delay_s: float = 0.0


Settlement = Acknowledge | Release


class Extension(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Let the lease end `lease_s` seconds after the backend hears of it, in place of when it would have."""

    receipt: Receipt
    lease_s: float


class Sent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The broker has the message and says so.

    Attributes:
        sequence: the place in its group on an ordered queue, else None.
    """

    message_id: MessageId
    sequence: str | None = None


class Settled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The broker took the settlement or extension."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """This entry of a batch failed; the others have fates of their own.

    `error.effect == "unknown"` means it may have happened all the same, for example because the answer got lost
    or did not mention the entry.
    """

    error: BackendError


SendOutcome = Sent | Failed
SettleOutcome = Settled | Failed
