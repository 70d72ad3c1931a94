"""A worker process that is told to stop finishes what it has in hand."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

WORKER = """
import sys
import anyio
from dataclasses import dataclass
from busframe import Bus, event

@event("shop.order.placed")
@dataclass
class OrderPlaced:
    order: str

bus = Bus("shop")

@bus.subscribe(OrderPlaced, group="billing")
async def bill(order: OrderPlaced) -> None:
    print("began", flush=True)
    await anyio.sleep(0.3)
    print("ended", flush=True)

async def main() -> None:
    async with bus.connect("memory://") as live:
        await live.publish(OrderPlaced("o1"))
        stopped_by = await live.serve_until_signal()
        print(stopped_by.name, live.counts["shop-billing"].handled, flush=True)

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(tmp_path: Path, number: signal.Signals, backend: str) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "worker.py"), backend], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "began\n"
        worker.send_signal(number)
        output, _ = worker.communicate(timeout=30)
    assert output == f"ended\n{number.name} 1\n"
    assert worker.returncode == 0


STUCK = WORKER.replace("await anyio.sleep(0.3)", "await anyio.sleep(3600)").replace(
    'live.counts["shop-billing"].handled, flush=True', '(await live.stats())["shop-billing"], flush=True'
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_drain_and_gives_back_what_was_in_hand(
    tmp_path: Path, second: signal.Signals, backend: str
) -> None:
    (tmp_path / "worker.py").write_text(STUCK)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "worker.py"), backend], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "began\n"
        worker.send_signal(signal.SIGTERM)
        # Two signals of one kind that arrive together are one.
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(0.5)
        worker.send_signal(second)
        output, _ = worker.communicate(timeout=30)
    assert output.startswith("SIGTERM QueueStats(visible=1, in_flight=0")
    assert worker.returncode == 0
