"""What a handler may raise that is no Exception: which of it is its own failure, and which ends the program."""

from __future__ import annotations

from typing import cast

import anyio


class HandlerCancelledError(Exception):
    """A handler ended by a cancellation that came from inside of it, such as that of a task it was waiting for."""


class HandlerExitError(Exception):
    """A handler raised what ends programs, such as SystemExit: one message must not end what handles all the others."""


def failure_of(raised: BaseException) -> Exception | None:
    """Make a failure of what a handler raised if it is the handler's own; None if it has to go on."""
    if isinstance(raised, anyio.get_cancelled_exc_class()):
        if anyio.current_effective_deadline() == float("-inf"):
            return None  # the drain time is over, or the program is being torn down
        # asyncio raises the cancellation of a task in those who wait for it, too.
        failure: Exception = HandlerCancelledError("the handler was cancelled by something it waited for, or by itself")
    elif _is_exit(raised):
        failure = HandlerExitError(f"the handler raised {raised!r}")
    else:
        return None
    failure.__cause__ = raised
    return failure


def is_interrupt(raised: BaseException) -> bool:
    """Tell whether somebody at the keyboard wants the program to end."""
    if isinstance(raised, BaseExceptionGroup):
        return any(map(is_interrupt, cast("BaseExceptionGroup[BaseException]", raised).exceptions))
    return isinstance(raised, KeyboardInterrupt)


def _is_exit(raised: BaseException) -> bool:
    if isinstance(raised, BaseExceptionGroup):
        inside = cast("BaseExceptionGroup[BaseException]", raised).exceptions
        return all(isinstance(inner, Exception) or _is_exit(inner) for inner in inside)
    if isinstance(raised, GeneratorExit):
        return _in_a_task()  # else the coroutine is being closed by whoever clears away an event loop
    return not isinstance(raised, (KeyboardInterrupt, anyio.get_cancelled_exc_class()))


def _in_a_task() -> bool:
    try:
        anyio.get_current_task()
    except RuntimeError:
        return False
    return True
