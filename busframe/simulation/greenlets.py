"""Code that blocks, in virtual time: its task waits in its place.

A function that blocks (boto3, `time.sleep`, whatever a program leaves to a thread) runs in a greenlet of its own. Where
it would block, the greenlet stands still, and the task that called it awaits what the function waits for. So nothing is
run at once with anything else, time passes while it waits, and a node that is killed dies in the midst of it.

    await run_blocking(function, "an argument")     in a task
    wait_for(lambda: anyio.sleep(1))                in the function

A task that is cancelled raises its cancellation inside of the function, where it waits, as a signal would end a program
of its own: once. What the function then does to tidy up still works, for as long as a supervisor waits before it kills.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import anyio

from busframe import runtime
from busframe.simulation.errors import SimulationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

R = TypeVar("R")

GRACE_S: Final = 30.0
"""How long what was asked to end may go on: what Kubernetes and Amazon ECS grant between SIGTERM and SIGKILL."""

_blocking: Final[set[Any]] = set()
"""The greenlets that are running functions."""


async def run_blocking(function: Callable[..., R], /, *args: Any) -> R:
    """Run a function that blocks.

    Raises:
        SimulationError: greenlet is not installed.
        BaseException: whatever the function raises.
    """
    green = _greenlet()
    task = green.greenlet(partial(function, *args))
    # It sees what its task sees, and what it sets is its own, as in a thread.
    task.gr_context = copy_context()
    _blocking.add(task)
    try:
        wanted = task.switch()
        until_s: float | None = None
        while not task.dead:
            step = partial(_awaited, wanted, until_s)
            try:
                value = await step()
            except BaseException as error:  # noqa: BLE001 - it is the function's
                if until_s is None and isinstance(error, anyio.get_cancelled_exc_class()):
                    until_s = runtime.now_s() + GRACE_S
                wanted = task.throw(error)
            else:
                wanted = task.switch(value)
        return cast("R", wanted)
    finally:
        _blocking.discard(task)


@cache
def can_block() -> bool:
    """Whether greenlet is installed."""
    return find_spec("greenlet") is not None


def is_blocking() -> bool:
    """Whether whoever asks is a function that may block here."""
    return bool(_blocking) and _greenlet().getcurrent() in _blocking


def wait_for(step: Callable[[], Awaitable[R]]) -> R:
    """Block until something is done. Only where `is_blocking`.

    Args:
        step: awaited by the task.
    """
    current: Any = _greenlet().getcurrent()
    return cast("R", current.parent.switch(step))


async def run_program(program: Callable[..., object], /, *args: Any) -> None:
    """Run a program, async or one that blocks."""
    # A function that is not async may still return something to await, as a lambda around one does.
    result = program(*args) if _is_async(program) or not can_block() else await run_blocking(program, *args)
    if isawaitable(result):
        await result


def _is_async(program: Callable[..., object]) -> bool:
    while isinstance(program, partial):
        program = program.func
    return iscoroutinefunction(program) or iscoroutinefunction(getattr(program, "__call__", None))  # noqa: B004 - which kind


async def _awaited(step: Callable[[], Awaitable[object]], until_s: float | None) -> object:
    if until_s is None:
        return await step()
    with anyio.CancelScope(shield=True, deadline=until_s):
        return await step()
    await anyio.lowlevel.checkpoint()
    raise SimulationError(f"what was asked to end is still at work {GRACE_S:g} s later")


@cache
def _greenlet() -> Any:
    try:
        return import_module("greenlet")
    except ImportError as error:
        raise SimulationError("code that blocks needs greenlet here: pip install 'busframe[simulation]'") from error
