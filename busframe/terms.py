"""What a program says of a handler and of its group, checked before anything is done with it."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from busframe.annotations import require_fitting
from busframe.checks import check_flag, check_is, check_seconds, check_text, check_whole
from busframe.errors import InvalidArgumentError
from busframe.inbox import WINDOW_S
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
        once_window_s: float | None,
        filter: Filter | None = None,  # noqa: A002 - the word for it
    ) -> Terms:
        """As a subscription says them; see `Registry.subscribe`."""
        check_flag("once", once)
        if not once and once_window_s is not None:
            raise InvalidArgumentError("once_window_s", once_window_s, "None, unless once=True asks for an inbox")
        window_s = (WINDOW_S if once_window_s is None else once_window_s) if once else None
        return cls(Retry() if retry is None else retry, timeout_s, window_s, filter)

    def __post_init__(self) -> None:
        check_is("retry", self.retry, Retry, "a Retry, such as Retry(attempts=5), or None")
        check_seconds("timeout_s", self.timeout_s, 0, above=True, or_none="no bound")
        check_seconds("once_window_s", self.once_window_s, 0, above=True, or_none="four days")


def bounds_said(concurrency: int | None, bytes_in_hand_max: int | None, lease_s: float | None) -> dict[str, float]:
    """Check what a subscription says about its group, and leave out what it does not say."""
    check_whole("concurrency", concurrency, 1, or_none="the group's, or 10")
    check_whole("bytes_in_hand_max", bytes_in_hand_max, 1, or_none="no bound")
    check_seconds("lease_s", lease_s, LEASE_S_MIN, 43_200, or_none="the group's, or 30")  # twelve hours, as SQS
    said = {"concurrency": concurrency, "bytes_in_hand_max": bytes_in_hand_max, "lease_s": lease_s}
    return {parameter: value for parameter, value in said.items() if value is not None}


def check_part(parameter: str, value: str) -> None:
    """Make sure that a name can be part of a queue's."""
    allowed = "letters, digits, '-' and '_', the first a letter or digit"
    check_text(parameter, value, allowed)
    if not _PART.fullmatch(value):
        raise InvalidArgumentError(parameter, value, allowed)


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


def wants_delivery(function: Callable[..., Awaitable[None]], kind: MessageType) -> bool:
    """Tell whether a handler takes the `Delivery` beside the message, and make sure that it handles that kind."""
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
    require_fitting(function, called, parameters[0], kind)
    return len(parameters) == 2  # noqa: PLR2004 - message and delivery
