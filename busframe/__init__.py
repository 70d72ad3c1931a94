"""Busframe: one async message bus over SQS, SQLite and an in-process SQS emulator.

Names are imported when they are first used: `busframe emulator` passes through here and has to start in milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from busframe.bus import Bus
    from busframe.delivery import Delivery
    from busframe.errors import (
        BackendError,
        BusframeError,
        ConfigurationError,
        InvalidArgumentError,
        PublishError,
    )
    from busframe.message_type import command, event
    from busframe.outcome import Drop, Later, Reject
    from busframe.retry import Retry
    from busframe.session import Live

__all__ = [
    "BackendError",
    "Bus",
    "BusframeError",
    "ConfigurationError",
    "Delivery",
    "Drop",
    "InvalidArgumentError",
    "Later",
    "Live",
    "PublishError",
    "Reject",
    "Retry",
    "command",
    "event",
]

_HOMES = {
    "Bus": "bus",
    "Delivery": "delivery",
    "Drop": "outcome",
    "Later": "outcome",
    "Live": "session",
    "Reject": "outcome",
    "Retry": "retry",
    "command": "message_type",
    "event": "message_type",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'busframe' has no attribute {name!r}")
    value: object = getattr(import_module(f"busframe.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
