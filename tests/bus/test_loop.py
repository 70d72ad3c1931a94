"""Traps that consume loops fall into, each in virtual time on both event loops."""

from __future__ import annotations

import asyncio  # noqa: TID251 - what handlers on asyncio may do is what is tried
import logging
from contextvars import ContextVar
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from bus.faulty import FaultyAtOnce
from bus.orders import OrderPlaced
from bus.virtual import BILLING, DEAD, connected, until

from busframe import Bus, Delivery, Retry
from busframe.backend import Immediate
from busframe.errors import LeaseLostError, ThrottledError, UnavailableError
from busframe.message import Failed, QueueName
from busframe.simulation.running import Conditions, run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.message import Received, Settlement, SettleOutcome
    from busframe.simulation.running import Backend

ORDERED = QueueName("shop-billing.fifo")


pytestmark = pytest.mark.usefixtures("either_form")


@pytest.fixture(params=["asyncio", "trio"])
def play(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    backend: Backend = request.param

    def run(program: Callable[[], Awaitable[None]]) -> None:
        run_in_virtual_time(program, Conditions(backend=backend))

    return run


Play = "Callable[[Callable[[], Awaitable[None]]], None]"


def test_leases_are_kept_while_a_drain_lasts(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    began: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=10)
    async def bill(order: OrderPlaced) -> None:
        began.append(order.order)
        await anyio.sleep(100)

    async def story() -> None:
        async with connected(bus) as (live, backend):
            async with live.running(drain_s=300):
                await live.publish(OrderPlaced("o1"))
                await until(lambda: live.counts[BILLING].received == 1)
            assert (await backend.stats(BILLING)).visible == 0
            assert live.counts[BILLING].handled == 1

    play(story)
    assert began == ["o1"]


def test_what_waits_behind_a_message_is_given_back_when_a_drain_begins(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    begun: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True)
    async def bill(order: OrderPlaced) -> None:
        begun.append(order.order)
        await anyio.sleep(20)

    async def story() -> None:
        async with connected(bus) as (live, backend):
            for n in range(5):
                await live.publish(OrderPlaced(str(n)))
            async with live.running(drain_s=60):
                await until(lambda: live.counts[ORDERED].received == 5)
            stats = await backend.stats(ORDERED)
            assert (stats.visible, stats.in_flight) == (4, 0)

    play(story)
    assert begun == ["0"]


def test_stopping_costs_no_attempt_of_what_waits_for_its_key(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    begun: list[tuple[str, int]] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        begun.append((order.order, delivery.attempt))
        await anyio.sleep(20)

    async def story() -> None:
        async with connected(bus) as (live, _):
            for n in range(4):
                await live.publish(OrderPlaced(str(n)))
            for _ in range(4):
                async with live.running(drain_s=60):
                    await until(lambda: len(begun) > live.counts[BILLING].handled)
            assert live.counts[BILLING].handled == 4

    play(story)
    assert sorted(begun) == [(str(n), 1) for n in range(4)]


def test_leases_of_messages_that_wait_for_their_turn_are_kept(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    handled: list[tuple[str, int]] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=10, concurrency=10)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        await anyio.sleep(30)
        handled.append((order.order, delivery.attempt))

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            for n in range(5):
                await live.publish(OrderPlaced(str(n), customer="the same"))
            await until(lambda: live.counts[BILLING].handled == 5)

    play(story)
    assert sorted(handled) == [(str(n), 1) for n in range(5)]


def test_a_lost_settlement_brings_the_message_again_and_is_counted(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=30)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)

    async def story() -> None:
        async with connected(bus) as (live, backend):
            backend.fail("settle", LeaseLostError("too late"))
            async with live.running():
                await live.publish(OrderPlaced("o1"))
                await until(lambda: live.counts[BILLING].handled == 1)
            counts = live.counts[BILLING]
            assert (counts.unsettled, counts.redelivered) == (1, 1)

    play(story)
    assert attempts == [1, 2]


def test_the_room_for_messages_does_not_drift_whatever_becomes_of_them(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    at_once: list[int] = []
    running: set[str] = set()

    @bus.subscribe(OrderPlaced, group="billing", lease_s=10, concurrency=3, retry=Retry(attempts=2, first_s=0))
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        running.add(order.order)
        at_once.append(len(running))
        try:
            await anyio.sleep(12)
            if int(order.order) % 3 == 0 and delivery.attempt == 1:
                raise ConnectionError
        finally:
            running.discard(order.order)

    async def story() -> None:
        async with connected(bus) as (live, backend):
            for n in range(30):
                await live.publish(OrderPlaced(str(n), customer=str(n)))
            backend.fail("extend", LeaseLostError("gone"), ThrottledError("slow"), LeaseLostError("gone"))
            backend.fail("settle", LeaseLostError("gone"), UnavailableError("reset"), LeaseLostError("gone"))
            backend.fail("receive", UnavailableError("reset"), ThrottledError("slow"))
            async with live.running():
                await until(lambda: live.counts[BILLING].handled + live.counts[BILLING].dead_lettered >= 30)
                await anyio.sleep(60)
                (health,) = live.health().consumers
                assert health.in_hand == 0
                at_once.clear()
                for n in range(30, 60):
                    await live.publish(OrderPlaced(str(n), customer=str(n)))
                await until(lambda: live.counts[BILLING].handled + live.counts[BILLING].dead_lettered >= 60)
            assert max(at_once) == 3

    play(story)


def test_no_more_is_fetched_while_the_bodies_in_hand_are_too_large_together(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    most = 0

    @bus.subscribe(OrderPlaced, group="billing", concurrency=100, bytes_in_hand_max=50_000)
    async def bill(_: OrderPlaced) -> None:
        await anyio.sleep(10)

    async def story() -> None:
        nonlocal most
        async with connected(bus) as (live, backend):
            for n in range(60):
                await live.publish(OrderPlaced("x" * 10_000, customer=str(n)))
            async with live.running():
                while live.counts[BILLING].handled < 60:
                    most = max(most, (await backend.stats(BILLING)).in_flight)
                    await anyio.sleep(1)

    play(story)
    # Fifty thousand bytes are five messages; the receive that passes the mark brings ten at most.
    assert 5 <= most <= 14


def test_a_handler_that_takes_too_long_has_failed(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", timeout_s=5, retry=Retry(attempts=2, first_s=0))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        await anyio.sleep(60 if delivery.attempt == 1 else 1)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            await live.publish(OrderPlaced("o1"))
            await until(lambda: live.counts[BILLING].handled == 1)
            assert live.counts[BILLING].lost == 0

    play(story)
    assert attempts == [1, 2]


def test_an_error_never_to_be_tried_again_is_not_swallowed_by_back_off(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=9, first_s=3600, never=(ValueError,)))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)

    async def fail() -> None:
        raise UnicodeError("hopeless")  # a ValueError, and wrapped in an ExceptionGroup by the task group

    async def story() -> None:
        async with connected(bus) as (live, backend), live.running():
            await live.publish(OrderPlaced("o1"))
            await until(lambda: live.counts[BILLING].dead_lettered == 1)
            assert (await backend.stats(DEAD)).visible == 1

    play(story)
    assert attempts == [1]


@pytest.mark.parametrize("concurrency", [1, 10])
def test_what_one_handler_leaves_in_context_variables_no_other_sees(
    play: Callable[..., None], concurrency: int
) -> None:
    bus = Bus("shop")
    outside: ContextVar[str] = ContextVar("outside")
    mark: ContextVar[str] = ContextVar("mark", default="nothing")
    seen: list[tuple[str, str]] = []

    @bus.subscribe(OrderPlaced, group="billing", concurrency=concurrency)
    async def bill(order: OrderPlaced) -> None:
        seen.append((outside.get(), mark.get()))
        mark.set(order.order)
        outside.set("changed")

    async def story() -> None:
        outside.set("as the program set it")
        async with connected(bus) as (live, _), live.running():
            for n in range(25):
                await live.publish(OrderPlaced(str(n), customer=str(n % 3)))
            await until(lambda: live.counts[BILLING].handled == 25)
        assert mark.get() == "nothing"

    play(story)
    assert seen == [("as the program set it", "nothing")] * 25


def test_a_handler_that_is_cancelled_from_within_has_failed_and_the_consumer_goes_on() -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", concurrency=2, retry=Retry(attempts=3, first_s=0))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            other = asyncio.ensure_future(asyncio.sleep(100))
            asyncio.get_running_loop().call_soon(other.cancel)
            await other  # raises its cancellation in here
        if delivery.attempt == 2:
            this: asyncio.Task[Any] | None = asyncio.current_task()
            assert this is not None
            this.cancel()
            await anyio.sleep(100)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            for n in range(6):
                await live.publish(OrderPlaced(str(n), customer=str(n)))
            await until(lambda: live.counts[BILLING].handled == 6)
            assert live.counts[BILLING].dead_lettered == 0

    run_in_virtual_time(story, Conditions(backend="asyncio"))
    assert sorted(attempts) == [1] * 6 + [2] * 6 + [3] * 6


def test_handlers_that_wait_do_not_hold_up_those_that_do_not(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    ended: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", concurrency=20)
    async def bill(order: OrderPlaced) -> None:
        if order.order.startswith("slow"):
            await anyio.sleep(50)
        ended.append(order.order)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            for n in range(10):
                await live.publish(OrderPlaced(f"slow {n}", customer=f"s{n}"))
                await live.publish(OrderPlaced(f"quick {n}", customer=f"q{n}"))
            await anyio.sleep(10)
            assert sorted(ended) == [f"quick {n}" for n in range(10)]
            await until(lambda: len(ended) == 20)

    play(story)


def test_handlers_that_never_wait_let_others_run(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    handled: list[str] = []
    turns: list[int] = []
    rush: anyio.Event

    @bus.subscribe(OrderPlaced, group="billing", concurrency=1000)
    async def bill(order: OrderPlaced) -> None:
        if order.order == "0":
            await anyio.sleep(60)
            rush.set()
            await anyio.lowlevel.checkpoint()
        handled.append(order.order)

    async def story() -> None:
        nonlocal rush
        rush = anyio.Event()
        async with connected(bus) as (live, _):
            for n in range(500):
                await live.publish(OrderPlaced(str(n), customer="the same"))
            async with live.running():
                # All others wait behind the first, and then run one after the other.
                await rush.wait()
                assert live.counts[BILLING].received == 500
                while len(handled) < 500:
                    turns.append(len(handled))
                    await anyio.lowlevel.checkpoint()

    play(story)
    assert len(turns) > 10
    assert max(after - before for before, after in pairwise(turns)) <= 64


def test_a_message_whose_place_in_its_group_is_lost_takes_those_behind_it_with_it(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    ended: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, lease_s=30)
    async def bill(order: OrderPlaced) -> None:
        await anyio.sleep(20)
        ended.append(order.order)

    async def story() -> None:
        async with connected(bus) as (live, backend):
            for n in range(4):
                await live.publish(OrderPlaced(str(n)))
            backend.fail("extend", LeaseLostError("gone"))
            async with live.running():
                await until(lambda: live.counts[ORDERED].handled == 4)

    play(story)
    assert [order for nth, order in enumerate(ended) if order not in ended[:nth]] == ["0", "1", "2", "3"]


def test_an_acknowledgement_that_fails_on_an_ordered_queue_holds_back_those_behind(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    ended: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, lease_s=30)
    async def bill(order: OrderPlaced) -> None:
        ended.append(order.order)

    async def story() -> None:
        async with connected(bus) as (live, backend):
            for n in range(4):
                await live.publish(OrderPlaced(str(n)))
            backend.fail("settle", LeaseLostError("gone"))
            async with live.running():
                await until(lambda: live.counts[ORDERED].handled == 4)

    play(story)
    assert ended == ["0", "0", "1", "2", "3"]


def test_a_poll_that_never_comes_back_is_given_up(play: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus("shop")
    hanging = True

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async def story() -> None:
        async with connected(bus) as (live, backend):
            receive = backend.receive

            async def hang_once(queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
                nonlocal hanging
                if hanging:
                    hanging = False
                    await anyio.sleep_forever()
                return await receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)

            backend.receive = hang_once  # type: ignore[method-assign]
            async with live.running():
                await live.publish(OrderPlaced("o1"))
                await until(lambda: live.counts[BILLING].handled == 1)
                assert anyio.current_time() < 60

    with caplog.at_level(logging.WARNING, "busframe"):
        play(story)
    assert "no answer within" in caplog.text


def test_extensions_that_never_come_back_lose_the_lease_in_time(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    stopped_s: list[float] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=30)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if delivery.attempt == 1:
            began_s = anyio.current_time()
            try:
                await anyio.sleep(3600)
            finally:
                stopped_s.append(anyio.current_time() - began_s)

    async def story() -> None:
        async with connected(bus) as (live, backend):

            async def hang(_: QueueName, __: Sequence[object]) -> Sequence[SettleOutcome]:
                await anyio.sleep_forever()
                raise AssertionError

            backend.extend = hang  # type: ignore[assignment,method-assign]
            async with live.running():
                await live.publish(OrderPlaced("o1"))
                await until(lambda: live.counts[BILLING].handled == 1)
            assert live.counts[BILLING].lost == 1

    play(story)
    assert len(stopped_s) == 1
    assert stopped_s[0] <= 31


def _settle_ten(
    play: Callable[..., None],
    first: Callable[[Sequence[Settlement]], tuple[list[SettleOutcome], Sequence[Settlement]]],
) -> list[int]:
    """Have ten messages handled, and all settled in the end.

    Args:
        play: the fixture.
        first: what the first settlement is answered, and which of its entries are settled, for the rest of the answer.

    Returns:
        How many entries each settlement had.
    """
    bus = Bus("shop")
    asked: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", concurrency=10)
    async def bill(_: OrderPlaced) -> None: ...

    def answered(batch: Sequence[Settlement]) -> tuple[list[SettleOutcome], Sequence[Settlement]]:
        asked.append(len(batch))
        return first(batch) if len(asked) == 1 else ([], batch)

    async def story() -> None:
        async with connected(bus) as (live, backend):
            async with anyio.create_task_group() as tasks:
                for n in range(10):
                    tasks.start_soon(live.publish, OrderPlaced(str(n), customer=str(n)))
            settle = backend.settle

            async def settle_otherwise(queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
                outcomes, rest = answered(batch)
                return [*outcomes, *(await settle(queue, rest) if rest else ())]

            def settle_otherwise_now(queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
                assert isinstance(backend.inner, Immediate)
                outcomes, rest = answered(batch)
                return [*outcomes, *(backend.inner.settle_now(queue, rest) if rest else ())]

            backend.settle = settle_otherwise  # type: ignore[method-assign]
            if isinstance(backend, FaultyAtOnce):
                backend.settle_now = settle_otherwise_now  # type: ignore[method-assign]
            async with live.running():
                await until(lambda: live.counts[BILLING].handled == 10)
            assert (await backend.stats(BILLING)).in_flight == 0

    play(story)
    return asked


def test_settlements_that_fail_one_by_one_are_repeated_one_by_one(play: Callable[..., None]) -> None:
    throttled: list[SettleOutcome] = [Failed(error=ThrottledError("slow down"))] * 2
    assert sum(_settle_ten(play, lambda batch: (throttled, batch[2:]))) == 12


def test_a_settlement_that_the_answer_leaves_out_is_not_taken_for_done(play: Callable[..., None]) -> None:
    asked = _settle_ten(play, lambda _: ([], []))
    assert sum(asked) == 10 + asked[0]
