"""What a message may hold, as far as it can be told without knowing the queue.

Sources: Amazon SQS API, SendMessage (characters, sizes, attributes); developer guide, "Message quotas". The texts are
the service's own where they are known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from busframe_emulator.api.errors import invalid_parameter
from busframe_emulator.engine.errors import SqsError, invalid_value
from busframe_emulator.engine.requests import MessageAttribute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe_emulator.api.actions import AttributeValue

ATTRIBUTES_MAX: Final = 10
NAME_CHARACTERS_MAX: Final = 256
TRACE_HEADER: Final = "AWSTraceHeader"
"""The one system attribute a sender may give. Amazon SQS API, MessageSystemAttributeNameForSends."""

_CONTROLS: Final = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0D})
_NONCHARACTERS: Final = ("\ufffe".encode(), "\uffff".encode())
# In \Z's place `fullmatch`; printable ASCII without the space is what SQS calls alphanumeric and punctuation.
_GROUP: Final = re.compile(r"[!-~]{1,128}").fullmatch
_NAME: Final = re.compile(r"[A-Za-z0-9_.\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff-]+").fullmatch
_RESERVED: Final = re.compile(r"(?:aws|amazon)\.", re.IGNORECASE).match
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII).fullmatch
_DIGITS_MAX: Final = 38
_EXPONENT_MIN, _EXPONENT_MAX = -128, 126
"""Amazon SQS developer guide, "Message attribute data types": a Number has 38 digits, from 10^-128 to 10^+126."""

_ALLOWED: Final = "#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]"


def has_only_permitted_characters(encoded: bytes) -> bool:
    """Whether UTF-8 text has only characters SQS carries.

    Permitted are #x9, #xA, #xD, #x20 to #xD7FF, #xE000 to #xFFFD and #x10000 to #x10FFFF. UTF-8 has no surrogates, so
    control characters and two noncharacters are left to look for; on bytes that takes a fiftieth of a regular
    expression's time.
    """
    if len(encoded.translate(None, _CONTROLS)) != len(encoded):
        return False
    return encoded.isascii() or not any(character in encoded for character in _NONCHARACTERS)


def encode_body(body: str) -> bytes:
    """The body as UTF-8, if all its characters are permitted."""
    encoded = body.encode()
    if not has_only_permitted_characters(encoded):
        raise SqsError(
            "InvalidMessageContents",
            f"Invalid binary character '{_first_forbidden(body)}' was found in the message body, the set of allowed "
            f"characters is {_ALLOWED}.",
        )
    return encoded


def check_group(value: str, parameter: str) -> None:
    """Check a MessageGroupId, MessageDeduplicationId or ReceiveRequestAttemptId."""
    if _GROUP(value) is None:
        reason = f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        raise invalid_value(parameter, value, reason)


def read_attributes(given: Mapping[str, AttributeValue]) -> dict[str, MessageAttribute]:
    """Check the message attributes and bring each to its type and its one value."""
    if len(given) > ATTRIBUTES_MAX:
        raise invalid_parameter(
            f"Number of message attributes [{len(given)}] exceeds the allowed maximum [{ATTRIBUTES_MAX}]."
        )
    for name in given:
        _check_name(name)
    return {name: _read_attribute(name, value) for name, value in given.items()}


def read_trace_header(given: Mapping[str, AttributeValue]) -> str:
    """The X-Ray trace header, the only one there can be among system attributes that are not empty."""
    for name in given:
        if name != TRACE_HEADER:
            raise invalid_parameter(
                f"Message system attribute name '{name}' is invalid. You can only use the following system "
                f"attribute names: {TRACE_HEADER}."
            )
    data_type, value = _read_attribute(TRACE_HEADER, given[TRACE_HEADER])
    if data_type != "String" or not isinstance(value, str):
        raise invalid_parameter(f"The message system attribute '{TRACE_HEADER}' must use the data type String.")
    return value


def attributes_bytes(attributes: Mapping[str, MessageAttribute]) -> int:
    """What the attributes add to a message's size: the bytes of name, type and value of each."""
    total = 0
    for name, (data_type, value) in attributes.items():
        total += len(name.encode()) + len(data_type.encode())
        total += len(value.encode()) if isinstance(value, str) else len(value)
    return total


def _check_name(name: str) -> None:
    if not name:
        raise invalid_parameter("The request must contain non-empty message attribute name.")
    if len(name) > NAME_CHARACTERS_MAX:
        raise invalid_parameter(f"Message (user) attribute name can be at most {NAME_CHARACTERS_MAX} characters long.")
    if _NAME(name) is None or name.startswith(".") or name.endswith(".") or ".." in name:
        raise invalid_parameter(
            f"Message (user) attribute name '{name}' is invalid. It can only include alphanumeric characters, hyphens, "
            "underscores and periods, must not start or end with a period, nor have two in succession."
        )
    if _RESERVED(name):
        raise invalid_parameter(
            f"Message (user) attribute name '{name}' is invalid. It must not start with AWS. or Amazon."
        )


def _read_attribute(name: str, given: AttributeValue) -> MessageAttribute:
    if given.string_list_values or given.binary_list_values:
        raise SqsError(
            "UnsupportedOperation", "Message attribute list values in SendMessage operation are not supported."
        )
    data_type = given.data_type or ""
    kind = data_type.partition(".")[0]
    if kind not in {"String", "Number", "Binary"} or len(data_type) > NAME_CHARACTERS_MAX:
        raise invalid_parameter(
            f"The type of message (user) attribute '{name}' is invalid. You must use only the following supported type "
            "prefixes: Binary, Number, String."
        )
    value = given.binary_value if kind == "Binary" else given.string_value
    if not value:
        raise invalid_parameter(f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'.")
    if isinstance(value, str):
        _check_text(name, kind, value)
    return MessageAttribute(data_type, value)


def _check_text(name: str, kind: str, value: str) -> None:
    if not has_only_permitted_characters(value.encode()):
        raise invalid_parameter(
            f"Invalid binary character '{_first_forbidden(value)}' was found in the value of message (user) attribute "
            f"'{name}', the set of allowed characters is {_ALLOWED}."
        )
    if kind == "Number":
        _check_number(name, value)


def _check_number(name: str, text: str) -> None:
    if _NUMBER(text) is None:
        raise invalid_parameter(f"Can't cast the value of message (user) attribute '{name}' to a number.")
    mantissa, _, exponent = text.lower().lstrip("+-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # Of the first digit that counts: 12.5 is 1.25 times ten to the power of 1.
    power = int(exponent or 0) - len(fraction) + len(digits) - 1
    if len(digits.rstrip("0")) > _DIGITS_MAX or (digits and not _EXPONENT_MIN <= power <= _EXPONENT_MAX):
        raise invalid_parameter(
            f"The value of message (user) attribute '{name}' is not a number of at most {_DIGITS_MAX} digits between "
            f"10^{_EXPONENT_MIN} and 10^+{_EXPONENT_MAX}."
        )


def _first_forbidden(text: str) -> str:
    """The first character that is not permitted, as "#x7"."""
    return next(f"#x{ord(one):X}" for one in text if not has_only_permitted_characters(one.encode()))
