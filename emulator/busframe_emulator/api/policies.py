"""The queue attributes that are JSON themselves: RedrivePolicy, RedriveAllowPolicy and Policy.

Source: Amazon SQS API, SetQueueAttributes. The canonical texts are compact, with the members in the order shown there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NoReturn, cast

import msgspec

from busframe_emulator.engine.errors import SqsError, invalid_value
from busframe_emulator.engine.settings import QueueAddress, Redrive, RedriveAllow

if TYPE_CHECKING:
    from collections.abc import Mapping

RECEIVE_COUNT_MAX: Final = 1000
SOURCES_MAX: Final = 10
"""Amazon SQS API: a RedriveAllowPolicy names at most ten queues."""

POLICY_BYTES_MAX: Final = 8_192
"""Amazon SQS developer guide, "Limitations of custom policies"."""

_PERMISSIONS: Final[dict[str, Literal["allowAll", "denyAll", "byQueue"]]] = {
    "allowAll": "allowAll",
    "denyAll": "denyAll",
    "byQueue": "byQueue",
}

_UNREADABLE: Final = (msgspec.DecodeError, RecursionError)


def read_redrive(text: str) -> Redrive | None:
    """RedrivePolicy as a value; None for the empty text, which removes it."""
    if not text:
        return None
    given = _object("RedrivePolicy", text, "Redrive policy")
    for name in ("deadLetterTargetArn", "maxReceiveCount"):
        if given.get(name) is None:
            _refuse("RedrivePolicy", text, f"Redrive policy does not contain mandatory attribute: {name}.")
    arn, count = given["deadLetterTargetArn"], given["maxReceiveCount"]
    target = QueueAddress.from_arn(arn) if isinstance(arn, str) else None
    if target is None:
        _refuse("RedrivePolicy", text, "Invalid value for deadLetterTargetArn.")
    # The count is taken as a number or as a string of digits.
    number = int(count) if isinstance(count, str) and count.isascii() and count.isdigit() else count
    if not isinstance(number, int) or isinstance(number, bool):
        _refuse("RedrivePolicy", text, "Invalid value for maxReceiveCount.")
    if not 1 <= number <= RECEIVE_COUNT_MAX:
        _refuse(
            "RedrivePolicy",
            text,
            f"Invalid value for maxReceiveCount: {number}, valid values are from 1 to {RECEIVE_COUNT_MAX} "
            "both inclusive.",
        )
    return Redrive(target, number)


def show_redrive(redrive: Redrive) -> str:
    """RedrivePolicy in its canonical form: the count is a number, however it was given."""
    return _text({"deadLetterTargetArn": redrive.target.arn, "maxReceiveCount": redrive.max_receive_count})


def read_redrive_allow(text: str) -> RedriveAllow | None:
    """RedriveAllowPolicy as a value; None for the empty text, which removes it."""
    if not text:
        return None
    given = _object("RedriveAllowPolicy", text, "Redrive allow policy")
    name = given.get("redrivePermission")
    permission = _PERMISSIONS.get(name) if isinstance(name, str) else None
    arns = given.get("sourceQueueArns")
    if permission is None:
        _refuse("RedriveAllowPolicy", text, "redrivePermission must be allowAll, denyAll or byQueue.")
    if (permission == "byQueue") != bool(arns):
        _refuse("RedriveAllowPolicy", text, "sourceQueueArns goes with byQueue, and only with it.")
    sources = [QueueAddress.from_arn(arn) if isinstance(arn, str) else None for arn in _list(arns)]
    if len(sources) > SOURCES_MAX or None in sources:
        _refuse("RedriveAllowPolicy", text, f"sourceQueueArns must be a list of at most {SOURCES_MAX} queue ARNs.")
    return RedriveAllow(
        permission,
        tuple(source for source in sources if source is not None),
    )


def show_redrive_allow(policy: RedriveAllow) -> str:
    """RedriveAllowPolicy in its canonical form."""
    members: dict[str, object] = {"redrivePermission": policy.permission}
    if policy.sources:
        members["sourceQueueArns"] = [source.arn for source in policy.sources]
    return _text(members)


def read_policy(text: str) -> str | None:
    """Policy, kept as the text it was given; None for the empty text, which removes it."""
    if not text:
        return None
    if len(text.encode()) > POLICY_BYTES_MAX:
        reason = f"It can have {POLICY_BYTES_MAX} bytes, and has {len(text.encode())}."
        raise SqsError("InvalidAttributeValue", f"Invalid value for the parameter Policy. Reason: {reason}")
    try:
        document = msgspec.json.decode(text)
    except _UNREADABLE:
        document = None
    if not isinstance(document, dict):
        raise SqsError("InvalidAttributeValue", "Invalid value for the parameter Policy.")
    return text


def _object(name: str, text: str, words: str) -> Mapping[str, object]:
    try:
        given = msgspec.json.decode(text)
    except _UNREADABLE:
        given = None
    if not isinstance(given, dict):
        _refuse(name, text, f"{words} is not a valid JSON map.")
    return cast("Mapping[str, object]", given)


def _list(value: object) -> list[object]:
    """The value if it is a list; else something that is refused as one with a bad item."""
    return cast("list[object]", value) if isinstance(value, list) else [] if value is None else [value, None]


def _text(members: Mapping[str, object]) -> str:
    return msgspec.json.encode(members).decode()


def _refuse(name: str, text: str, reason: str) -> NoReturn:
    raise invalid_value(name, text, reason)
