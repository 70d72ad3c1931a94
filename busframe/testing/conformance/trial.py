"""What the checks share: a backend on trial, and how they talk to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
import pytest

from busframe.backend import DeadLetters, Peeks, QueueSpec
from busframe.message import Outgoing, QueueName, Sent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.backend import Backend
    from busframe.message import Received

ORDERS: Final = QueueName("orders")
DEAD: Final = QueueName("orders-dead")
ORDERED: Final = QueueName("orders.fifo")
ORDERED_DEAD: Final = QueueName("orders-dead.fifo")

LEASE_S: Final = 30.0
PATIENCE_S: Final = 30.0
"""Real seconds after which a wait in a test counts as a hang: generous, since a machine may be busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A backend on trial.

    Attributes:
        backend: open and empty.
        advance: moves the backend's clock by so many seconds and returns when all that fell due has happened, waiting
            receivers included. Where there is no such clock it has to sleep. How long a receive waits (`wait_s`) goes
            by the clock on the wall, whatever moves: a wait for nothing has to end by itself.
        fail_call: makes the `n`-th call from now that the backend makes of its broker fail, as a broken connection or
            a full disk would; 0 calls it off. Returns whether the one asked for before has failed.
            `busframe.testing.LosingCalls` makes one for any backend. None: nothing is tried with it.
    """

    backend: Backend
    advance: Callable[[float], Awaitable[None]]
    fail_call: Callable[[int], bool] | None = None


def queues(queue: QueueName, dead: QueueName) -> tuple[QueueSpec, ...]:
    """A queue with a dead-letter queue after three receives."""
    return (
        QueueSpec(name=dead),
        QueueSpec(name=queue, dead_letters=DeadLetters(queue=dead, max_receive_count=3)),
    )


def require(trial: Trial, capability: str) -> float:
    """Skip the check if the backend does not declare the capability."""
    value = getattr(trial.backend.capabilities, capability)
    if not value:
        pytest.skip(f"the backend does not declare {capability}")
    return float(value)


def peeks_of(trial: Trial) -> Peeks:
    """The backend, if it shows messages without receiving them; else skip the check."""
    if not isinstance(trial.backend, Peeks):
        pytest.skip("the backend does not implement Peeks")
    return trial.backend


async def send(trial: Trial, *bodies: str) -> None:
    """Send to `orders`."""
    outcomes = await trial.backend.send(ORDERS, [Outgoing(body=body) for body in bodies])
    assert all(isinstance(outcome, Sent) for outcome in outcomes)


async def send_ordered(trial: Trial, *messages: tuple[str, str]) -> list[Sent]:
    """Send messages, each a group and a body, to `orders.fifo`."""
    batch = [Outgoing(body=body, group=group, deduplication_id=body) for group, body in messages]
    outcomes = await trial.backend.send(ORDERED, batch)
    return [outcome for outcome in outcomes if isinstance(outcome, Sent)]


async def receive(trial: Trial, *, queue: QueueName = ORDERS, limit: int = 10) -> Sequence[Received]:
    """Take what is there, without waiting."""
    return await trial.backend.receive(queue, limit=limit, wait_s=0, lease_s=LEASE_S)


async def receive_all(trial: Trial, count: int, *, queue: QueueName = ORDERS, limit: int = 10) -> list[Received]:
    """Receive until `count` messages are there: a single answer may be short."""
    received: list[Received] = []
    with anyio.fail_after(PATIENCE_S):
        while len(received) < count:
            received += await trial.backend.receive(queue, limit=limit, wait_s=1, lease_s=LEASE_S)
    assert len(received) == count
    return received
