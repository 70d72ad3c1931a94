"""The one place where the bus meets its surroundings: clock, sleep, chance, new identifiers, blocking calls.

Everything else in `busframe` asks here, so that virtual time and a seed reach all of it.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import random as _random
import socket
import time
from contextlib import asynccontextmanager, suppress
from itertools import repeat
from operator import add
from types import coroutine
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator

    from anyio.abc import TaskGroup

R = TypeVar("R")


class Ids:
    """Fresh identifiers. Those in a row differ in their first two digits only: drawing and writing takes long.

    Args:
        chance: what they are drawn from.
    """

    __slots__ = ("_chance", "_ready")

    def __init__(self, chance: _random.Random) -> None:
        self._chance = chance
        self._ready: Iterator[str] = iter(())

    def new(self) -> str:
        """Take one. From several threads at once, too: each takes from one iterator, or from one of its own."""
        name = next(self._ready, None)
        if name is None:
            ready = map(add, _FIRST_DIGITS, repeat(f"{self._chance.getrandbits(120):030x}"))
            name = next(ready)
            self._ready = ready
        return name

    def begin_anew(self) -> None:
        """Forget what was ready, and what the generator began with."""
        self._chance.seed()
        self._ready = iter(())


_FIRST_DIGITS: Final = tuple(f"{number:02x}" for number in range(256))
# A generator of its own: a program that seeds the global one, in every worker with the same seed, must not give the
# same ids twice.
_ids = Ids(_random.Random())  # noqa: S311 - names, not secrets
# Copied into a forked process it would go on alike in both.
os.register_at_fork(after_in_child=_ids.begin_anew)


def now_s() -> float:
    """Seconds on the event loop's clock: never goes back, starts anywhere, virtual where the loop's is."""
    return anyio.current_time()


def wall_s() -> float:
    """Seconds since 1970."""
    return time.time()


def iso_time(at_s: float) -> str:
    """A time in UTC, to the second, as ISO 8601 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def clock() -> Callable[[], float]:
    """What `now_s` reads in the running event loop: for those who ask it more often than anyone can look it up."""
    loop = _asyncio_loop()
    if loop is None:
        return anyio.current_time
    # What asyncio's own loops do, without a call of Python's for it; a virtual one has a method of its own.
    plain = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
    return time.monotonic if plain else loop.time


def turns() -> Callable[[], Awaitable[None]]:
    """What `anyio.lowlevel.checkpoint` does in the running event loop, for those who do it with every message."""
    return anyio.lowlevel.checkpoint if _asyncio_loop() is None else _turn


@coroutine
def _turn() -> Generator[None, None, None]:
    """Let the other tasks of asyncio's loop have a turn: all that `asyncio.sleep(0)` does."""
    yield


class Signal:
    """What `anyio.Event` is, on asyncio and for a third of the time. Make one with `signal`.

    One task's wait for another is the dearest part of a message that goes from the one to the other.
    """

    __slots__ = ("_loop", "_set", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._set = False
        self._waiting: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._set

    def set(self) -> None:
        """Let all who wait go on, and those to come."""
        self._set = True
        for future in self._waiting:
            if not future.done():  # else its task was cancelled
                future.set_result(None)
        self._waiting.clear()

    def wait(self) -> Awaitable[None]:
        """Wait, unless it was set already; to be awaited at once."""
        future = self._loop.create_future()
        if self._set:
            future.set_result(None)
        else:
            self._waiting.append(future)
        return future


def signal() -> Signal | anyio.Event:
    """Make an event for the running event loop, for the few that are made and waited for with every few messages."""
    loop = _asyncio_loop()
    return anyio.Event() if loop is None else Signal(loop)


def _asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The running event loop, if it is asyncio's."""
    with suppress(RuntimeError):
        if asyncio.current_task() is not None:
            return asyncio.get_running_loop()
    return None


async def sleep(delay_s: float) -> None:
    """Wait on the event loop's clock."""
    await anyio.sleep(delay_s)


def random() -> float:
    """A number from 0 up to, not including, 1."""
    return _random.random()  # noqa: S311 - jitter, not a secret


def new_id() -> str:
    """A fresh identifier: 32 hexadecimal digits."""
    return _ids.new()  # uuid4 asks the operating system each time


def machine() -> tuple[str, int]:
    """The name of this machine and the number of this process."""
    return socket.gethostname(), os.getpid()


def who(program: str) -> str:
    """Name this process for the records of others: the program, the user, the machine, the process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = str(os.getuid())
    return f"{program} {user}@{socket.gethostname()}:{os.getpid()}"


@asynccontextmanager
async def background_tasks() -> AsyncGenerator[TaskGroup, None]:
    """Open a task group for tasks that serve the body: they are cancelled when it ends.

    What the body raises comes out as it is, where a bare task group would wrap it in an ExceptionGroup.
    """
    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - raised again below
            failure = error
        finally:
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def run_blocking(function: Callable[[], R], *, limiter: anyio.CapacityLimiter | None = None) -> R:
    """Run a blocking function in a worker thread.

    Args:
        function: must be safe to run beside the event loop.
        limiter: bounds how many run at once; None uses the loop's own.
    """
    return await anyio.to_thread.run_sync(function, limiter=limiter)
