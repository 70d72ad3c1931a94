"""Trace context: which trace a message belongs to, carried from the sender's task to the handler's.

The bus makes no spans. It hands on what it is given, as the W3C Trace Context recommendation (3.4, "Mutating the
traceparent Field") has a participant do that records nothing: the messages that a handler sends carry the trace context
of the message it handles. What makes spans puts itself in between with a `Propagator`.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from busframe.checks import check_text
from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Generator

# W3C Trace Context, 3.2: version, trace id, parent id, flags; later versions may append to it.
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context.

    Attributes:
        traceparent: `00-<trace id>-<parent id>-<flags>`.
        tracestate: the vendors' own, or None.
    """

    traceparent: str
    tracestate: str | None = None


class Propagator(Protocol):
    """Tells which trace a message that is being sent belongs to. Called once for every publish and send."""

    def __call__(self) -> TraceContext | None:
        """Tell; None if to none."""
        ...


TRACE: Final[ContextVar[TraceContext | None]] = ContextVar("busframe_trace", default=None)
"""What `current_trace` tells."""


def current_trace() -> TraceContext | None:
    """The trace context of the code that runs: of the message being handled, or what `within_trace` set."""
    return TRACE.get()


def in_trace(trace: TraceContext) -> Token[TraceContext | None]:
    """Set what `current_trace` tells in this task until `leave_trace`."""
    return TRACE.set(trace)


def leave_trace(token: Token[TraceContext | None]) -> None:
    """Undo `in_trace`, in the same task."""
    TRACE.reset(token)


def enter_trace(trace: TraceContext | None) -> None:
    """Set what `current_trace` tells in this task from now on."""
    TRACE.set(trace)


@contextmanager
def within_trace(traceparent: str, tracestate: str | None = None) -> Generator[None, None, None]:
    """Have the messages sent inside belong to a trace, such as that of the HTTP request being answered.

    Args:
        traceparent: the header of that name: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`.
        tracestate: the header of that name, passed on as it is; None if there is none.

    Raises:
        InvalidArgumentError: `traceparent` is not one.
    """
    allowed = "00-<32 hex digits>-<16 hex digits>-<2 hex digits>"
    check_text("traceparent", traceparent, allowed)
    check_text("tracestate", tracestate, or_none=True)
    if not _TRACEPARENT.fullmatch(traceparent):
        raise InvalidArgumentError("traceparent", traceparent, allowed)
    token = in_trace(TraceContext(traceparent, tracestate))
    try:
        yield
    finally:
        leave_trace(token)
