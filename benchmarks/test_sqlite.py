"""The SQLite backend, every transaction flushed: beside SQLite itself, the disk and three other queues on SQLite.

The others are in the dependency group `bench`; those that are not installed are left out. All take turns, and what is
printed are medians, and how often the others go into ours: the disk of a shared machine is not the same twice.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from benchmarks.sqlite import loads, peers
from busframe.backend import Plan, QueueSpec
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.abc import Process

    from busframe_sqlite.backend import SqliteBackend

ROUNDS = 3
PEERS = {"huey": peers.huey, "litequeue": peers.litequeue, "persistqueue": peers.persist_queue}
OURS = {
    "busframe, 100 callers, single messages": (100, 1),
    "busframe, 100 callers, tens": (100, 10),
    "busframe, 10 callers, hundreds": (10, 100),
}


def _run(loop: str, callers: int, batch: int, folder: Path) -> tuple[float, float]:
    return anyio.run(loads.one_process, folder, 20_000, callers, batch, backend=loop)


def _contestants(loop: str) -> dict[str, Callable[[Path], tuple[float, float]]]:
    ours = {name: partial(_run, loop, *shape) for name, shape in OURS.items()}
    others = {name: partial(run, count=500) for name, run in PEERS.items() if find_spec(name)}
    return {**ours, "sqlite3, 100 in a transaction": partial(peers.floor, count=20_000), **others}


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_one_process(benchmark: Any, loop: str) -> None:
    contestants = _contestants(loop)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    flushes: list[float] = []

    def round_of_all() -> None:
        for name, run in contestants.items():
            with TemporaryDirectory(dir=Path.cwd()) as folder:
                flushes.append(peers.flushes(Path(folder), 200))
                rates[name].append(run(Path(folder)))

    benchmark.pedantic(round_of_all, rounds=ROUNDS)
    table = {
        name: (median(sends for sends, _ in found), median(cycles for _, cycles in found))
        for name, found in rates.items()
    }
    ours = table[next(iter(OURS))]
    benchmark.extra_info["lines"] = [
        f"the disk flushes {median(flushes):,.0f} times a second (from {min(flushes):,.0f} to {max(flushes):,.0f})",
        f"{'sends/s':>53} {'cycles/s':>11} {'first row / this':>19}",
        *(
            f"{name:<40} {sends:>12,.0f} {cycles:>11,.0f} {ours[0] / sends:>9.2f} {ours[1] / cycles:>9.2f}"
            for name, (sends, cycles) in table.items()
        ),
    ]


@asynccontextmanager
async def _shared_with(path: Path, what: str, count: int) -> AsyncGenerator[tuple[SqliteBackend, Process]]:
    async with open_backend(Settings(path=path)) as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=loads.WORK),)))
        command = [sys.executable, loads.__file__, str(path), what, str(count)]
        async with await anyio.open_process(command, stdin=None, stderr=None) as other:
            yield backend, other


def test_two_processes(benchmark: Any) -> None:
    cycles: list[float] = []
    floors: list[float] = []

    async def measure(path: Path) -> None:
        async with _shared_with(path, "many", 20_000) as (backend, _):
            cycles.append(await loads.consume_what_another_sends(backend, 20_000))

    def once() -> None:
        with TemporaryDirectory(dir=Path.cwd()) as folder:
            floors.append(peers.floor(Path(folder), 20_000)[1])
            anyio.run(measure, Path(folder) / "busframe.db")

    benchmark.pedantic(once, rounds=ROUNDS)
    benchmark.extra_info["lines"] = [
        f"{median(cycles):,.0f} cycles/s, {median(cycles) / median(floors):.2f} of sqlite3 alone in one process"
    ]


def test_waking_across_processes(benchmark: Any) -> None:
    """The receive has a flush in it: it takes its message under a lease before it returns."""
    delays_s: list[float] = []
    flushes: list[float] = []

    async def measure(path: Path) -> None:
        async with _shared_with(path, "single", 200) as (backend, other):
            received_s = await loads.wait_for_single_messages(backend, 200)
            assert other.stdout is not None
            said = b"".join([chunk async for chunk in other.stdout])
        delays_s.extend(received - float(sent) for sent, received in zip(said.split(), received_s, strict=True))

    def once() -> None:
        with TemporaryDirectory(dir=Path.cwd()) as folder:
            flushes.append(peers.flushes(Path(folder), 200))
            anyio.run(measure, Path(folder) / "busframe.db")

    benchmark.pedantic(once, rounds=1)
    percentiles = quantiles(delays_s, n=100)
    times = f"median {percentiles[49] * 1e3:.1f} ms, p99 {percentiles[98] * 1e3:.1f} ms"
    benchmark.extra_info["lines"] = [f"from sent to received: {times}, a flush of {1e3 / flushes[0]:.1f} ms included"]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_idle(benchmark: Any, loop: str, tmp_path: Path) -> None:
    shares: list[float] = []

    async def measure() -> None:
        async with open_backend(Settings(path=tmp_path / "busframe.db")) as backend:
            await backend.provision(Plan(queues=(QueueSpec(name=loads.WORK),)))
            shares.append(await loads.wait_in_vain(backend, 10, 5.0))

    benchmark.pedantic(lambda: anyio.run(measure, backend=loop), rounds=1)
    benchmark.extra_info["lines"] = [f"ten waiting receivers cost {shares[0]:.2%} of a processor"]
