"""One history, run through the engine alone, with any chooser: what it tells and how it stands.

As a program it prints a fingerprint of what the engine told: `python -m engine.solo SEED LENGTH`, in `tests`.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import TYPE_CHECKING
from zlib import crc32

from engine.asking import request_for, time_after
from engine.histories import LIMITS, QUEUES, Cancel, Pass, Stop, random_history, settings_of
from engine.world import START_US, us

from busframe_emulator.delivery import CALM
from busframe_emulator.engine import Engine, Ids, Limits, QueueAddress, SqsError
from busframe_emulator.engine.requests import (
    CancelMove,
    CreateQueue,
    Deliveries,
    GetQueue,
    ListMoves,
    Parked,
    Receive,
    SetQueue,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.histories import QueuePlan, Step

    from busframe_emulator.delivery import Chooser
    from busframe_emulator.engine.changes import Changes
    from busframe_emulator.engine.events import Event
    from busframe_emulator.engine.requests import Request


class Keyed:
    """Answers at random, but the same to the same question: one in four, where `always` does not have the site."""

    def __init__(self, seed: int, always: Sequence[str] = ()) -> None:
        self._seed = seed
        self._always = always

    def ask(self, site: str, key: tuple[str | int, ...]) -> int | None:
        number = crc32(f"{self._seed} {site} {key}".encode())
        if number % 4 and site not in self._always:
            return None
        # Mostly small numbers, some beyond any bound and some below it.
        return (number >> 4) % 5 - 1 if number % 3 else (number >> 4) % us(100)


class Solo:
    """An engine and who called it."""

    def __init__(
        self,
        plans: Sequence[QueuePlan],
        *,
        chooser: Chooser = CALM,
        tick_by_tick: bool = False,
        changes: Changes | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self.now_us = START_US
        self.events: list[Event] = []
        self.replies: list[str] = []
        self.engine = Engine(ids=Ids(1), chooser=chooser, limits=limits, sink=self.events.append, changes=changes)
        self._tick_by_tick = tick_by_tick
        self._settings = [settings_of(index, plan) for index, plan in enumerate(plans)]
        self._receipts: list[tuple[QueueAddress, str]] = []
        self._waiters: dict[int, QueueAddress] = {}
        for where, settings in zip(QUEUES, self._settings, strict=True):
            made = {name: value for name, value in settings.items() if name != "redrive"}
            self._ask(CreateQueue(queue=where, settings=made))
        for where, settings in zip(QUEUES, self._settings, strict=True):
            self._ask(SetQueue(queue=where, settings={"redrive": settings.get("redrive")}))

    def take(self, step: Step) -> None:
        """Take a step; refusals are replies like any other."""
        match step:
            case Pass(for_us):
                self._advance(time_after(self.now_us, for_us, self.engine.next_due()))
            case Cancel(waiter):
                numbers = list(self._waiters)
                if waiter < len(numbers):
                    self.engine.cancel(numbers[-1 - waiter])
            case Stop(queue):
                self._stop(QUEUES[queue])
            case _:
                request = request_for(step, self._receipts, self._settings)
                if request is not None:
                    self._ask(request)
        for number, answer in self.engine.take_answers():
            self._receive(self._waiters[number], answer)

    def leave(self) -> None:
        """All who wait go away."""
        for number in self._waiters:
            self.engine.cancel(number)
        self._waiters.clear()

    def counts(self) -> list[tuple[int, int, int] | None]:
        """Visible, in flight and delayed, of each queue that is there."""
        counts: list[tuple[int, int, int] | None] = []
        for where in QUEUES:
            try:
                view = self.engine.apply(self.now_us, GetQueue(queue=where))
            except SqsError:
                counts.append(None)
            else:
                counts.append((view.visible, view.in_flight, view.delayed))
        return counts

    def _advance(self, to_us: int) -> None:
        if self._tick_by_tick:
            while (due_us := self.engine.next_due()) is not None and due_us <= to_us:
                self.engine.advance(due_us)
        self.now_us = to_us
        self.engine.advance(to_us)

    def _stop(self, where: QueueAddress) -> None:
        try:
            tasks = self.engine.apply(self.now_us, ListMoves(source=where)).tasks
        except SqsError:
            return
        for task in tasks:
            self._ask(CancelMove(source=where, task_id=task.task_id))

    def _ask(self, request: Request) -> None:
        try:
            reply = self.engine.apply(self.now_us, request)
        except SqsError as error:
            self.replies.append(repr(error))
            return
        self.replies.append(repr(reply))
        if isinstance(request, Receive):
            if isinstance(reply, Parked):
                self._waiters[reply.waiter] = request.queue
            elif isinstance(reply, Deliveries):
                self._receive(request.queue, reply)

    def _receive(self, where: QueueAddress, answer: Deliveries) -> None:
        self.replies.append(repr(answer))
        self._receipts += [(where, delivery.receipt) for delivery in answer.deliveries]


def run_alone(seed: int, length: int, *, chooser: Chooser = CALM, tick_by_tick: bool = False) -> Solo:
    """Run a random history to its end, and then until nothing is due for a day."""
    history = random_history(seed, length)
    solo = Solo(history.plans, chooser=chooser, tick_by_tick=tick_by_tick)
    for step in history.steps:
        solo.take(step)
    solo.now_us += us(86_400)
    solo.engine.advance(solo.now_us)
    return solo


def fingerprint(solo: Solo) -> str:
    """Everything told and replied, in short."""
    return sha256(repr((solo.events, solo.replies)).encode()).hexdigest()


if __name__ == "__main__":
    seed, length = int(sys.argv[1]), int(sys.argv[2])
    sys.stdout.write(fingerprint(run_alone(seed, length, chooser=Keyed(seed))))
