"""Queue attributes: between the texts of the wire and the engine's `QueueSettings`.

Names, ranges and values: Amazon SQS API, CreateQueue, SetQueueAttributes and GetQueueAttributes. All values are text in
both directions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from busframe_emulator.api.policies import (
    read_policy,
    read_redrive,
    read_redrive_allow,
    show_redrive,
    show_redrive_allow,
)
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.settings import SECOND_US, QueueView, Redrive, RedriveAllow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ALL: Final = "All"


class Setting(NamedTuple):
    """An attribute that can be set.

    Attributes:
        field: of `QueueSettings`.
        read: text to value; raises ValueError if the text is not one, or the `SqsError` there is for that.
        show: value to text.
        values: what text it can be, in words.
    """

    field: str
    read: Callable[[str], object]
    show: Callable[[object], str]
    values: str


def _integer(field: str, low: int, high: int, unit: int = 1) -> Setting:
    """A decimal number from `low` to `high`, which the engine counts in `unit`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high):
            raise ValueError(text)
        return int(text) * unit

    def show(value: object) -> str:
        assert isinstance(value, int)  # noqa: S101 - the field's type; tells the type checkers
        return str(value // unit)

    return Setting(field, read, show, f"{low} to {high}")


def _flag(field: str) -> Setting:
    """True or false in any case; SQS gives it back in lower case."""

    def read(text: str) -> bool:
        return {"true": True, "false": False}[text.lower()]

    return Setting(field, read, _show_flag, "true or false")


def _show_flag(value: object) -> str:
    return "true" if value else "false"


def _choice(field: str, *choices: str) -> Setting:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return Setting(field, read, str, " or ".join(choices))


def _read_kms_key(text: str) -> str | None:
    return text or None


def _show_redrive(value: object) -> str:
    assert isinstance(value, Redrive)  # noqa: S101 - the field's type; tells the type checkers
    return show_redrive(value)


def _show_redrive_allow(value: object) -> str:
    assert isinstance(value, RedriveAllow)  # noqa: S101 - the field's type; tells the type checkers
    return show_redrive_allow(value)


SETTINGS: Final = {
    "DelaySeconds": _integer("delay_us", 0, 900, SECOND_US),
    "MaximumMessageSize": _integer("message_bytes_max", 1_024, 1_048_576),
    "MessageRetentionPeriod": _integer("retention_us", 60, 1_209_600, SECOND_US),
    "ReceiveMessageWaitTimeSeconds": _integer("wait_us", 0, 20, SECOND_US),
    "VisibilityTimeout": _integer("visibility_us", 0, 43_200, SECOND_US),
    "SqsManagedSseEnabled": _flag("managed_sse"),
    "Policy": Setting("policy", read_policy, str, "JSON, at most 8,192 bytes"),
    "RedrivePolicy": Setting(
        "redrive", read_redrive, _show_redrive, "JSON: deadLetterTargetArn, maxReceiveCount (1 to 1000)"
    ),
    "RedriveAllowPolicy": Setting(
        "redrive_allow",
        read_redrive_allow,
        _show_redrive_allow,
        "JSON: redrivePermission (allowAll, denyAll or byQueue), sourceQueueArns (at most 10)",
    ),
    "KmsMasterKeyId": Setting("kms_key", _read_kms_key, str, "any; kept, not used"),
    "KmsDataKeyReusePeriodSeconds": _integer("kms_reuse_s", 60, 86_400),
}
"""What every queue has."""

FIFO_SETTINGS: Final = {
    "FifoQueue": _flag("fifo"),
    "ContentBasedDeduplication": _flag("content_deduplication"),
    "DeduplicationScope": _choice("deduplication_scope", "queue", "messageGroup"),
    "FifoThroughputLimit": _choice("throughput_limit", "perQueue", "perMessageGroupId"),
}
"""What only a FIFO queue has."""

# Settings named on a standard queue get "Unknown Attribute", except these two.
_ONLY_WHEN_FIFO: Final = frozenset({"DeduplicationScope", "FifoThroughputLimit"})

FACTS: Final[dict[str, Callable[[QueueView], str]]] = {
    "ApproximateNumberOfMessages": lambda view: str(view.visible),
    "ApproximateNumberOfMessagesDelayed": lambda view: str(view.delayed),
    "ApproximateNumberOfMessagesNotVisible": lambda view: str(view.in_flight),
    "CreatedTimestamp": lambda view: str(view.created_us // SECOND_US),
    "LastModifiedTimestamp": lambda view: str(view.modified_us // SECOND_US),
    "QueueArn": lambda view: view.address.arn,
}
"""What can be read and not be set. Timestamps are seconds since 1970."""


def read_settings(given: Mapping[str, str], *, fifo: bool) -> dict[str, object]:
    """The settings that attributes name, by field of `QueueSettings`; only those named, and what they imply.

    Args:
        given: attribute texts by name.
        fifo: whether the queue is a FIFO queue, or is to be one.
    """
    settings: dict[str, object] = {}
    for name, text in given.items():
        setting = _setting(name, fifo=fifo)
        try:
            settings[setting.field] = setting.read(text)
        except (ValueError, KeyError):
            raise SqsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.") from None
    _settle_encryption(settings)
    return settings


def show_settings(view: QueueView, names: Iterable[str]) -> dict[str, str]:
    """The attributes asked for by name, or all; those without a value are left out."""
    wanted = set(names)
    for name in wanted:
        if name != ALL and name not in SETTINGS and name not in FIFO_SETTINGS and name not in FACTS:
            raise _unknown(name)
    shown: dict[str, str] = {}
    for name, fact in FACTS.items():
        if name in wanted or ALL in wanted:
            shown[name] = fact(view)
    table = SETTINGS | FIFO_SETTINGS if view.settings.fifo else SETTINGS
    for name, setting in table.items():
        value: object = getattr(view.settings, setting.field)
        if value is not None and (name in wanted or ALL in wanted):
            shown[name] = setting.show(value)
    return shown


def check_throughput_limit(throughput_limit: object, deduplication_scope: object) -> None:
    """A limit per message group needs deduplication per message group. Amazon SQS API, FifoThroughputLimit."""
    if throughput_limit == "perMessageGroupId" and deduplication_scope != "messageGroup":
        raise SqsError(
            "InvalidAttributeValue",
            "Invalid value for the parameter FifoThroughputLimit. Reason: The value perMessageGroupId is allowed only "
            "when the value for DeduplicationScope is messageGroup.",
        )


def _setting(name: str, *, fifo: bool) -> Setting:
    if setting := SETTINGS.get(name):
        return setting
    setting = FIFO_SETTINGS.get(name)
    if setting is None:
        raise _unknown(name)
    if fifo:
        return setting
    if name in _ONLY_WHEN_FIFO:
        raise SqsError("InvalidAttributeName", f"You can specify the {name} only when FifoQueue is set to true.")
    raise _unknown(name)


def _unknown(name: str) -> SqsError:
    return SqsError("InvalidAttributeName", f"Unknown Attribute {name}.")


def _settle_encryption(settings: dict[str, object]) -> None:
    """One kind of encryption at a time: naming one puts the other out, naming both is refused."""
    if settings.get("kms_key") is not None:
        if settings.get("managed_sse"):
            raise SqsError(
                "InvalidAttributeName",
                "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or "
                "SQS SSE.",
            )
        settings["managed_sse"] = False
    elif "kms_key" in settings or settings.get("managed_sse"):
        settings["kms_key"] = settings["kms_reuse_s"] = None
