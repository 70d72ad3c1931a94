"""For the time of a run the program sees virtual time and a seed wherever it looks, and is refused the rest by name.

What is exchanged: all clocks (`clocks`), whatever is random (`chance`), and the ways to a thread. What is refused:
threads (or they are run at once, in place), sleeping without awaiting, sockets, processes. Each is put back at the end.
A program that took such a function out of its module before the run (`from time import time`) keeps the real one;
running a seed twice shows that.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - one of the ways to a thread
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from busframe import runtime
from busframe.simulation.chance import exchange_chance
from busframe.simulation.clocks import exchange_clocks
from busframe.simulation.escapes import escape
from busframe.simulation.greenlets import can_block, is_blocking, run_blocking, wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

R = TypeVar("R")

_INHERITED: Final = object()

Threads = Literal["forbid", "inline"]
"""What becomes of a function that is to run in a thread: it is refused, or run by its task.

Where greenlet is installed, it may then block (`greenlets`)."""

_MACHINE: Final = 0x0200_0000_0001
"""What `uuid.uuid1` takes for the machine's address: one of those that nobody is given."""


@contextmanager
def sealed(
    now_s: Callable[[], float],
    *,
    seed: int,
    threads: Threads,
    sleep: Callable[[float], Awaitable[None]] | None = None,
) -> Generator[None, None, None]:
    """Exchange and refuse; see the head of this file.

    Args:
        now_s: virtual seconds since the start of the run.
        seed: of everything that is random to the program itself.
        threads: what becomes of functions that are to run in threads.
        sleep: the event loop's own way to wait for virtual seconds; None: the one that all loops have.
    """
    to_thread = _in_place if threads == "inline" else _refuse_thread
    with ExitStack() as patches:
        exchange = _Exchange()
        patches.callback(exchange.undo)
        exchange_clocks(exchange, patches, now_s)
        exchange(time, "sleep", _sleep)
        exchange(os, "urandom", exchange_chance(exchange, patches, seed).random_bytes)
        for name, value in (("_generate_time_safe", None), ("_node", _MACHINE), ("_last_timestamp", None)):
            exchange(uuid, name, value)  # of uuid1: else that asks the C library, and goes on from the run before
        exchange(runtime, "now_s", now_s)  # the same, with less asking around
        if sleep is not None:
            exchange(runtime, "sleep", sleep)  # likewise
        # What the bus itself has done in threads is short: SQLite's calls for an inbox.
        exchange(runtime, "run_blocking", _run_blocking_in_place)
        exchange(anyio.to_thread, "run_sync", to_thread("anyio.to_thread.run_sync"))
        exchange(asyncio, "to_thread", to_thread("asyncio.to_thread"))
        if trio := sys.modules.get("trio"):
            exchange(trio.to_thread, "run_sync", to_thread("trio.to_thread.run_sync"))
        exchange(anyio.from_thread, "run", _run_from_thread)
        exchange(anyio.from_thread, "run_sync", _run_sync_from_thread)
        if boto := sys.modules.get("busframe_emulator.boto.driver"):
            exchange(
                boto.Driver,
                "perform",
                _refuse("an EmulatedSqs", "its calls miss the simulation; take sim.boto3_client()"),
            )
        exchange(threading.Thread, "start", _refuse("threading.Thread.start", "threads do not know virtual time"))
        network = "there is no network in virtual time; use memory://, or hand in a fake"
        for method in ("connect", "connect_ex", "bind", "listen"):
            exchange(socket.socket, method, _refuse(f"socket.{method}", network))
        exchange(subprocess.Popen, "__init__", _refuse("subprocess.Popen", "processes do not know virtual time"))
        yield


class _Exchange:
    """Exchanges attributes of modules and classes, several dozen for each run."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, str, object]] = []

    def __call__(self, owner: Any, name: str, replacement: object) -> None:
        self._before.append((owner, name, owner.__dict__.get(name, _INHERITED)))
        setattr(owner, name, replacement)

    def undo(self) -> None:
        """Put all back, the last one first."""
        for owner, name, before in reversed(self._before):
            # A method that a class inherits is taken away again, not written down in it.
            if before is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


async def _run_blocking_in_place(function: Callable[[], R], *, limiter: object = None) -> R:  # noqa: ARG001 - as runtime's
    await anyio.lowlevel.checkpoint()
    return function()


def _refuse(what: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(*_args: object, **_options: object) -> NoReturn:
        raise escape(what, instead)

    return refuse


def _sleep(seconds: float) -> None:
    if not is_blocking():
        raise escape("time.sleep", "await anyio.sleep: blocking stops virtual time")
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    wait_for(lambda: runtime.sleep(seconds))


def _run_from_thread(function: Callable[..., Awaitable[R]], *args: Any, token: object = None) -> R:  # noqa: ARG001 - as anyio's
    _require_thread()
    return wait_for(lambda: function(*args))


def _run_sync_from_thread(function: Callable[..., R], *args: Any, token: object = None) -> R:  # noqa: ARG001 - as anyio's
    _require_thread()
    return function(*args)


def _require_thread() -> None:
    if not is_blocking():
        raise RuntimeError("This function can only be run from an AnyIO worker thread")


def _refuse_thread(what: str) -> Callable[..., Any]:
    async def refuse(*_args: object, **_options: object) -> NoReturn:
        await anyio.lowlevel.checkpoint()
        raise escape(what, "threads do not know virtual time; threads='inline' runs the function in its task")

    return refuse


def _in_place(what: str) -> Callable[..., Any]:
    hands_on = what.startswith("asyncio")

    async def run(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        call = partial(function, *args, **(options if hands_on else {}))
        return await run_blocking(call) if can_block() else call()

    return run
