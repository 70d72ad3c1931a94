"""How an asyncio task waits for a receive. Loaded only where aiobotocore is used."""

from __future__ import annotations

import asyncio  # noqa: TID251 - aiobotocore is made of it
from contextlib import suppress
from typing import TYPE_CHECKING

from busframe_emulator.boto.polls import Poll

if TYPE_CHECKING:
    from busframe_emulator.api.receiving import Waiting
    from busframe_emulator.api.results import Messages
    from busframe_emulator.boto.driver import Driver


class TaskPoll(Poll):
    """A receive for which an asyncio task waits."""

    def __init__(self, waiting: Waiting) -> None:
        super().__init__(waiting)
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @staticmethod
    def current() -> object:
        """The task."""
        return asyncio.current_task()

    @staticmethod
    def is_alive(caller: object) -> bool:
        """Whether the task has not ended."""
        return isinstance(caller, asyncio.Task) and not caller.done()

    def wake(self) -> None:
        """Let the task look again."""
        self._loop.call_soon_threadsafe(self._event.set)

    def drowse(self) -> None:
        """Forget the calls to wake that came so far."""
        self._event.clear()

    async def wait(self, driver: Driver) -> Messages | None:
        """Wait until the receive is answered. Cancelled, it takes nothing with it."""
        try:
            while (rest_s := driver.look(self)) is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest_s):
                        await self._event.wait()
        finally:
            driver.abandon(self)
        return self.answer
