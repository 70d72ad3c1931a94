"""The one place where the bus meets its surroundings: clock, sleep, chance, new identifiers, blocking calls.

Everything else in `busframe` asks here, so that virtual time and a seed reach all of it.
"""

from __future__ import annotations

import random as _random
import time
import uuid
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")


def now_s() -> float:
    """Seconds on the event loop's clock: never goes back, starts anywhere, virtual where the loop's is."""
    return anyio.current_time()


def wall_s() -> float:
    """Seconds since 1970."""
    return time.time()


async def sleep(delay_s: float) -> None:
    """Wait on the event loop's clock."""
    await anyio.sleep(delay_s)


def random() -> float:
    """A number from 0 up to, not including, 1."""
    return _random.random()  # noqa: S311 - jitter, not a secret


def new_id() -> str:
    """A fresh identifier: 32 hexadecimal digits."""
    return uuid.uuid4().hex


async def run_blocking(
    function: Callable[[], R], *, limiter: anyio.CapacityLimiter | None = None, abandon: bool = False
) -> R:
    """Run a blocking function in a worker thread.

    Args:
        function: must be safe to run beside the event loop.
        limiter: bounds how many run at once; None uses the loop's own.
        abandon: True lets a cancelled caller leave while the thread goes on; then nobody sees its result.
    """
    return await anyio.to_thread.run_sync(function, limiter=limiter, abandon_on_cancel=abandon)
