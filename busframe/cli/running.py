"""Running a command: its event loop, its errors, its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio

from busframe.cli.output import complain
from busframe.errors import BackendError, BusframeError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DONE: Final = 0
FOUND: Final = 1
"""The command worked, and what it looked for is there: drift, a message that failed."""
MISUSED: Final = 2
"""Wrong arguments, a wrong URL, a program that cannot be connected as it is. argparse exits with this too."""
FAILED: Final = 3
"""The broker or the recipient list failed, or refused."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells have it."""


def run(command: Callable[..., Awaitable[int]], *arguments: Any) -> int:
    """Run an async command and return its exit code.

    Errors of the bus are said in a line; all others are bugs, in the program or here, and come out with their
    traceback.
    """
    try:
        return anyio.run(command, *arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BusframeError as error:
        return explain(error)


def explain(error: BusframeError) -> int:
    """Say what went wrong, and return the exit code for it."""
    complain(f"busframe: {error}")
    if isinstance(error, ConfigurationError):
        return MISUSED
    if isinstance(error, BackendError) and error.retryable:
        complain("busframe: trying again may help")
    return FAILED
