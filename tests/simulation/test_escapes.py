"""Programs that leave virtual time are told so by name, also where a handler's failure would hide it."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest
from bus.orders import PrintInvoice
from simulation.apps import ORDERS, naive, send_orders

from busframe import Bus, Retry
from busframe.message import Acknowledge
from busframe.simulation import SimulationFailedError, simulate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.running import Backend


async def connect() -> None:
    with socket.socket() as one:
        one.connect(("127.0.0.1", 9))


async def connect_in_a_library() -> None:
    try:
        await connect()
    except Exception as error:
        raise ConnectionError("the payment service is down") from error


async def start_a_thread() -> None:
    threading.Thread(target=print).start()


async def sleep_for_real() -> None:
    time.sleep(0.01)  # noqa: ASYNC251, TID251 - what is on trial


async def run_in_a_thread() -> None:
    await anyio.to_thread.run_sync(print)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("act", "named"),
    [
        (connect, "socket.connect is not simulated"),
        (connect_in_a_library, "socket.connect is not simulated"),
        (start_a_thread, "threading.Thread.start is not simulated"),
        (sleep_for_real, "time.sleep is not simulated"),
        (run_in_a_thread, "anyio.to_thread.run_sync is not simulated"),
    ],
)
def test_a_handler_that_leaves_virtual_time_is_no_failing_handler(
    act: Callable[[], Awaitable[None]], named: str, backend: Backend
) -> None:
    bus = Bus("shop")

    @bus.handle(PrintInvoice, retry=Retry(attempts=2, first_s=1))
    async def print_invoice(invoice: PrintInvoice) -> None:  # noqa: ARG001 - a handler
        await act()

    async def scenario(sim: Sim) -> None:
        sim.node("worker", bus)
        async with sim.connect(bus) as live:
            await live.send(PrintInvoice("o1"))
        await sim.quiesce()

    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario, seeds=1, backend=backend)
    first, second, *_ = str(caught.value).splitlines()
    assert first.startswith("busframe: SimulationEscapeError in scenario, in a calm world")
    assert second.startswith("  the handler print_invoice on worker failed, and only because of the simulation: ")
    assert named in second


def test_a_program_that_hides_the_escape_is_told_of_it_alone() -> None:
    async def scenario(sim: Sim) -> None:
        async def work(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    try:
                        await connect()
                        sim.effect(received.body)
                    except Exception:  # noqa: BLE001, S110 - as programs do
                        pass
                    await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

        await sim.queue("orders")
        sim.node("worker", work)
        await send_orders(sim, 1)
        await sim.quiesce()

    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario, seeds=1)
    report = str(caught.value)
    assert "\n  socket.connect is not simulated: there is no network in virtual time" in report
    assert "at_least_once" not in report


def test_an_escape_of_one_run_is_not_blamed_for_the_next() -> None:
    async def scenario(sim: Sim) -> None:  # noqa: ARG001 - a scenario
        await connect()

    with pytest.raises(SimulationFailedError, match="SimulationEscapeError in "):
        simulate(scenario, seeds=1)
    with pytest.raises(SimulationFailedError, match="exactly_once broken"):
        simulate(naive)
