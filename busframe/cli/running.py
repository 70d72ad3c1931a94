"""Running a command: its event loop, its errors, its exit code."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import anyio

from busframe.cli.output import complain, fall_silent
from busframe.errors import (
    BackendError,
    BusframeError,
    ConfigurationError,
    MissingExtraError,
    MissingStoreError,
    QueueNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DONE: Final = 0
FOUND: Final = 1
"""The command worked, and what it looked for is there: drift, a message that failed."""
MISUSED: Final = 2
"""Wrong arguments, a wrong URL, a program that cannot be connected as it is. argparse exits with this too."""
FAILED: Final = 3
"""The broker or the recipient list failed, or refused."""
STUCK: Final = 4
"""Handlers of `busframe run` did not end when told to stop."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells have it."""

EXIT_CODES: Final = (
    "exit codes: 0 done; 1 done, and something was found or failed; 2 wrong use; 3 the broker failed or refused; "
    "130 interrupted"
)


def run(command: Callable[..., Awaitable[int]], *arguments: Any, name: str = "", loop: str = "asyncio") -> int:
    """Run an async command and return its exit code.

    Errors of the bus are said in a line; all others are bugs, in the program or here, and come out with their
    traceback.

    Args:
        command: what to run.
        arguments: for it.
        name: of the command, which stands before what it complains of.
        loop: asyncio or trio.
    """
    try:
        if loop == "trio" and find_spec("trio") is None:
            raise MissingExtraError(package="trio", extra="trio", needed_for="--loop trio")
        return anyio.run(command, *arguments, backend=loop)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        fall_silent()
        return DONE
    except BusframeError as error:
        return explain(error, name=name)


def explain(error: BusframeError, *, name: str = "") -> int:
    """Say what went wrong, and return the exit code for it."""
    speaker = f"busframe {name}".rstrip()
    complain(f"{speaker}: {error}{_advice(error)}")
    return MISUSED if isinstance(error, ConfigurationError) else FAILED


def _advice(error: BusframeError) -> str:
    if isinstance(error, QueueNotFoundError):
        return "; `busframe stats` names the queues there are"
    if isinstance(error, MissingStoreError):
        return f"; on this command line it is --{error.parameter}, or BUSFRAME_{error.parameter.upper()}"
    if isinstance(error, BackendError) and error.retryable:
        return "; trying again may help"
    return ""
