"""A backend that tells observers of its calls; stands before the real one only where somebody watches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

from busframe import runtime
from busframe.backend import Immediate
from busframe.forwarding import ForwardingBackend
from busframe.message import Failed
from busframe.observing import Called

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.backend import Backend
    from busframe.message import (
        Extension,
        Outgoing,
        QueueName,
        Received,
        SendOutcome,
        Settlement,
        SettleOutcome,
    )
    from busframe.observing import Observers

R = TypeVar("R")

Action = Literal["send", "receive", "settle", "extend"]


class ObservedBackend(ForwardingBackend):
    """See `busframe.backend.Backend` for what the methods do."""

    def __init__(self, inner: Backend, observers: Observers) -> None:
        super().__init__(inner)
        self._observers = observers

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """Send, and tell."""
        return await self._told("send", queue, len(batch), self.inner.send(queue, batch))

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """Receive, and tell."""
        call = self.inner.receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        return await self._told("receive", queue, None, call)

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """Settle, and tell."""
        return await self._told("settle", queue, len(batch), self.inner.settle(queue, batch))

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """Extend, and tell."""
        return await self._told("extend", queue, len(batch), self.inner.extend(queue, batch))

    async def _told(
        self,
        action: Action,
        queue: QueueName,
        asked: int | None,
        call: Awaitable[Sequence[R]],
    ) -> Sequence[R]:
        begun_s = runtime.now_s()
        try:
            outcomes = await call
        except Exception as error:
            self._tell(action, queue, asked or 0, begun_s=begun_s, error=error)
            raise
        # Not of a call that was given up.
        self._tell(action, queue, len(outcomes) if asked is None else asked, begun_s=begun_s, outcomes=outcomes)
        return outcomes

    def _tell(
        self,
        action: Action,
        queue: QueueName,
        entries: int,
        *,
        begun_s: float,
        outcomes: Sequence[object] = (),
        error: Exception | None = None,
    ) -> None:
        failed = sum(isinstance(outcome, Failed) for outcome in outcomes)
        duration_s = runtime.now_s() - begun_s
        self._observers.note(
            Called(action=action, queue=queue, entries=entries, failed=failed, error=error, duration_s=duration_s)
        )


class ObservedImmediateBackend(ObservedBackend):
    """See `busframe.backend.Immediate` for what it does beyond the other."""

    def __init__(self, inner: Backend, immediate: Immediate, observers: Observers) -> None:
        super().__init__(inner, observers)
        self._immediate = immediate

    def send_now(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """Send, and tell."""
        return self._told_now("send", queue, len(batch), partial(self._immediate.send_now, queue, batch))

    def receive_now(self, queue: QueueName, *, limit: int, lease_s: float) -> Sequence[Received]:
        """Receive, and tell."""
        call = partial(self._immediate.receive_now, queue, limit=limit, lease_s=lease_s)
        return self._told_now("receive", queue, None, call)

    def settle_now(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """Settle, and tell."""
        return self._told_now("settle", queue, len(batch), partial(self._immediate.settle_now, queue, batch))

    def _told_now(
        self, action: Action, queue: QueueName, asked: int | None, call: Callable[[], Sequence[R]]
    ) -> Sequence[R]:
        begun_s = runtime.now_s()
        try:
            outcomes = call()
        except Exception as error:
            self._tell(action, queue, asked or 0, begun_s=begun_s, error=error)
            raise
        self._tell(action, queue, len(outcomes) if asked is None else asked, begun_s=begun_s, outcomes=outcomes)
        return outcomes


def observed(backend: Backend, observers: Observers) -> ObservedBackend:
    """Put before a backend what tells observers of its calls, and can answer at once if the backend can."""
    if isinstance(backend, Immediate):
        return ObservedImmediateBackend(backend, backend, observers)
    return ObservedBackend(backend, observers)
