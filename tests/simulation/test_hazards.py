"""What is dangerous although nothing has gone wrong: found in a calm world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from bus.orders import PrintInvoice
from simulation.apps import ORDERS, careful, send_orders

from busframe import Bus
from busframe.message import Acknowledge, Extension, Outgoing, Release, Sent
from busframe.simulation import SimulationFailedError, exactly_once, simulate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.message import Received
    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.running import Backend

    Handler = Callable[["Sim", "Incarnation", "Received"], Awaitable[None]]


async def settle(me: Incarnation, received: Received) -> None:
    await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])


def hazards_of(handle: Handler, *, workers: int = 1, lease_s: float = 30, orders: int = 1) -> dict[str, str]:
    """Let workers handle one order after the other, in a calm world."""

    async def scenario(sim: Sim) -> None:
        async def work(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=lease_s):
                    await handle(sim, me, received)

        await sim.queue("orders", dead_letters=("orders-dead", 50))
        sim.node("worker", work, count=workers)
        await send_orders(sim, orders)
        await sim.quiesce()

    summary = simulate(scenario, seeds=1, profile="calm", checks=())
    return {hazard.check: hazard.text for hazard in summary.hazards}


def test_a_careful_worker_has_none() -> None:
    assert simulate(careful, seeds=1, profile="calm").hazards == ()


def test_an_effect_after_the_acknowledgement_is_told() -> None:
    async def handle(sim: Sim, me: Incarnation, received: Received) -> None:
        await settle(me, received)
        sim.effect(received.body)

    found = hazards_of(handle, orders=3)
    assert list(found) == ["ack_before_effect"]
    assert "delivery 1 of orders#1" in found["ack_before_effect"]
    assert found["ack_before_effect"].endswith("; 2 more like this")


def test_a_delivery_held_for_more_than_half_its_lease_is_told() -> None:
    async def handle(sim: Sim, me: Incarnation, received: Received) -> None:
        await anyio.sleep(20)
        sim.effect(received.body)
        await settle(me, received)

    found = hazards_of(handle)
    assert list(found) == ["no_heartbeat"]
    assert "held for 20 s of a lease of 30 s" in found["no_heartbeat"]


def test_a_lease_that_is_extended_is_fine() -> None:
    async def handle(sim: Sim, me: Incarnation, received: Received) -> None:
        for _ in range(4):
            await anyio.sleep(10)
            await me.backend.extend(ORDERS, [Extension(receipt=received.receipt, lease_s=30)])
        sim.effect(received.body)
        await settle(me, received)

    assert hazards_of(handle) == {}


def test_work_beyond_the_lease_is_told_and_so_is_who_else_was_at_it() -> None:
    async def handle(sim: Sim, me: Incarnation, received: Received) -> None:
        await anyio.sleep(35 if received.receive_count == 1 else 1)
        sim.effect(received.body)
        await settle(me, received)

    found = hazards_of(handle, workers=2)
    assert set(found) >= {"effect_after_lease", "overlap"}
    assert "worker[1]" in found["overlap"]


async def send_and_ignore(sim: Sim) -> None:
    await sim.backend.send(ORDERS, [Outgoing(body=str(number)) for number in range(3)])


async def send_and_count(sim: Sim) -> None:
    assert len(await sim.backend.send(ORDERS, [Outgoing(body="1")])) == 1


async def send_and_look(sim: Sim) -> None:
    outcomes = await sim.backend.send(ORDERS, [Outgoing(body=str(number)) for number in range(3)])
    assert all(isinstance(outcome, Sent) for outcome in outcomes)


async def settle_and_ignore(sim: Sim) -> None:
    await send_and_look(sim)
    batch = await sim.backend.receive(ORDERS, limit=10, wait_s=0, lease_s=30)
    await sim.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt) for received in batch])


async def settle_one_and_ignore(sim: Sim) -> None:
    await send_and_look(sim)
    for received in await sim.backend.receive(ORDERS, limit=10, wait_s=0, lease_s=30):
        await sim.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (send_and_ignore, "the send of 3 entries to orders (t=0 s, test): an entry may fail although"),
        (send_and_count, "the send of 1 entry to orders"),
        (send_and_look, None),
        (settle_and_ignore, "the settle of 3 entries to orders"),
        (settle_one_and_ignore, None),
    ],
)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_batch_whose_outcomes_nobody_looked_at_is_told(
    act: Callable[[Sim], Awaitable[None]], text: str | None, backend: Backend
) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        await act(sim)

    summary = simulate(scenario, seeds=1, profile="calm", checks=(), backend=backend)
    found = {hazard.check: hazard.text for hazard in summary.hazards}
    assert list(found) == ([] if text is None else ["unchecked_batch"])
    assert text is None or text in found["unchecked_batch"]


def test_a_bus_looks_at_the_outcomes_of_its_batches() -> None:
    bus = Bus("shop")

    @bus.handle(PrintInvoice)
    async def print_invoice(invoice: PrintInvoice) -> None: ...

    async def scenario(sim: Sim) -> None:
        async with sim.connect(bus) as live, anyio.create_task_group() as tasks:
            sim.node("worker", bus)
            for number in range(20):
                tasks.start_soon(live.send, PrintInvoice(str(number)))
        await sim.quiesce()

    assert simulate(scenario, seeds=1, profile="calm").hazards == ()


def test_a_delivery_that_is_given_back_is_not_worked_on_any_more() -> None:
    async def handle(sim: Sim, me: Incarnation, received: Received) -> None:
        if received.receive_count < 3:
            await me.backend.settle(ORDERS, [Release(receipt=received.receipt)])
        else:
            sim.effect(received.body)
            await settle(me, received)

    assert "overlap" not in hazards_of(handle, workers=2)


def test_the_report_of_a_failure_warns_of_hazards() -> None:
    async def scenario(sim: Sim) -> None:
        async def work(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    await settle(me, received)
                    sim.effect(received.body)

        await sim.queue("orders")
        sim.check(exactly_once)
        sim.node("worker", work, mortal=False)
        await send_orders(sim)
        await sim.quiesce()

    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario)
    assert "\n  hazard seen in the calm run: ack_before_effect: delivery 1 of orders#1 " in str(caught.value)
