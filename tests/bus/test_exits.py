"""Handlers that raise what ends programs."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from bus.connected import dead_letters, reason_of, running, until
from bus.orders import OrderPlaced

from busframe import Bus, Retry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BILLING = "shop-billing"


class OddError(BaseException):
    pass


def leave() -> None:
    sys.exit(3)


def close() -> None:
    raise GeneratorExit


def be_odd() -> None:
    raise OddError("odd")


def leave_together() -> None:
    raise BaseExceptionGroup("two", [SystemExit(3), ValueError("no")])


@pytest.mark.anyio
@pytest.mark.parametrize("end", [leave, close, be_odd, leave_together])
async def test_a_handler_that_ends_the_program_fails_and_the_others_go_on(
    end: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    bus = Bus("shop")
    called: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=2, first_s=0), concurrency=1)
    async def bill(order: OrderPlaced) -> None:
        called.append(order.order)
        if order.order == "bad":
            await anyio.lowlevel.checkpoint()
            end()

    with caplog.at_level(logging.CRITICAL, "busframe"):
        async with running(bus) as live:
            for order in ("bad", "good"):
                await live.publish(OrderPlaced(order))
            await until(lambda: live.counts[BILLING].dead_lettered == 1 and live.counts[BILLING].handled == 1)
            (dead,) = await dead_letters(live, "shop-billing-dead")
            await live.publish(OrderPlaced("later"))
            await until(lambda: live.counts[BILLING].handled == 2)
    assert "attempt 2 of 2: HandlerExitError: the handler raised" in reason_of(dead)
    assert sorted(called) == ["bad", "bad", "good", "later"]
    assert [record.levelno for record in caplog.records].count(logging.CRITICAL) == 2


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_an_interruption_ends_the_program_and_gives_back_what_is_in_hand(loop: str, tmp_path: Path) -> None:
    bus = Bus("shop")
    url = f"sqlite:///{tmp_path}/bus.db"

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        if order.order == "last":
            raise KeyboardInterrupt
        await anyio.sleep_forever()

    async def program() -> None:
        async with bus.connect(url) as live, live.running():
            for order in ("0", "1", "2"):
                await live.publish(OrderPlaced(order, customer="one"))
                await live.publish(OrderPlaced(order, customer=order))
            await until(lambda: live.counts[BILLING].received == 6)
            await live.publish(OrderPlaced("last", customer="last"))
            await anyio.sleep_forever()

    async def look() -> None:
        async with bus.connect(url) as live:
            stats = (await live.stats())[BILLING]
            assert (stats.visible, stats.in_flight) == (7, 0)

    with pytest.raises(BaseException) as ending:  # noqa: PT011 - asyncio has it bare, trio in groups
        anyio.run(program, backend=loop)
    assert ending.group_contains(KeyboardInterrupt) if loop == "trio" else ending.type is KeyboardInterrupt
    anyio.run(look, backend=loop)
