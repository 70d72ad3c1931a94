"""A backend that tells observers of its calls; stands before the real one only where somebody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from busframe import runtime
from busframe.message import Failed
from busframe.observing import Called

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from busframe.backend import Backend, Capabilities, Plan, QueueSpec, QueueStats
    from busframe.ledger import Ledger
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


class ObservedBackend:
    """See `busframe.backend.Backend` for what the methods do."""

    def __init__(self, inner: Backend, observers: Observers) -> None:
        self._inner = inner
        self._observers = observers

    @property
    def capabilities(self) -> Capabilities:
        """As the other's."""
        return self._inner.capabilities

    @property
    def ledger(self) -> Ledger:
        """As the other's."""
        return self._inner.ledger

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """Send, and tell."""
        return await self._told("send", queue, len(batch), self._inner.send(queue, batch))

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """Receive, and tell."""
        call = self._inner.receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        return await self._told("receive", queue, None, call)

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """Settle, and tell."""
        return await self._told("settle", queue, len(batch), self._inner.settle(queue, batch))

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """Extend, and tell."""
        return await self._told("extend", queue, len(batch), self._inner.extend(queue, batch))

    async def provision(self, plan: Plan) -> None:
        """As the other's."""
        await self._inner.provision(plan)

    async def stats(self, queue: QueueName) -> QueueStats:
        """As the other's."""
        return await self._inner.stats(queue)

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """As the other's."""
        return await self._inner.describe(queue)

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        """As the other's."""
        return await self._inner.list_queues(prefix)

    async def purge(self, queue: QueueName) -> None:
        """As the other's."""
        await self._inner.purge(queue)

    async def remove(self, queue: QueueName) -> None:
        """As the other's."""
        await self._inner.remove(queue)

    async def _told(
        self,
        action: Literal["send", "receive", "settle", "extend"],
        queue: QueueName,
        asked: int | None,
        call: Awaitable[Sequence[R]],
    ) -> Sequence[R]:
        begun_s = runtime.now_s()
        outcomes: Sequence[R] | None = None
        error: Exception | None = None
        try:
            outcomes = await call
        except Exception as raised:
            error = raised
            raise
        else:
            return outcomes
        finally:
            if error is not None or outcomes is not None:  # not of a call that was given up
                self._observers.note(
                    Called(
                        action=action,
                        queue=queue,
                        entries=asked if asked is not None else len(outcomes or ()),
                        failed=sum(isinstance(outcome, Failed) for outcome in outcomes or ()),
                        error=error,
                        duration_s=runtime.now_s() - begun_s,
                    )
                )
