"""Tasks that are kept for more work, since waking one costs a fraction of starting one.

    crew = Crew(tasks, work, members_max=100)
    crew.call()         # somebody runs work()

A member that returns from its work waits for the next call. What there is to do, the members find out by themselves:
a call says only that there is some. Members see the context variables of whoever made the crew, not of whoever calls.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from busframe import runtime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import anyio
    from anyio.abc import TaskGroup

IDLE_MAX: Final = 128
"""Further members leave when they have nothing to do: after a rush its many tasks need not stay."""


class Crew:
    """Members that share one kind of work.

    Args:
        tasks: runs the members, until it is cancelled or the crew dismissed.
        work: does what there is to do. Returns True if its task may be used again; False has it replaced by another.
        members_max: how many there can be at once.
    """

    __slots__ = ("_context", "_dismissed", "_idle", "_members", "_members_max", "_tasks", "_work")

    def __init__(self, tasks: TaskGroup, work: Callable[[], Awaitable[bool]], *, members_max: int) -> None:
        self._tasks = tasks
        self._work = work
        self._members_max = members_max
        self._context = copy_context()
        self._members = 0
        self._idle: list[runtime.Signal | anyio.Event] = []
        self._dismissed = False

    def call(self) -> bool:
        """Have one more member work; False if all are working already."""
        if self._idle:
            self._idle.pop().set()
            return True
        if self._members == self._members_max:
            return False
        self._members += 1
        self._context.run(self._tasks.start_soon, self._serve)
        return True

    def dismiss(self) -> None:
        """Let idle members go, and the others when they become idle."""
        self._dismissed = True
        while self._idle:
            self._idle.pop().set()

    async def _serve(self) -> None:
        fit = True
        try:
            while (fit := await self._work()) and not self._dismissed and len(self._idle) < IDLE_MAX:
                # The last to become idle is the first to be called: the rest of a crew that is larger than it need
                # be is left alone.
                called = runtime.signal()
                self._idle.append(called)
                await called.wait()
        finally:
            self._members -= 1
        if not (fit or self._dismissed):
            self.call()
