"""Receivers that wait: who is to be woken when, inside this process and across processes.

Inside the process, the transaction that makes a message visible says so as it commits. For what other processes do,
and for leases and delays that end, the watch asks the database, as long as anybody waits: when something falls due,
when the log was written to, and a few times after that, since the log is written to before its commit can be seen, by
as much as the disk needs. For a disk slower than all of these, and for file systems that tell nothing, it asks once a
second in any case.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import anyio

from busframe import runtime
from busframe.errors import ClosedError, StorageError, UnavailableError
from busframe_sqlite.clock import to_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from busframe.message import QueueName
    from busframe_sqlite.clock import Clock
    from busframe_sqlite.log_watch import LogWatch
    from busframe_sqlite.transactor import Look

_FLUSH_S: Final = 0.003
"""Between a write to the log and the first look: the usual time of a flush. Also what a busy log costs at most."""

_LOOKS_S: Final = (0.002, 0.004, 0.008, 0.016, 0.032, 0.1, 0.3, 1.0)
"""From look to look after a write; the last for ever. Doubling, so that on a slow disk a commit is seen before the time
its flush took has passed again: within 16 ms of a flush that took 33 ms."""


class Line:
    """The receivers of one queue that are prepared to wait: some are trying, the others asleep until there is news.

    Who tries sees for itself what there is. So only sleepers are woken, each for a message; that there was news is told
    to those who try as well, since their try may have come before it.

    Attributes:
        queue: which.
        present: how many there are.
        news: grows whenever there may be something to take that was not there before.
    """

    __slots__ = ("_asleep", "news", "present", "queue")

    def __init__(self, queue: QueueName) -> None:
        self.queue = queue
        self.present = 0
        self.news = 0
        self._asleep: dict[runtime.Signal | anyio.Event, None] = {}  # in the order in which they fell asleep

    async def sleep(self, deadline_s: float) -> bool:
        """Wait until there may be something to take. False: the time came first."""
        alarm = runtime.signal()
        self._asleep[alarm] = None
        try:
            with anyio.CancelScope(deadline=deadline_s):
                await alarm.wait()
                return True
        finally:
            self._asleep.pop(alarm, None)
        if alarm.is_set():
            self.wake(1)  # It leaves without having tried: the next one's turn.
        return False

    def wake(self, count: int) -> None:
        """Say that there is so much to take."""
        if count > 0:
            self.news += 1
        for alarm in list(islice(self._asleep, count)):
            del self._asleep[alarm]
            alarm.set()


class WaitingRoom:
    """All receivers of one backend that wait or may have to, by queue. Belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: dict[QueueName, Line] = {}
        self._due_at_us: dict[QueueName, int] = {}
        self._somebody = anyio.Event()
        self._pause = anyio.CancelScope()

    def enter(self, queue: QueueName) -> Line:
        """Stand in line for messages of a queue, from before the first try on. Whoever enters leaves."""
        line = self._lines.get(queue)
        if line is None:
            line = self._lines[queue] = Line(queue)
            self._somebody.set()
        line.present += 1
        return line

    def leave(self, line: Line) -> None:
        """Stand in line no longer."""
        line.present -= 1
        if not line.present:
            del self._lines[line.queue]
            self._due_at_us.pop(line.queue, None)
            if not self._lines:
                self._somebody = anyio.Event()

    def watched(self) -> Mapping[QueueName, int]:
        """How many are in line, by queue."""
        return {queue: line.present for queue, line in self._lines.items()}

    def tell(self, looks: Mapping[QueueName, Look | None]) -> None:
        """Wake as many as have something to take; note when the next message falls due."""
        for queue, look in looks.items():
            line = self._lines.get(queue)
            if line is None:
                continue  # The last one has left meanwhile.
            line.wake(line.present if look is None else look.ready)
            if look is None or look.due_at_us is None:
                self._due_at_us.pop(queue, None)
            else:
                self._due_at_us[queue] = look.due_at_us
                self._pause.deadline = min(self._pause.deadline, runtime.now_s() + self._until_due_s())

    def wake_all(self) -> None:
        """Let everybody try again."""
        for line in self._lines.values():
            line.wake(line.present)

    async def somebody(self) -> None:
        """Wait until somebody waits."""
        await self._somebody.wait()

    def pause(self, seconds: float) -> anyio.CancelScope:
        """A scope that ends so many seconds from now, or as soon as time makes a message visible that is waited for."""
        self._pause = anyio.CancelScope(deadline=runtime.now_s() + min(seconds, self._until_due_s()))
        return self._pause

    def _until_due_s(self) -> float:
        if not self._due_at_us:
            return float("inf")
        return max(0.0, to_s(min(self._due_at_us.values()) - self._clock.now_us()))


class Watch:
    """Asks for what the others do and for what falls due, as long as anybody waits."""

    def __init__(
        self,
        room: WaitingRoom,
        log: LogWatch,
        look: Callable[[], Awaitable[None]],
        transactions: Callable[[], int],
    ) -> None:
        self._room = room
        self._log = log
        self._look = look
        self._transactions = transactions

    async def run(self) -> None:
        """Until cancelled."""
        looks = 0
        while True:
            await self._room.somebody()
            quiet_s = _LOOKS_S[min(looks, len(_LOOKS_S) - 1)]
            with self._room.pause(quiet_s) as pause:
                await self._log.written()
            if pause.cancelled_caught:
                looks += 1
            else:
                looks = 0
                before = self._transactions()
                await runtime.sleep(_FLUSH_S)
                if self._transactions() != before:
                    continue  # This process is busy itself: each of its transactions looks.
            try:
                await self._look()
            except ClosedError:
                return
            except UnavailableError:
                looks = 0
                await runtime.sleep(_LOOKS_S[0])
            except StorageError:
                self._room.wake_all()  # Each receiver learns it from its own next attempt.
