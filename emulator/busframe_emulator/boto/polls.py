"""Receives that wait, and how a thread waits for one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from busframe_emulator.api.receiving import show_deliveries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe_emulator.api.receiving import Waiting
    from busframe_emulator.api.results import Messages
    from busframe_emulator.boto.driver import Driver
    from busframe_emulator.engine.requests import Delivery


class Poll(ABC):
    """A receive that waits. All but the waiting itself happens under the driver's lock.

    Attributes:
        waiter: its number in the engine.
        caller: the thread or task that waits.
        answer: None until it is answered.
        patience_us: of a manual clock's driver: the real time until which it waits.
    """

    def __init__(self, waiting: Waiting) -> None:
        self.waiter, self._request = waiting
        self.caller = self.current()
        self.answer: Messages | None = None
        self.patience_us = 0

    def answer_with(self, deliveries: Sequence[Delivery]) -> None:
        """End the wait."""
        self.answer = show_deliveries(self._request, deliveries)
        self.wake()

    @staticmethod
    @abstractmethod
    def current() -> object:
        """The thread or task that is calling."""

    @staticmethod
    @abstractmethod
    def is_alive(caller: object) -> bool:
        """Whether a caller, as `current` named it, may call again."""

    @abstractmethod
    def wake(self) -> None:
        """Let it look again. From any thread."""

    @abstractmethod
    def drowse(self) -> None:
        """Forget the calls to wake that came so far."""


class ThreadPoll(Poll):
    """A receive for which a thread waits."""

    def __init__(self, waiting: Waiting) -> None:
        super().__init__(waiting)
        self._event = threading.Event()

    @staticmethod
    def current() -> object:
        """The thread."""
        return threading.current_thread()

    @staticmethod
    def is_alive(caller: object) -> bool:
        """Whether the thread has not ended."""
        return isinstance(caller, threading.Thread) and caller.is_alive()

    def wake(self) -> None:
        """Let the thread look again."""
        self._event.set()

    def drowse(self) -> None:
        """Forget the calls to wake that came so far."""
        self._event.clear()

    def wait(self, driver: Driver) -> Messages | None:
        """Block this thread until the receive is answered."""
        try:
            while (rest_s := driver.look(self)) is not None:
                self._event.wait(rest_s)
        finally:
            driver.abandon(self)
        return self.answer
