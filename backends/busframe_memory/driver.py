"""Drives the engine on an event loop: its clock, its timer, and the receives that wait.

The engine neither waits nor knows the time. This file hands it the loop's time, sleeps until something falls due, and
wakes the task whose receive was answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, overload

import anyio

from busframe import runtime
from busframe_emulator.engine.requests import ChangeVisibility, Parked

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.engine import Engine
    from busframe_emulator.engine.inspection import MessagesSeen
    from busframe_emulator.engine.requests import Deliveries, Receive, Reply, Request, Send, Sent
    from busframe_emulator.engine.settings import QueueAddress

R = TypeVar("R")

_SECOND_US = 1_000_000
_NEVER = float("inf")


class _Parking:
    """A receive that waits: the event that ends the wait, and then its answer."""

    __slots__ = ("answer", "answered")

    def __init__(self) -> None:
        self.answered = anyio.Event()
        self.answer: Deliveries | None = None


class EngineDriver:
    """One engine on one event loop.

    `run` has to run for as long as calls are made: it is what makes time pass.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._timers = engine.timers
        self._parked: dict[int, _Parking] = {}
        # The loop's clock starts anywhere; messages carry times since 1970.
        self._clock = runtime.clock()
        self._epoch_us = int((runtime.wall_s() - self._clock()) * _SECOND_US)
        self._planned_us: float = _NEVER
        self._replan = anyio.Event()

    def now_us(self) -> int:
        """Microseconds since 1970, on the loop's clock."""
        return int(self._clock() * _SECOND_US) + self._epoch_us

    @overload
    def apply(self, request: Send) -> Sent: ...
    @overload
    def apply(self, request: Request) -> Reply: ...
    def apply(self, request: Request) -> Reply:
        """Ask the engine something that is answered at once."""
        engine = self._engine
        reply = engine.apply(int(self._clock() * _SECOND_US) + self._epoch_us, request)
        if engine.answers or self._timers.earliest_us < self._planned_us:
            self._settle()
        return reply

    async def receive(self, request: Receive) -> Deliveries:
        """Ask for messages, and wait for them if need be. Cancelled, what was taken all the same is given back."""
        reply = self._engine.apply(self.now_us(), request)
        self._settle()
        return await self.wait(request.queue, reply.waiter) if isinstance(reply, Parked) else reply

    def perform(self, ask: Callable[[Engine, int], R]) -> R:
        """Let somebody ask the engine something at its time, and see to what comes of it."""
        try:
            return ask(self._engine, self.now_us())
        finally:
            self._settle()

    async def wait(self, queue: QueueAddress, waiter: int) -> Deliveries:
        """Wait for the answer of a receive that waits. Cancelled, what was taken all the same is given back."""
        parking = self._parked[waiter] = _Parking()
        try:
            await parking.answered.wait()
        except BaseException:
            if parking.answer is None:
                self._engine.cancel(waiter)
            else:
                # It arrived in the same instant as the cancellation.
                for delivery in parking.answer.deliveries:
                    self.apply(ChangeVisibility(queue=queue, receipt=delivery.receipt, visibility_us=0))
            raise
        finally:
            self._parked.pop(waiter, None)
        assert parking.answer is not None  # noqa: S101 - the event is set after the answer
        return parking.answer

    def inspect(self, queue: QueueAddress, *, after: int, limit: int) -> MessagesSeen:
        """See messages without touching them."""
        from busframe_emulator.engine.inspection import inspect_messages  # most programs never do

        seen = inspect_messages(self._engine, self.now_us(), queue, after=after, limit=limit)
        self._settle()
        return seen

    def advance(self, seconds: float) -> None:
        """Let time jump forward; what falls due on the way happens."""
        self._epoch_us += int(seconds * _SECOND_US)
        self._engine.advance(self.now_us())
        self._settle()

    async def run(self) -> None:
        """Advance the engine whenever something is due. Runs until cancelled."""
        while True:
            self._replan = anyio.Event()
            due_us = self._engine.next_due()
            self._planned_us = _NEVER if due_us is None else due_us
            if due_us is None:
                await self._replan.wait()
                continue
            with anyio.move_on_after((due_us - self.now_us()) / _SECOND_US):
                await self._replan.wait()
            self._engine.advance(self.now_us())
            self._settle()

    def _settle(self) -> None:
        """Hand out answers, and let `run` know if something is due earlier than it thinks."""
        if self._engine.answers:
            for number, answer in self._engine.take_answers():
                parking = self._parked.get(number)
                if parking is not None:
                    parking.answer = answer
                    parking.answered.set()
        due_us = self._engine.next_due()
        if due_us is not None and due_us < self._planned_us:
            self._planned_us = due_us
            self._replan.set()
