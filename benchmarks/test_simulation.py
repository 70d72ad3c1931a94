"""What a simulation takes: deliveries, seeds, idle time and shrinking, in processor time of one core.

Beside each rate stands how often an empty floor could have been gone through in the same time: the engine alone, called
in a loop, without event loop, clock or adversary. On a busy machine the rates fall, and their share of the floor stays.
"""

from __future__ import annotations

import statistics
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from delivery_bugs import check_then_act, non_idempotent_handler, one_receive, swallowed_error
from simulation.apps import careful

from busframe.errors import BackendError
from busframe.message import Acknowledge, Outgoing, QueueName
from busframe.simulation import SimulationFailedError, simulate
from busframe.simulation.running import many_runs
from busframe.simulation.trying import Setting, try_calmly, try_seed
from busframe_emulator.delivery.profiles import HOSTILE
from busframe_emulator.engine import Engine, Ids, QueueAddress
from busframe_emulator.engine.requests import CreateQueue, Delete, Deliveries, Receive, Send

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.running import Backend

ORDERS = QueueName("orders")
PRODUCERS, WORKERS, MESSAGES = 4, 8, 2_000
ROUNDS = 3
BACKENDS: tuple[Backend, ...] = ("asyncio", "trio")


def floor_s(messages: int) -> float:
    """Processor seconds in which the engine alone sends, receives and deletes so many messages."""
    queue = QueueAddress("us-east-1", "000000000000", "orders")
    engine = Engine(ids=Ids(7))
    engine.apply(1, CreateQueue(queue=queue))
    begun = time.process_time()
    for now_us in range(2, messages + 2):
        engine.apply(now_us, Send(queue=queue, body="x" * 20, size_bytes=20))
        got = engine.apply(now_us, Receive(queue=queue, limit=1))
        assert isinstance(got, Deliveries)
        engine.apply(now_us, Delete(queue=queue, receipt=got.deliveries[0].receipt))
    return time.process_time() - begun


def measure(benchmark: Any, what: str, count: int, work: Callable[[], object]) -> None:
    """Time it, between looks at the floor, and tell the median rate and its share of the floor's."""
    rates: list[float] = []
    shares: list[float] = []

    def once() -> None:
        floor = floor_s(5_000) / 5_000
        begun = time.process_time()
        work()
        spent_s = time.process_time() - begun
        rates.append(count / spent_s)
        shares.append(count / spent_s * floor)

    with many_runs():
        work()
        benchmark.pedantic(once, rounds=ROUNDS)
    rate, share = statistics.median(rates), statistics.median(shares)
    benchmark.extra_info["lines"] = [f"{what}: {rate:,.0f} /s of processor time; {share:.4f} of the engine alone"]


async def dense(sim: Sim) -> None:
    """Four producers, eight workers that poll for long, and a hundredth of a second of work for each message."""
    await sim.queue("orders")
    done: set[str] = set()

    async def produce(me: Incarnation) -> None:
        for number in range(MESSAGES // PRODUCERS):
            body = f"{me.name} {number}"
            while True:
                with suppress(BackendError):
                    await me.backend.send(ORDERS, [Outgoing(body=body)])
                    break
            await anyio.sleep(0.004)

    async def consume(me: Incarnation) -> None:
        while True:
            with suppress(BackendError):
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    await anyio.sleep(0.01)
                    done.add(received.body)
                    await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

    sim.node("consumer", consume, count=WORKERS, mortal=False)
    for producer in sim.node("producer", produce, count=PRODUCERS, mortal=False):
        await producer.ended.wait()
    await sim.quiesce(hostile_s=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_deliveries_in_a_calm_world(benchmark: Any, backend: Backend) -> None:
    setting = Setting(scenario=dense, backend=backend)
    measure(benchmark, f"calm deliveries, {backend}", MESSAGES, lambda: try_calmly(setting))


@pytest.mark.parametrize("backend", BACKENDS)
def test_deliveries_in_a_hostile_world(benchmark: Any, backend: Backend) -> None:
    setting = Setting(scenario=dense, backend=backend)
    measure(benchmark, f"hostile deliveries, {backend}", MESSAGES, lambda: try_seed(setting, HOSTILE, 7, calm=None))


@pytest.mark.parametrize("backend", BACKENDS)
def test_seeds_of_a_small_scenario(benchmark: Any, backend: Backend) -> None:
    """Six orders, two workers, crashes, quiesce."""
    measure(
        benchmark, f"seeds, {backend}", 200, lambda: simulate(careful, seeds=200, backend=backend, determinism="off")
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_virtual_week_of_a_message_a_minute(benchmark: Any, backend: Backend) -> None:
    """Three workers poll for twenty seconds at a time; the rate is in virtual hours."""
    hours = 7 * 24

    async def week(sim: Sim) -> None:
        await sim.queue("orders")

        async def consume(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

        sim.node("consumer", consume, count=3)
        for _ in range(hours * 60):
            await sim.backend.send(ORDERS, [Outgoing(body="tick")])
            await anyio.sleep(60)
        await sim.quiesce(hostile_s=0)

    setting = Setting(scenario=week, backend=backend)
    measure(benchmark, f"virtual hours, {backend}", hours, lambda: try_calmly(setting))


@pytest.mark.parametrize(
    "bug",
    [non_idempotent_handler, check_then_act, swallowed_error, one_receive],
    ids=lambda bug: bug.__name__.rpartition(".")[2],
)
def test_shrinking_a_planted_bug(benchmark: Any, bug: Any) -> None:
    """The seed is found beforehand; what is measured runs it, and shrinks it."""
    with pytest.raises(SimulationFailedError) as caught:
        simulate(bug.trial, seeds=400, shrink=False)
    seed = caught.value.failure.found.seed

    def shrink() -> None:
        with pytest.raises(SimulationFailedError):
            simulate(bug.trial, seeds=[seed], determinism="off")

    measure(benchmark, f"shrinkings of {bug.__name__.rpartition('.')[2]}", 1, shrink)
