"""What a program says of a handler and of its group, checked before anything is done with it."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from busframe.errors import InvalidArgumentError
from busframe.message_type import message_type
from busframe.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.filters import Filter
    from busframe.message_type import Kind, MessageType

_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
LEASE_S_MIN: Final = 2.0
"""A lease is extended at half its time; much shorter ones would be lost to one slow call."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How one handler is to be called; see `Handler`."""

    retry: Retry
    timeout_s: float | None
    once_window_s: float | None
    filter: Filter | None = None

    @classmethod
    def of(
        cls,
        *,
        retry: Retry | None,
        timeout_s: float | None,
        once: bool,
        once_window_s: float,
        filter: Filter | None = None,  # noqa: A002 - the word for it
    ) -> Terms:
        """As a subscription says them; see `Registry.subscribe`."""
        return cls(Retry() if retry is None else retry, timeout_s, once_window_s if once else None, filter)

    def __post_init__(self) -> None:
        if not isinstance(self.retry, Retry):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped code
            raise InvalidArgumentError("retry", self.retry, "a Retry, such as Retry(attempts=5), or None")
        if self.timeout_s is not None and not 0 < self.timeout_s < float("inf"):
            raise InvalidArgumentError("timeout_s", self.timeout_s, "more than 0 seconds, finite, or None for no bound")
        if self.once_window_s is not None and not 0 < self.once_window_s < float("inf"):
            raise InvalidArgumentError("once_window_s", self.once_window_s, "more than 0 seconds, finite")


def bounds_said(concurrency: int | None, bytes_in_hand_max: int | None, lease_s: float | None) -> dict[str, float]:
    """Check what a subscription says about its group, and leave out what it does not say."""
    if concurrency is not None and concurrency < 1:
        raise InvalidArgumentError("concurrency", concurrency, "1 or more")
    if bytes_in_hand_max is not None and bytes_in_hand_max < 1:
        raise InvalidArgumentError("bytes_in_hand_max", bytes_in_hand_max, "1 or more")
    if lease_s is not None and not LEASE_S_MIN <= lease_s <= 43_200:  # noqa: PLR2004 - twelve hours, as SQS
        raise InvalidArgumentError("lease_s", lease_s, f"{LEASE_S_MIN:g} to 43200 seconds")
    said = {"concurrency": concurrency, "bytes_in_hand_max": bytes_in_hand_max, "lease_s": lease_s}
    return {parameter: value for parameter, value in said.items() if value is not None}


def check_part(parameter: str, value: str) -> None:
    """Make sure that a name can be part of a queue's."""
    if not _PART.fullmatch(value):
        raise InvalidArgumentError(parameter, value, "letters, digits, '-' and '_', the first a letter or digit")


def require_kind(payload: type, wanted: Kind, method: str) -> MessageType:
    """Look up what a class was declared to be, and make sure that it is what the method is for."""
    kind = message_type(payload)
    if kind.kind != wanted:
        instead = (
            "an event; a command has a handler by handle()"
            if wanted == "event"
            else ("a command; an event is subscribed to, with subscribe()")
        )
        raise InvalidArgumentError(method, kind.name, instead)
    return kind


def wants_delivery(function: Callable[..., Awaitable[None]]) -> bool:
    """Tell whether a handler takes the `Delivery` beside the message, and make sure that it is a handler."""
    # An object with an async __call__ is fine too.
    called = function if inspect.isroutine(function) else type(function).__call__
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)):
        raise InvalidArgumentError("handler", function, "an 'async def' function")
    parameters = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} and p.default is p.empty
    ]
    if len(parameters) not in {1, 2}:
        raise InvalidArgumentError("handler", function, "a function of the message, or of the message and its Delivery")
    return len(parameters) == 2  # noqa: PLR2004 - message and delivery
