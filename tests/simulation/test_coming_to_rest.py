"""When a world has come to rest: a correct program must not be stopped in the middle of what it does."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest
from bus.orders import PrintInvoice
from simulation.apps import ORDERS, send_surely

from busframe import BackendError, Bus, Delivery, Later
from busframe.message import Acknowledge, Outgoing, QueueName
from busframe.simulation import Sim, SimulationFailedError, exactly_once, replay, simulate
from busframe_emulator.delivery.scripts import Script

if TYPE_CHECKING:
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.running import Backend

DEAD = QueueName("orders-dead")


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    kind: Backend = request.param
    return kind


def test_a_call_of_a_node_that_stands_still_is_waited_for_although_all_queues_are_empty(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")

        async def late(me: Incarnation) -> None:
            await me.backend.send(ORDERS, [Outgoing(body="late")])
            await anyio.sleep_forever()

        async def work(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    sim.effect(received.body)
                    await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

        sim.node("late", late)
        sim.node("worker", work)
        sim.accepted("late")
        await sim.quiesce()

    run = replay(scenario, Script([("node.pause", ("late", "send", 1), 80_000_000)]), backend=backend)
    assert not run.violations
    assert [effect.at_us for effect in run.outcome.effects["late"]] == [80_000_000]


def test_a_program_that_works_on_dead_letters_is_waited_for() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders", dead_letters=("orders-dead", 3))
        sim.check(exactly_once)

        async def move(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(DEAD, limit=1, wait_s=20, lease_s=30):
                    await anyio.sleep(25)
                    sim.effect(received.body)
                    await me.backend.settle(DEAD, [Acknowledge(receipt=received.receipt)])

        for number in range(5):
            await sim.backend.send(DEAD, [Outgoing(body=f"order {number}")])
            sim.accepted(f"order {number}")
        sim.node("mover", move)
        await sim.quiesce()

    assert simulate(scenario, seeds=1, profile="calm").seeds == 1


def test_a_program_that_works_on_dead_letters_is_waited_for_although_its_first_answer_got_lost() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders", dead_letters=("orders-dead", 3))
        sim.check(exactly_once)
        await sim.backend.send(DEAD, [Outgoing(body="order")])
        sim.accepted("order")

        async def move(me: Incarnation) -> None:
            while True:
                with suppress(BackendError):
                    for received in await me.backend.receive(DEAD, limit=1, wait_s=20, lease_s=90):
                        sim.effect(received.body)
                        await me.backend.settle(DEAD, [Acknowledge(receipt=received.receipt)])

        sim.node("mover", move)
        await sim.quiesce()

    run = replay(scenario, Script([("net", ("mover", "receive", 1), 1)]))
    assert not run.violations
    assert [effect.at_us for effect in run.outcome.effects["order"]] == [90_000_000]


def test_a_program_that_comes_to_its_end_in_a_calm_world_is_waited_for(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        async def web(_: Incarnation) -> None:
            for number in range(3):
                with suppress(BackendError):
                    await sim.store("orders").put(number, "placed")
                await anyio.sleep(1)  # nothing is under way

        async def worker(_: Incarnation) -> None:
            await anyio.sleep_forever()

        sim.node("web", web)
        sim.node("worker", worker)
        await sim.quiesce()
        sim.state("orders", sim.store("orders").contents)

    run = replay(scenario, Script([("node.pause", ("web", "put", 2), 70_000_000)]), backend=backend)
    assert not run.violations
    assert run.outcome.states["orders"] == {0: "placed", 1: "placed", 2: "placed"}


def test_dead_letters_that_somebody_looks_at_and_leaves_alone_do_not_hold_up_the_end() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders", dead_letters=("orders-dead", 3))
        sim.expect_dead_letters()

        async def look(me: Incarnation) -> None:
            while True:
                await me.backend.receive(DEAD, limit=1, wait_s=20, lease_s=30)

        await sim.backend.send(DEAD, [Outgoing(body="order")])
        sim.node("looker", look)
        await sim.quiesce()
        sim.state("ended", round(anyio.current_time()) < 1_000)

    run = replay(scenario, Script())
    assert not run.violations
    assert run.outcome.states == {"ended": True}


def test_what_a_scenario_waits_for_besides_is_waited_for_and_told_if_it_never_comes() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        outbox = sim.store("outbox")
        await outbox.put("order", 1)

        async def relay(me: Incarnation) -> None:
            while True:
                await anyio.sleep(200)
                if await outbox.get("order") is not None:
                    await me.backend.send(ORDERS, [Outgoing(body="order")])
                    await outbox.put("order", None)

        async def work(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    sim.effect(received.body)
                    await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

        sim.node("relay", relay)
        sim.node("worker", work)
        sim.accepted("order")
        await sim.quiesce(until=lambda: not outbox.contents, within_s=within_s)

    within_s = 3_600.0
    assert not replay(scenario, Script()).violations
    within_s = 60.0
    checks = {one.check: one.text for one in replay(scenario, Script()).violations}
    assert "was not true after 60 s of calm" in checks["nothing_left"]


def test_what_is_sent_in_a_hostile_world_can_be_waited_for_by_an_async_condition(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        await send_surely(sim, "order")
        sim.effect("order")

        async def take(me: Incarnation) -> None:
            for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

        async def is_empty() -> bool:
            return not (await sim.backend.stats(ORDERS)).visible

        sim.node("taker", take)
        await sim.quiesce(until=is_empty)

    assert not replay(scenario, Script(), backend=backend).violations


def test_a_handler_that_waits_for_ever_is_told_by_its_place(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        turn = anyio.Lock()

        async def waits_for_itself(me: Incarnation) -> None:
            await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30)
            async with anyio.create_task_group() as tasks:

                async def inner() -> None:
                    async with turn:
                        await sim.store("never").get("x")

                async with turn:
                    tasks.start_soon(inner, name="inner task")
                    await anyio.sleep_forever()

        sim.node("worker", waits_for_itself, mortal=False)
        await send_surely(sim, "order")
        await sim.quiesce(within_s=100)

    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario, seeds=1, backend=backend)
    lines = str(caught.value).splitlines()
    assert lines[1] == "  1 messages are left in orders"
    waiting = [line for line in lines[3:] if "test_coming_to_rest.py:" in line]
    assert any("inner task: " in line for line in waiting)
    assert any("waits_for_itself" in line for line in waiting)


def test_what_a_handler_raised_is_in_the_timeline() -> None:
    bus = Bus("shop")

    @bus.handle(PrintInvoice)
    async def print_invoice(_: PrintInvoice, delivery: Delivery[PrintInvoice]) -> None:
        if delivery.attempt == 1:
            raise ValueError("no paper")
        if delivery.attempt == 2:
            raise Later(delay_s=5)

    async def scenario(sim: Sim) -> None:
        sim.node("printer", bus)
        async with sim.connect(bus) as live:
            await live.send(PrintInvoice("o1"))
        await sim.quiesce()

    texts = [entry.text for entry in replay(scenario, Script()).entries if entry.kind == "called"]
    assert [text.split("(")[0] for text in texts] == [
        "print_invoice raised ValueError",
        "print_invoice raised Later",
    ]


def test_what_a_program_gives_back_as_it_is_stopped_is_not_left_undone(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")

        async def give_back(me: Incarnation) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await me.backend.send(ORDERS, [Outgoing(body="a copy")])

        sim.node("worker", give_back)
        await sim.quiesce()
        assert (await sim.backend.stats(ORDERS)).visible == 1

    async def and_more(sim: Sim) -> None:
        await scenario(sim)
        await sim.backend.send(ORDERS, [Outgoing(body="more")])

    assert not replay(scenario, Script([]), backend=backend).violations
    assert [one.text for one in replay(and_more, Script([]), backend=backend).violations] == [
        "1 messages are left in orders"
    ]
