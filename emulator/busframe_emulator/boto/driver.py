"""Drives one engine for many threads and tasks: one at a time, each with the time of its turn.

There is no thread of the driver's own. When something falls due while nobody calls, it can matter only to those who
wait for a message; so these are who keep the time: each waits until the engine's next due time, and then moves the
engine on.

On a manual clock nothing falls due by itself, and a receive that waits is answered by what another thread does: it
sends, or moves the clock. Where no other can, because all who ever called are gone or wait as well, the clock moves by
itself to what is due next, as often as it takes. A test with one thread is thus never stuck: a long poll takes no
real time, and as much of the clock's as SQS would. Should the others be there but do nothing, the receive is answered
empty after `PATIENCE_S` of real time, and the clock stays.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakKeyDictionary

from busframe_emulator.api.receiving import Waiting
from busframe_emulator.api.service import require_queue
from busframe_emulator.boto.polls import Poll
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.server.clock import Clock

if TYPE_CHECKING:
    from busframe_emulator.api.actions import Input
    from busframe_emulator.api.caller import Caller
    from busframe_emulator.api.results import AnyResult
    from busframe_emulator.api.service import Action
    from busframe_emulator.engine import Engine

PATIENCE_S: Final = 20
"""No receive waits longer in real time. Amazon SQS API, ReceiveMessage: the most that WaitTimeSeconds can be."""

_SECOND_US: Final = 1_000_000
_NEVER_US: Final = 1 << 62
_LOOK_AGAIN_S: Final = 0.05
"""How soon a receive on a manual clock sees that the others have ended, for that wakes nobody."""

Kind = TypeVar("Kind", bound=Poll)


class Driver:
    """One engine, safe for threads.

    Args:
        engine: driven by nobody else.
        manual: whether its time stands still, from the present on, until it is moved.
    """

    def __init__(self, engine: Engine, *, manual: bool) -> None:
        self._engine = engine
        self._clock = Clock(manual=manual)
        self._real = Clock()
        self._lock = threading.Lock()
        self._closed = False
        self._polls: dict[int, Poll] = {}
        self._watched_us = _NEVER_US
        self._callers: WeakKeyDictionary[object, type[Poll]] = WeakKeyDictionary()

    def perform(self, action: Action, caller: Caller, request: Input, kind: type[Kind]) -> AnyResult | Kind:
        """Do what is asked: the result, or the poll that the caller then waits for.

        Raises:
            SqsError: refused.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("This SQS is closed: its `with` block has ended.")
            if self._clock.manual:
                self._callers[kind.current()] = kind
            now_us = self._clock.now_us()
            try:
                result = action.handle(self._engine, caller, now_us, request)
                # Parked before answers are handed out, since its own may be among them.
                return self._park(kind(result)) if isinstance(result, Waiting) else result
            except SqsError:
                require_queue(self._engine, caller, now_us, request)
                raise
            finally:
                self._follow_up()

    def look(self, poll: Poll) -> float | None:
        """Move the engine on for one who waits: the seconds until it should look again, None when it is answered."""
        with self._lock:
            poll.drowse()
            if poll.answer is None:
                self._run(self._clock.now_us())
            if self._clock.manual:
                return self._look_by_hand(poll)
            return self._until_due_s() if poll.answer is None else None

    def abandon(self, poll: Poll) -> None:
        """Whoever waited waits no longer. Fine if the poll was answered."""
        with self._lock:
            if self._polls.pop(poll.waiter, None) is not None:
                self._engine.cancel(poll.waiter)

    def advance(self, seconds: float) -> None:
        """Move the clock on, do what then is due, and let those who wait see what time it is."""
        with self._lock:
            self._clock.advance(seconds)
            self._run(self._clock.now_us())
            self._wake_all()

    def close(self) -> None:
        """Answer those who wait with nothing, and refuse whatever is asked from now on."""
        with self._lock:
            self._closed = True
            for poll in self._polls.values():
                self._engine.cancel(poll.waiter)
                poll.answer_with(())
            self._polls.clear()

    # --- under the lock ---------------------------------------------------------------------------------------------

    def _park(self, poll: Kind) -> Kind:
        poll.patience_us = self._real.now_us() + PATIENCE_S * _SECOND_US
        self._polls[poll.waiter] = poll
        return poll

    def _run(self, now_us: int) -> None:
        self._engine.advance(now_us)
        self._hand_out()

    def _hand_out(self) -> None:
        for waiter, reply in self._engine.take_answers():
            self._polls.pop(waiter).answer_with(reply.deliveries)

    def _follow_up(self) -> None:
        """After the engine did something: answers go out, and if something is due earlier, those who wait know it."""
        if self._engine.answers:
            self._hand_out()
        if self._polls and self._due_us() < self._watched_us:
            self._wake_all()

    def _wake_all(self) -> None:
        for poll in self._polls.values():
            poll.wake()

    def _due_us(self) -> int:
        due_us = self._engine.next_due()
        return _NEVER_US if due_us is None else due_us

    def _until_due_s(self) -> float:
        self._watched_us = self._due_us()
        return max(self._watched_us - self._clock.now_us(), 0) / _SECOND_US

    def _look_by_hand(self, poll: Poll) -> float | None:
        while poll.answer is None and self._all_wait():
            self._clock.advance(self._until_due_s())
            self._run(self._clock.now_us())
        if poll.answer is None and self._real.now_us() >= poll.patience_us:
            self._polls.pop(poll.waiter)
            self._engine.cancel(poll.waiter)
            poll.answer_with(())
        return _LOOK_AGAIN_S if poll.answer is None else None

    def _all_wait(self) -> bool:
        """Whether every thread and task that ever called, and still lives, waits for a message."""
        waiting = {poll.caller for poll in self._polls.values()}
        return not any(kind.is_alive(caller) for caller, kind in self._callers.items() if caller not in waiting)
