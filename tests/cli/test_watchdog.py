"""`busframe run` ends when it is told to, whatever handlers do."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from cli.shop import process_of

from busframe.cli.running import DONE, STUCK

if TYPE_CHECKING:
    from pathlib import Path

Asked = Any  # the fixture's function
PATIENCE_S = 60

# The program makes the time short that it has: nothing here depends on how long it is.
APP = """
import sys, time
import anyio
import busframe.cli.watchdog
from busframe import Bus
from shop_app import OrderPlaced, log

busframe.cli.watchdog.GRACE_S = 0.5
bus = Bus("shop")

@bus.subscribe(OrderPlaced, group="billing")
async def bill(order: OrderPlaced) -> None:
    log(f"begun {order.order}")
    if order.customer == "shielded":
        with anyio.CancelScope(shield=True):
            await anyio.sleep(3600)
    if order.customer == "blocking":
        time.sleep(3600)
    if order.customer == "quick":
        await anyio.sleep(3600)
"""


def start(asked: Asked, folder: Path, customer: str, loop: str) -> subprocess.Popen[str]:
    """Run the program in a process of its own, up to where its handler has begun."""
    (folder / "stubborn.py").write_text(APP)
    assert (
        asked("publish", "shop_app:bus", "shop.order.placed", f'{{"order": "1", "customer": "{customer}"}}')[0] == DONE
    )
    command = process_of("run", "stubborn:bus", "--drain-s", "0.1", "--loop", loop)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    end_s = time.monotonic() + PATIENCE_S  # noqa: TID251 - real processes take real time
    while not (folder / "log").exists():
        assert process.poll() is None
        assert time.monotonic() < end_s, "no handler has begun"  # noqa: TID251 - the same
        time.sleep(0.02)  # noqa: TID251 - the same
    return process


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("customer", ["shielded", "blocking"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_handler_that_cannot_be_cancelled_does_not_keep_the_process(
    asked: Asked, folder: Path, customer: str, loop: str, number: signal.Signals
) -> None:
    with start(asked, folder, customer, loop) as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == STUCK
    assert "Still running: shop-billing: shop.order.placed (1)" in said


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_process_whose_handlers_can_be_cancelled_ends_as_it_should(asked: Asked, folder: Path, loop: str) -> None:
    with start(asked, folder, "quick", loop) as process:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == DONE
    assert "Still running" not in said
