"""What is left of `once=True` when processes are killed: the effect in the transaction happens exactly once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from bus.once_worker import bus
from bus.orders import OrderPlaced

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TESTS = Path(__file__).parents[1]


@pytest.fixture
def anyio_backend() -> str:
    """The workers choose their loop; here is nothing to choose."""
    return "asyncio"


@pytest.fixture
def app(tmp_path: Path) -> Generator[sqlite3.Connection]:
    app = sqlite3.connect(tmp_path / "app.db")
    app.execute("CREATE TABLE bill (order_)")
    app.commit()
    yield app
    app.close()


async def publish(folder: Path, count: int) -> None:
    async with bus.connect(f"sqlite:///{folder / 'shop.db'}") as live:
        for n in range(count):
            await live.publish(OrderPlaced(f"o{n:04}"))


async def waiting(folder: Path) -> int:
    async with bus.connect(f"sqlite:///{folder / 'shop.db'}") as live:
        stats = (await live.stats())["shop-billing"]
        return stats.visible + stats.in_flight + stats.delayed


def worker(folder: Path, when: str = "") -> AbstractContextManager[subprocess.Popen[str]]:
    return subprocess.Popen(
        [sys.executable, str(TESTS / "bus" / "once_worker.py"), str(folder), when],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )


async def until_done(folder: Path) -> None:
    with anyio.fail_after(60):
        while await waiting(folder):  # noqa: ASYNC110 - it looks at another process from outside
            await anyio.sleep(0.1)


@pytest.mark.parametrize(
    ("when", "runs", "bills_of_the_first"),
    [("in the handler", 2, 0), ("before the mark", 2, 0), ("after the mark", 1, 1)],
)
async def test_the_effect_in_the_transaction_happens_once_wherever_the_process_dies(
    tmp_path: Path, app: sqlite3.Connection, when: str, runs: int, bills_of_the_first: int
) -> None:
    await publish(tmp_path, 1)
    with worker(tmp_path, when) as first:
        first_said, _ = first.communicate()
    assert first.returncode == -9
    assert len(app.execute("SELECT * FROM bill").fetchall()) == bills_of_the_first
    assert await waiting(tmp_path) == 1
    with worker(tmp_path) as second:
        await until_done(tmp_path)
        second.terminate()
        second_said, _ = second.communicate()
    # What is outside of the transaction is done at least once.
    assert (first_said + second_said).split() == ["o0000"] * runs
    assert app.execute("SELECT * FROM bill").fetchall() == [("o0000",)]


async def test_every_effect_happens_once_though_workers_are_killed_in_the_middle(
    tmp_path: Path, app: sqlite3.Connection
) -> None:
    count = 2_000
    await publish(tmp_path, count)
    outside: list[str] = []
    for bills in (20, 100, 500):
        with worker(tmp_path) as one, worker(tmp_path) as other:
            try:
                with anyio.fail_after(60):
                    while app.execute("SELECT count(*) FROM bill").fetchone()[0] < bills:  # noqa: ASYNC110 - from outside
                        await anyio.sleep(0.002)
            finally:
                one.kill()
                other.kill()
            for killed in (one, other):
                said, _ = killed.communicate()
                outside += said.split()
    with worker(tmp_path) as last:
        await until_done(tmp_path)
        last.terminate()
        said, _ = last.communicate()
        outside += said.split()
    expected = [f"o{n:04}" for n in range(count)]
    assert sorted(set(outside)) == expected
    assert [order for (order,) in app.execute("SELECT order_ FROM bill ORDER BY order_")] == expected
