"""The bus: messages a second, published to handled and settled, beside floors and peers in the same run.

All take turns, so that the ratios do not depend on what else the machine does. Peers that are not installed are named
(dependency group `bench`).
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from benchmarks.bus import peers
from busframe import Bus, event
from busframe.message import QueueName
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLISHERS = 100
MESSAGES = 10_000
FEWER = {"faststream": 3_000, "dramatiq": 3_000, "celery": 1_000}
"""Enough for a figure of the slower ones."""
ROUNDS = 7


@event("bench.happened")
@dataclass(frozen=True)
class Happened:
    number: int
    text: str


async def publish_and_handle(url: str, count: int) -> int:
    bus = Bus("bench")
    handled = 0
    done = anyio.Event()

    @bus.subscribe(Happened, group="all", concurrency=100)
    async def handle(_: Happened) -> None:
        nonlocal handled
        handled += 1
        if handled == count:
            done.set()

    async with bus.connect(url) as live, live.running():
        numbers = iter(range(count))

        async def publisher() -> None:
            for number in numbers:
                await live.publish(Happened(number, "x" * 80))

        async with anyio.create_task_group() as tasks:
            for _ in range(PUBLISHERS):
                tasks.start_soon(publisher)
        await done.wait()
    return handled


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_memory(benchmark: Any, backend: str) -> None:
    """Published to handled and settled, 100 publishers, concurrency 100, beside the floors and the peers."""
    contestants: dict[str, Callable[[int], int]] = {
        "busframe": lambda count: anyio.run(publish_and_handle, "memory://", count, backend=backend),
        "a task a message": lambda count: anyio.run(peers.one_task_a_message, count, backend=backend),
        "the stream alone": lambda count: anyio.run(peers.stream_alone, count, backend=backend),
    }
    missing: list[str] = []
    run_async: Any = anyio.run
    if backend == "asyncio":
        for name, work in peers.ASYNC.items():
            if find_spec(name):
                contestants[name] = partial(run_async, work)
            else:
                missing.append(name)
        for name, threaded in peers.THREADED.items():
            if find_spec(name):
                contestants[name] = threaded
            else:
                missing.append(name)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(ROUNDS):
        Random(number).shuffle(names)  # noqa: S311 - so that nobody always comes after the same
        for name in names:
            count = FEWER.get(name, MESSAGES)
            contestants[name](count // 5)  # the one before has had the caches
            gc.collect()
            gc.freeze()  # nor is what the others have left in memory to be gone through in this one's time
            began = time.perf_counter()
            assert contestants[name](count) == count
            seconds[name].append((time.perf_counter() - began) / count)
            gc.unfreeze()
    ours = median(seconds["busframe"])
    lines = [
        f"{name:<24} {1 / median(took):>10,.0f}/s   busframe is {median(took) / ours:5.2f} times as fast"
        for name, took in seconds.items()
    ]
    benchmark.extra_info["lines"] = lines + [f"{name} is not installed" for name in missing]
    benchmark.extra_info["messages"] = MESSAGES
    benchmark.pedantic(contestants["busframe"], args=(MESSAGES,), rounds=1)


def test_keeping_leases(benchmark: Any) -> None:
    """Ten thousand deliveries in flight whose handlers wait: what their leases cost, and what each takes of memory."""
    lines: list[str] = []
    benchmark.pedantic(lambda: anyio.run(_keep, 10_000, 60.0, lines), rounds=1)
    benchmark.extra_info["lines"] = lines


async def _keep(count: int, measured_s: float, lines: list[str]) -> None:
    bus = Bus("bench")
    gate = anyio.Event()

    @bus.subscribe(Happened, group="all", concurrency=count, lease_s=30)
    async def handle(_: Happened) -> None:
        await gate.wait()

    async with bus.connect("memory://") as live:
        numbers = iter(range(count))

        async def publisher() -> None:
            for number in numbers:
                await live.publish(Happened(number, "x" * 80))

        async with anyio.create_task_group() as tasks:
            for _ in range(PUBLISHERS):
                tasks.start_soon(publisher)
        gc.collect()
        tracemalloc.start()
        async with live.running():
            queue = QueueName("bench-all")
            backend = live.backend_as(MemoryBackend)
            while (await backend.stats(queue)).in_flight < count:  # noqa: ASYNC110 - it looks from outside
                await anyio.sleep(0.1)
            await anyio.sleep(1)
            gc.collect()
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            calls = backend.ledger.calls.get("extend", 0)
            began, cpu = time.perf_counter(), time.process_time()
            await anyio.sleep(measured_s)
            took, used = time.perf_counter() - began, time.process_time() - cpu
            extended = backend.ledger.calls["extend"] - calls
            assert live.counts["bench-all"].lost == 0
            assert (await backend.stats(queue)).in_flight == count
            gate.set()
    lines.append(f"{count:,} deliveries in flight, lease 30 s, over {took:.0f} s")
    lines.append(f"CPU {used / took:.2%} of one core, the broker's (in this process) included; {extended} extend calls")
    lines.append(f"memory per delivery in flight: {held / count:,.0f} bytes, its task and its delivery included")
