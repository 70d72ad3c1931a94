"""No message is given up for what happened to others, on any broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from bus.orders import OrderPlaced

from busframe import Bus, Delivery, Later, Retry
from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from busframe import Live

pytestmark = pytest.mark.anyio

PATIENCE_S = 60.0
ORDERED = "shop-billing.fifo"


@pytest.fixture(params=["memory", "sqlite", "sqs"])
def connect(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[Callable[[Bus], AbstractAsyncContextManager[Live]], None, None]:
    """Connect a bus to it; for `memory`, each connection is a broker of its own."""
    file = f"sqlite:///{tmp_path}/bus.db"
    if request.param == "memory":
        yield lambda bus: bus.connect("memory://")
    elif request.param == "sqlite":
        yield lambda bus: bus.connect(file)
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with run_in_thread() as server:
            url = f"sqs://eu-west-1?endpoint_url={server.url}&wait_s=1"
            yield lambda bus: bus.connect(url, recipients=file)


async def test_heads_that_fail_wear_out_none_of_those_behind_them(
    connect: Callable[[Bus], AbstractAsyncContextManager[Live]],
) -> None:
    bus = Bus("shop")
    calls: list[tuple[str, int]] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, retry=Retry(attempts=5, first_s=0.002, cap_s=0.002))
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        calls.append((order.order, delivery.attempt))
        if order.order.startswith("bad") or calls == [*calls[:-1], ("flaky", 1)]:
            raise ConnectionError

    orders = [*(f"bad {nth}" for nth in range(7)), "flaky", "good"]
    with anyio.fail_after(PATIENCE_S):
        async with connect(bus) as live:
            for order in orders:
                await live.publish(OrderPlaced(order))
            async with live.running():
                while live.counts[ORDERED].handled < 2:  # noqa: ASYNC110 - it looks from outside
                    await anyio.sleep(0.001)
            letters = await live.dead_letters("shop/billing").list()
    bad = [(f"bad {nth}", attempt) for nth in range(7) for attempt in range(1, 6)]
    assert calls == [*bad, ("flaky", 1), ("flaky", 2), ("good", 1)]
    assert [letter.reason for letter in letters] == ["attempt 5 of 5: ConnectionError: "] * 7


async def test_workers_that_stop_wear_out_none_of_those_behind_the_message_they_were_at(
    connect: Callable[[Bus], AbstractAsyncContextManager[Live]],
) -> None:
    bus = Bus("shop")
    calls: list[str] = []
    goes_on = anyio.Event()
    policy = Retry(attempts=2, first_s=0.002, cap_s=0.002)

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, retry=policy)
    async def bill(order: OrderPlaced) -> None:
        calls.append(order.order)
        if order.order == "long":
            await goes_on.wait()
        elif calls.count("flaky") == 1:
            raise ConnectionError

    with anyio.fail_after(PATIENCE_S):
        async with connect(bus) as live:
            for order in ("long", "flaky"):
                await live.publish(OrderPlaced(order))
            for life in range(1, 5):
                async with live.running(drain_s=0):
                    while calls.count("long") < life:  # noqa: ASYNC110 - it looks from outside
                        await anyio.sleep(0.001)
            goes_on.set()
            async with live.running():
                while live.counts[ORDERED].handled < 2:  # noqa: ASYNC110 - it looks from outside
                    await anyio.sleep(0.001)
            assert not await live.dead_letters("shop/billing").list()
    assert calls == ["long"] * 5 + ["flaky"] * 2


async def test_not_now_on_an_ordered_queue_does_not_count(
    connect: Callable[[Bus], AbstractAsyncContextManager[Live]],
) -> None:
    bus = Bus("shop")
    calls: list[tuple[str, int]] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, retry=Retry(attempts=2))
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        calls.append((order.order, delivery.attempt))
        if len(calls) < 15:
            raise Later(0, count=False)

    with anyio.fail_after(PATIENCE_S):
        async with connect(bus) as live:
            for order in ("first", "second"):
                await live.publish(OrderPlaced(order))
            async with live.running():
                while live.counts[ORDERED].handled < 2:  # noqa: ASYNC110 - it looks from outside
                    await anyio.sleep(0.001)
    assert calls == [*[("first", 1)] * 15, ("second", 1)]


async def test_a_stream_that_is_opened_and_closed_over_and_over_loses_nothing(
    connect: Callable[[Bus], AbstractAsyncContextManager[Live]],
) -> None:
    with anyio.fail_after(PATIENCE_S):
        async with connect(Bus("shop")) as live:
            async with live.stream(OrderPlaced, group="audit", retry=Retry(attempts=1)):
                pass
            await live.publish(OrderPlaced("o1"))
            for nth in range(1, 9):
                async with live.stream(OrderPlaced, group="audit", retry=Retry(attempts=1)) as deliveries:
                    while live.counts["shop-audit"].received < nth:  # noqa: ASYNC110 - it looks from outside
                        await anyio.sleep(0.001)
            async with (
                live.stream(OrderPlaced, group="audit", retry=Retry(attempts=1)) as deliveries,
                await anext(deliveries) as delivery,
            ):
                assert (delivery.payload.order, delivery.attempt) == ("o1", 1)
