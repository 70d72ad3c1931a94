"""Registering, unsubscribing and moving when any one call fails, before its effect or after it.

A failed call stands for a crash too: what comes after it does not happen.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from bus.orders import OrderPlaced
from trio.testing import MockClock

from busframe import Bus
from busframe.config import BackendUrl
from busframe.errors import BusframeError, UnavailableError
from busframe.message import Acknowledge, Outgoing, QueueName
from busframe.topology.operations import Topology
from busframe.topology.plan import plan_for
from busframe.topology.registration import register, subscriptions_of
from busframe_memory.backend import open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from busframe.backend import Backend
    from busframe.recipients import RecipientList

pytestmark = pytest.mark.anyio

BILLING, SHIPPING, NEW = QueueName("shop-billing"), QueueName("shop-shipping"), QueueName("shop-bills")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Virtual time: what a lost answer hides for a lease comes back at once."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Fuse:
    """Lets one call fail: the `at`-th, once, before its effect or after it."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.blown = False
        self._calls = 0

    def fails(self) -> bool:
        """Count a call, and tell whether it is the one."""
        self._calls += 1
        if self._calls != self.at:
            return False
        self.blown = True
        return True

    def repair(self) -> None:
        """Let no further call fail."""
        self.at = 0


class Fused:
    """Anything with async methods, each call of which passes a fuse."""

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name in {"capabilities", "listen", "fresh_s"}:
            return value

        async def call(*positional: Any, **named: Any) -> Any:
            fails = self._fuse.fails()
            if fails and not self._fuse.after:
                raise UnavailableError(f"{name} does not get through", effect="none")
            result = await value(*positional, **named)
            if fails:
                raise UnavailableError(f"the answer of {name} is lost")
            return result

        return call


def program() -> Bus:
    bus = Bus("shop")
    for group in ("billing", "shipping"):

        @bus.subscribe(OrderPlaced, group=group)
        async def handle(_: OrderPlaced) -> None: ...

    return bus


@dataclass
class System:
    """A backend and a list, as they are, and as somebody sees them who is behind a fuse."""

    bus: Bus
    backend: Backend
    recipients: RecipientList
    fuse: Fuse

    async def register(self) -> None:
        await self._register(cast("Backend", Fused(self.backend, self.fuse)), self._fused_list)

    async def register_for_good(self) -> None:
        await self._register(self.backend, self.recipients)

    async def _register(self, backend: Backend, recipients: RecipientList) -> None:
        plan = plan_for(self.bus, backend.capabilities, mode="create")
        await register(backend, recipients, plan, subscriptions_of(self.bus.groups.values()), by="the program")

    @property
    def _fused_list(self) -> RecipientList:
        return cast("RecipientList", Fused(self.recipients, self.fuse))

    def topology(self) -> Topology:
        return Topology(
            self.bus, cast("Backend", Fused(self.backend, self.fuse)), self._fused_list, by="ada", quiet_s=0
        )

    def topology_for_good(self) -> Topology:
        return Topology(self.bus, self.backend, self.recipients, by="ada", quiet_s=0)

    async def require_every_row_has_its_queue(self) -> None:
        there = set(await self.backend.list_queues())
        for row in (await self.recipients.load()).subscriptions:
            assert row.queue in there, f"publishers see {row}, and there is no such queue"


@asynccontextmanager
async def system(fuse: Fuse) -> AsyncGenerator[System]:
    async with open_memory(BackendUrl.parse("memory://")) as backend:
        yield System(program(), backend, backend.recipients, fuse)


async def at_every_call(trial: Callable[[Fuse], Awaitable[None]]) -> int:
    """Run a trial with every call failing in its turn, until there are no more; gives how many there were."""
    at = 1
    while True:
        fuses = [Fuse(at, after=after) for after in (False, True)]
        for fuse in fuses:
            await trial(fuse)
        if not any(fuse.blown for fuse in fuses):
            return at - 1
        at += 1


async def test_whichever_call_of_a_registration_fails_nothing_half_made_is_seen_and_connecting_again_completes() -> (
    None
):
    async def trial(fuse: Fuse) -> None:
        async with system(fuse) as it:
            try:
                await it.register()
            except UnavailableError:
                assert fuse.blown
            await it.require_every_row_has_its_queue()
            await it.register_for_good()
            await it.require_every_row_has_its_queue()
            assert [row.queue for row in (await it.recipients.load()).subscriptions] == [BILLING, SHIPPING]
            assert await it.topology_for_good().check() == []

    assert await at_every_call(trial) >= 4  # queues, look, rows, queues again


async def test_whichever_call_of_an_unsubscription_fails_repeating_it_or_applying_completes_it() -> None:
    async def trial(fuse: Fuse) -> None:
        async with system(fuse) as it:
            await it.register_for_good()
            try:
                await it.topology().unsubscribe("shipping")
            except UnavailableError:
                assert fuse.blown
            await it.require_every_row_has_its_queue()
            fuse.repair()
            smaller = Bus("shop")
            smaller.subscribe(OrderPlaced, group="billing")(_handle)
            it.bus = smaller
            for _ in range(3):  # unsubscribe what is not yet, take down what is drained, remove what is left
                if findings := await it.topology_for_good().check():
                    assert not await it.topology_for_good().apply(findings, removals=True)
            assert await it.topology_for_good().check() == []
            assert sorted(await it.backend.list_queues()) == [BILLING, "shop-billing-dead"]
            assert [row.queue for row in (await it.recipients.load()).subscriptions] == [BILLING]

    assert await at_every_call(trial) >= 8


async def _handle(_: OrderPlaced) -> None: ...


async def test_whichever_call_of_a_move_fails_no_message_is_lost_and_repeating_it_completes_it() -> None:
    bodies = {f"m{n}" for n in range(5)}

    async def trial(fuse: Fuse) -> None:
        async with system(fuse) as it:
            await it.register_for_good()
            await it.backend.send(BILLING, [Outgoing(body=body) for body in sorted(bodies)])
            topology = it.topology()
            try:
                await topology.move("billing", NEW)
            except BusframeError:
                assert fuse.blown
            await it.require_every_row_has_its_queue()
            active = [row for row in (await it.recipients.load()).subscriptions if row.state == "active"]
            assert {row.group for row in active} == {"shop/billing", "shop/shipping"}
            fuse.repair()
            await topology.move("billing", NEW)
            assert {row.queue for row in (await it.recipients.load()).subscriptions} == {NEW, SHIPPING}
            assert await _bodies(it.backend, await it.backend.list_queues("shop-bill")) == bodies

    # Only as many calls as do not depend on how often a queue was looked at.
    for after in (False, True):
        for at in range(1, 40):
            await trial(Fuse(at, after=after))


async def _bodies(backend: Backend, queues: object) -> set[str]:
    found: set[str] = set()
    for queue in cast("list[QueueName]", queues):
        while received := await backend.receive(queue, limit=10, wait_s=0, lease_s=30):
            found.update(message.body for message in received)
            await backend.settle(queue, [Acknowledge(receipt=message.receipt) for message in received])
    return found
