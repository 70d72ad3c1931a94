"""Busframe: one async message bus over SQS, SQLite and an in-process SQS emulator.

Names are imported when they are first used: `busframe emulator` passes through here and has to start in milliseconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from busframe._consume.pulling import PulledDelivery, Stream
    from busframe.blocking import BlockingLive, connect_blocking
    from busframe.bus import Bus
    from busframe.channel import Channel
    from busframe.cloudevents import CloudEvents
    from busframe.delivery import Delivery, current_delivery
    from busframe.errors import (
        BackendError,
        BusframeError,
        ConfigurationError,
        InvalidArgumentError,
        PublishError,
    )
    from busframe.foreign import ForeignMessage
    from busframe.message_type import Command, Event, command, event
    from busframe.outcome import Drop, Later, Reject
    from busframe.producer import Producer
    from busframe.retry import Retry
    from busframe.session import Live
    from busframe.tracing import TraceContext, current_trace, within_trace

__all__ = [
    "BackendError",
    "BlockingLive",
    "Bus",
    "BusframeError",
    "Channel",
    "CloudEvents",
    "Command",
    "ConfigurationError",
    "Delivery",
    "Drop",
    "Event",
    "ForeignMessage",
    "InvalidArgumentError",
    "Later",
    "Live",
    "Producer",
    "PublishError",
    "PulledDelivery",
    "Reject",
    "Retry",
    "Stream",
    "TraceContext",
    "command",
    "connect_blocking",
    "current_delivery",
    "current_trace",
    "event",
    "within_trace",
]

_HOMES = {
    "BlockingLive": "blocking",
    "Bus": "bus",
    "Channel": "channel",
    "CloudEvents": "cloudevents",
    "Command": "message_type",
    "Delivery": "delivery",
    "Drop": "outcome",
    "Event": "message_type",
    "ForeignMessage": "foreign",
    "Later": "outcome",
    "Live": "session",
    "Producer": "producer",
    "PulledDelivery": "_consume.pulling",
    "Reject": "outcome",
    "Retry": "retry",
    "Stream": "_consume.pulling",
    "TraceContext": "tracing",
    "command": "message_type",
    "connect_blocking": "blocking",
    "current_delivery": "delivery",
    "current_trace": "tracing",
    "event": "message_type",
    "within_trace": "tracing",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'busframe' has no attribute {name!r}")
    value: object = getattr(import_module(f"busframe.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
