"""Blocking calls in worker threads, which outlive those who wait for them.

A thread cannot be stopped. So a call runs in a task of the backend's own task group, and its caller waits beside it:
a cancelled caller leaves at once, the call goes on, and the task group does not end before it. What is to happen to
an answer that nobody waits for any more is the business of whoever started the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from busframe import runtime
from busframe.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

R = TypeVar("R")


class Call(Generic[R]):
    """One blocking call. `serve` runs it; `result` waits for it, again and again if need be.

    Args:
        function: what to call.
        limiter: bounds how many run at once. A call that is still queued when its last caller leaves is dropped.
    """

    def __init__(self, function: Callable[[], R], limiter: anyio.CapacityLimiter) -> None:
        self._function = function
        self._limiter = limiter
        self._waiting = 0
        self._started = False
        self._ended = anyio.Event()
        self._answers: list[R] = []
        self._failure: Exception = ClosedError("the sqs:// backend was closed before the call was made")

    @property
    def wanted(self) -> bool:
        """Somebody waits for the answer."""
        return self._waiting > 0

    @property
    def under_way(self) -> bool:
        """The thread is at it."""
        return self._started and not self.ended

    @property
    def ended(self) -> bool:
        """`result` does not wait any more."""
        return self._ended.is_set()

    async def serve(self) -> None:
        """Make the call. Cancelled, a queued call is dropped, and one under way is waited for."""
        try:
            self._answers.append(await runtime.run_blocking(self._run, limiter=self._limiter))
        except Exception as error:  # noqa: BLE001 - it is the waiting caller's
            self._failure = error
        finally:
            self._ended.set()

    async def result(self) -> R:
        """Wait for the answer. Safe to cancel, and to call from several tasks."""
        self._waiting += 1
        try:
            await self._ended.wait()
        finally:
            self._waiting -= 1
        if self._answers:
            return self._answers[0]
        raise self._failure

    def take(self) -> R | None:
        """Hand over an answer that nobody waited for."""
        return self._answers.pop() if self._answers else None

    def close(self) -> None:
        """Send those who wait away with `ClosedError`. The call itself goes on."""
        self._failure = ClosedError("the sqs:// backend was closed meanwhile")
        self._ended.set()

    def _run(self) -> R:
        # In the thread. A call is either seen as wanted and marked as started, or never made: whoever finds it
        # neither wanted nor under way must not count on it.
        if not self.wanted:
            raise ClosedError("nobody waits for this call any more")
        self._started = True
        return self._function()


async def run_call(tasks: TaskGroup, function: Callable[[], R], limiter: anyio.CapacityLimiter) -> R:
    """Make a blocking call whose answer is of no use to anybody but the caller."""
    call = Call(function, limiter)
    tasks.start_soon(call.serve)
    return await call.result()
