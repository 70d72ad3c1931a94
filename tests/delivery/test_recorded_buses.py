"""What the bus was told by its broker, recorded and judged: of every backend, in calm and in hostile worlds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from bus.orders import PrintInvoice
from simulation.apps import ORDERS

from busframe import Bus
from busframe.backend import Peeks, Plan, QueueSpec
from busframe.config import BackendUrl
from busframe.errors import UnavailableError
from busframe.message import Acknowledge, Outgoing, Release
from busframe.simulation import simulate
from busframe.testing import Recorder
from busframe_emulator import checking
from busframe_emulator.delivery.checkers.client_level import check_clients
from busframe_emulator.delivery.client_history import (
    Call,
    ClientHistory,
    QueueFacts,
    Seen,
    read_client_history,
    write_client_history,
)
from busframe_memory import MemoryBackend, open_memory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from busframe.backend import Backend
    from busframe.message import QueueName
    from busframe.simulation import Sim
    from busframe.testing.recording import RecordingBackend

bus = Bus("shop")


@bus.handle(PrintInvoice)
async def print_invoice(invoice: PrintInvoice) -> None: ...


async def recorded_shop(sim: Sim, recorder: Recorder) -> None:
    with recorder.buses("shop"):
        async with sim.connect(bus) as live:
            sim.node("worker", bus, count=2)
            for number in range(4):
                await live.send(PrintInvoice(str(number)))
            await sim.quiesce()


@pytest.mark.anyio
async def test_a_broker_that_answers_without_waiting_is_recorded_too() -> None:
    recorder = Recorder()
    with recorder.buses("shop"):
        async with bus.connect("memory://") as live, live.running():
            await live.send(PrintInvoice("1"))
            while live.counts["shop-invoice-print"].handled < 1:  # noqa: ASYNC110 - it looks from outside
                await anyio.sleep(0.001)
    done = {call.op for call in recorder.history.calls if call.outcome == "ok"}
    assert done == {"send", "receive", "delete"}


@pytest.mark.parametrize("profile", ["calm", "hostile", "swarm"])
def test_what_a_bus_sees_of_the_broker_is_fine(profile: str) -> None:
    recorders: list[Recorder] = []

    async def scenario(sim: Sim) -> None:
        recorders.append(Recorder())
        await recorded_shop(sim, recorders[-1])

    simulate(scenario, seeds=15, profile=profile, determinism="off")
    for recorder in recorders:
        report = check_clients(recorder.history)
        assert report.findings == []
        assert report.events >= 8
        assert {call.op for call in recorder.history.calls} >= {"send", "receive", "delete"}


async def record(backend: Backend, act: Any) -> Recorder:
    recorder = Recorder()
    wrapped = recorder.wrap(backend, "worker")
    await wrapped.provision(Plan(queues=(QueueSpec(name=ORDERS),)))
    await act(wrapped)
    return recorder


async def lose_one(backend: RecordingBackend) -> None:
    await backend.send(ORDERS, [Outgoing(body="1"), Outgoing(body="2")])
    for received in await backend.receive(ORDERS, limit=1, wait_s=0, lease_s=30):
        await backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])
    await anyio.sleep(1)
    assert await backend.receive(ORDERS, limit=10, wait_s=20, lease_s=30) == []


class Forgetful:
    """A broker that forgets the second message."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Any:
        outcomes = await self._backend.send(queue, batch)
        first, second = await self._backend.receive(queue, limit=10, wait_s=0, lease_s=30)
        await self._backend.settle(queue, [Release(receipt=first.receipt), Acknowledge(receipt=second.receipt)])
        return outcomes


def test_a_broker_that_loses_a_message_is_caught(tmp_path: Path) -> None:
    recorders: list[Recorder] = []

    async def scenario(sim: Sim) -> None:
        forgetful: Any = Forgetful(sim.backend)
        recorders.append(await record(forgetful, lose_one))

    simulate(scenario, seeds=1, profile="calm", checks=())
    recorders[0].save(tmp_path / "history.jsonl")
    assert checking.main([str(tmp_path / "history.jsonl")]) == 1
    assert check_clients(recorders[0].history).verdicts["lost"].state == "violation"


def test_of_a_call_that_was_cancelled_or_broken_nobody_knows_what_it_did() -> None:
    outcomes: list[tuple[str, str, int | None]] = []

    class Broken(MemoryBackend):
        async def settle(self, queue: QueueName, batch: Any) -> Any:  # noqa: ARG002 - as any backend's
            raise UnavailableError("the connection broke")

    async def scenario(sim: Sim) -> None:
        async def act(backend: RecordingBackend) -> None:
            with anyio.move_on_after(1):
                await backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30)
            await backend.send(ORDERS, [Outgoing(body="1")])
            (received,) = await backend.receive(ORDERS, limit=1, wait_s=0, lease_s=30)
            with pytest.raises(UnavailableError):
                await backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

        broken = Broken(sim.world.driver)
        recorder = await record(broken, act)
        outcomes[:] = [(call.op, call.outcome, call.ended) for call in recorder.history.calls]

    simulate(scenario, seeds=1, profile="calm", checks=())
    assert outcomes == [
        ("receive", "unknown", 1_000_000),
        ("send", "ok", 1_000_000),
        ("receive", "ok", 1_000_000),
        ("delete", "unknown", 1_000_000),
    ]


@pytest.mark.anyio
async def test_a_recorded_backend_does_whatever_else_the_other_does() -> None:
    async with open_memory(BackendUrl.parse("memory://")) as backend:
        assert isinstance(Recorder().wrap(backend), Peeks)


def test_a_zero_survives_being_written() -> None:
    history = ClientHistory(queues={"orders": QueueFacts(visibility_s=0.0, max_receives=0)})
    seen = Seen(id="m", receipt="r", body="b")
    history.calls += [
        Call(op="send", queue="orders", began=0, ended=0, outcome="ok", id="m", body="b", delay_s=0.0),
        Call(op="receive", queue="orders", began=0, ended=0, outcome="ok", visibility_s=0, messages=(seen,)),
        Call(op="visibility", queue="orders", began=0, ended=0, outcome="ok", receipt="r", visibility_s=0),
    ]
    written = [json.loads(line) for line in write_client_history(history)]
    assert read_client_history(enumerate(written[1:], 2)) == history
