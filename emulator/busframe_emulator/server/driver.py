"""Drives the engine: hands it the time, wakes it when something is due, and knows who waits for an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from busframe_emulator.api.receiving import Waiting, show_deliveries
from busframe_emulator.api.service import require_queue
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.server.metrics import HOLDS_MANY

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle  # noqa: TID251 - the server is what owns the loop
    from collections.abc import Sequence

    from busframe_emulator.api.actions import Input, ReceiveMessage
    from busframe_emulator.api.caller import Caller
    from busframe_emulator.api.results import AnyResult
    from busframe_emulator.api.service import Action
    from busframe_emulator.engine import Engine
    from busframe_emulator.engine.requests import Deliveries, Delivery
    from busframe_emulator.server.clock import Clock
    from busframe_emulator.server.metrics import Metrics
    from busframe_emulator.wire.message import Response

_SECOND_US: Final = 1_000_000
_NEVER_US: Final = 1 << 62


class Receiver(Protocol):
    """Whoever waits for the answer to a receive."""

    def answer(self, response: Response) -> None:
        """Take the answer."""
        ...


class Wording(Protocol):
    """How answers are put, in the protocol and the terms in which was asked."""

    def encode(self, result: AnyResult, /) -> Response:
        """Put a result."""
        ...

    def encode_error(self, error: SqsError, /) -> Response:
        """Put a refusal."""
        ...


class Pending(NamedTuple):
    """A receive that waits."""

    receiver: Receiver
    request: ReceiveMessage
    wording: Wording

    def show(self, deliveries: Sequence[Delivery]) -> Response:
        """Put its answer."""
        return self.wording.encode(show_deliveries(self.request, deliveries))


class Driver:
    """One engine on one event loop. All methods are for the loop's own thread.

    There is one timer, set to the engine's earliest due time, however many messages and receivers there are.

    Attributes:
        failure: why nothing can be answered any more; None while all is well.
    """

    failure: str | None = None

    def __init__(self, engine: Engine, clock: Clock, loop: AbstractEventLoop, metrics: Metrics) -> None:
        self._engine = engine
        self._clock = clock
        self._loop = loop
        self._metrics = metrics
        self._pending: dict[int, Pending] = {}
        self._timer: TimerHandle | None = None
        self._timer_us = _NEVER_US

    def perform(
        self,
        action: Action,
        caller: Caller,
        request: Input,
        receiver: Receiver,
        wording: Wording,
    ) -> Response | int:
        """Do what is asked: a response, or the number under which the receiver now waits for one.

        Args:
            action: what.
            caller: by whom.
            request: with what.
            receiver: who may have to wait for the answer.
            wording: puts the answer.

        Raises:
            SqsError: refused.
        """
        engine = self._engine
        now_us = self._clock.now_us()
        parked = 0
        answer: Deliveries | None = None
        try:
            result = action.handle(engine, caller, now_us, request)
            if isinstance(result, Waiting):
                parked = result.waiter
        except SqsError:
            require_queue(engine, caller, now_us, request)
            raise
        finally:
            # Also when it was refused: what was due before it has happened.
            if engine.answers:
                answer = self._hand_out(parked)
            due_us = engine.next_due()
            if due_us is not None and due_us < self._timer_us:
                self._set_timer(due_us)
        if isinstance(result, Waiting):
            if answer is not None:
                return wording.encode(show_deliveries(result.request, answer.deliveries))
            self._pending[result.waiter] = Pending(receiver, result.request, wording)
            return result.waiter
        if type(result) in HOLDS_MANY:
            self._metrics.note(result)
        return wording.encode(result)

    @property
    def engine(self) -> Engine:
        """The engine, for those who only look."""
        return self._engine

    @property
    def clock(self) -> Clock:
        """The engine's clock, for those who only read it."""
        return self._clock

    def cancel(self, waiter: int) -> None:
        """The receiver went away, and takes nothing with it."""
        del self._pending[waiter]
        self._engine.cancel(waiter)

    def release_all(self) -> None:
        """Answer everybody who waits with nothing: the server stops."""
        for waiter, pending in list(self._pending.items()):
            self.cancel(waiter)
            pending.receiver.answer(pending.show(()))

    def settled(self, response: Response, receiver: Receiver, wording: Wording) -> Response | int:
        """Give an answer that `perform` did not make, or the number under which the receiver waits until it holds."""
        del receiver, wording  # nothing to wait for: what happens here is not kept
        return response

    def advance(self, seconds: float) -> None:
        """Move the clock on, and do what then is due."""
        self._clock.advance(seconds)
        self._wake()

    def set_manual(self, manual: bool) -> None:  # noqa: FBT001 - as the clock's
        """Stop the clock, or let it run on."""
        self._clock.set_manual(manual)
        self._wake()

    def replace(self, engine: Engine) -> None:
        """Go on with another engine. Who waits in the old one is answered with nothing."""
        self.release_all()
        self._engine = engine
        self._wake()

    async def start(self) -> None:
        """Be ready, before anybody is served."""

    async def aclose(self) -> None:
        """Do nothing any more."""
        self.stop()

    def stop(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        self._engine.advance(self._clock.now_us())
        self._hand_out()
        self._timer_us = _NEVER_US
        due_us = self._engine.next_due()
        if due_us is not None:
            self._set_timer(due_us)

    def _hand_out(self, parked: int = 0) -> Deliveries | None:
        """Answer those who waited. The answer for `parked`, who is about to wait, is returned.

        There is one if a receive shows what it looked for: it dead-letters a message to the queue it receives from.
        """
        answer: Deliveries | None = None
        for waiter, reply in self._engine.take_answers():
            self._metrics.received += len(reply.deliveries)
            if waiter == parked:
                answer = reply
                continue
            self._answer(waiter, self._pending.pop(waiter), reply.deliveries)
        return answer

    def _answer(self, waiter: int, pending: Pending, deliveries: Sequence[Delivery]) -> None:
        del waiter  # known by it to those who hold answers back
        pending.receiver.answer(pending.show(deliveries))

    def _set_timer(self, due_us: int) -> None:
        # An earlier time replaces the timer. When what was due earliest is cancelled the timer stays: it then finds
        # nothing to do and sets itself anew, which costs less than watching every cancellation.
        if self._timer is not None:
            self._timer.cancel()
        if self._clock.manual:
            return
        delay_s = (due_us - self._clock.now_us()) / _SECOND_US
        self._timer = self._loop.call_later(max(delay_s, 0.0), self._wake)
        self._timer_us = due_us
