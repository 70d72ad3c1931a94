"""Messages that are to be tried again stay in hand where nobody else could go on: see `busframe._consume.holding`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from bus.orders import OrderPlaced
from bus.virtual import BILLING, DEAD, connected, until

from busframe import Bus, Delivery, Drop, Later, Retry
from busframe._consume.holding import HELD_PER_PLACE
from busframe._consume.verdict import NoAttempt
from busframe.errors import LeaseLostError, UnavailableError
from busframe.message import QueueName
from busframe.simulation.running import Conditions, run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe.simulation.running import Backend

ORDERED = QueueName("shop-billing.fifo")
ORDERED_DEAD = QueueName("shop-billing-dead.fifo")

HOUR_S = 3600.0


@pytest.fixture(params=["asyncio", "trio"])
def play(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    backend: Backend = request.param

    def run(program: Callable[[], Awaitable[None]]) -> None:
        run_in_virtual_time(program, Conditions(backend=backend))

    return run


class Shop:
    """Handles orders in order, each failing as often as is said.

    Attributes:
        calls: each call of the handler: the order, its attempt and when it was.
    """

    def __init__(self, failing: dict[str, int], *, retry: Retry | None = None, later_s: float | None = None) -> None:
        self.bus = Bus("shop")
        self.calls: list[tuple[str, int, float]] = []
        self.failing = failing

        @self.bus.subscribe(OrderPlaced, group="billing", ordered=True, retry=retry)
        async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
            self.calls.append((order.order, delivery.attempt, anyio.current_time()))
            if self.failing.get(order.order, 0) > 0:
                self.failing[order.order] -= 1
                raise ConnectionError if later_s is None else Later(later_s)

    @property
    def attempts(self) -> list[tuple[str, int]]:
        return [(order, attempt) for order, attempt, _ in self.calls]


def test_what_waits_behind_a_message_that_fails_loses_no_attempt(play: Callable[..., None]) -> None:
    shop = Shop({"bad": 99, "flaky": 2}, retry=Retry(attempts=5, first_s=60))

    async def story() -> None:
        async with connected(shop.bus) as (live, backend), live.running():
            for order in ("bad", "flaky", "good"):
                await live.publish(OrderPlaced(order))
            await until(lambda: live.counts[ORDERED].handled == 2)
            counts = live.counts[ORDERED]
            assert (counts.received, counts.retried, counts.dead_lettered) == (3, 6, 1)
            dead = await backend.receive(ORDERED_DEAD, limit=10, wait_s=0, lease_s=30)
            assert len(dead) == 1

    play(story)
    flaky = [("flaky", 1), ("flaky", 2), ("flaky", 3)]
    assert shop.attempts == [*(("bad", nth) for nth in range(1, 6)), *flaky, ("good", 1)]


def test_a_held_message_costs_no_more_calls_the_longer_it_is_held(play: Callable[..., None]) -> None:
    calls: list[int] = []

    for delay_s in (600, 6 * HOUR_S):
        bus = Bus("shop")

        @bus.subscribe(OrderPlaced, group="billing", ordered=True)
        async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced], delay_s: float = delay_s) -> None:
            if delivery.attempt == 1:
                raise Later(delay_s)

        async def story(bus: Bus = bus, delay_s: float = delay_s) -> None:
            async with connected(bus) as (live, backend):
                for nth in range(3):
                    await live.publish(OrderPlaced(str(nth)))
                async with live.running():
                    await until(lambda: live.counts[ORDERED].retried == 1)
                    began_s = anyio.current_time()
                    await until(lambda: live.counts[ORDERED].retried == 2)
                    assert anyio.current_time() - began_s >= delay_s - 1
                    assert live.counts[ORDERED].received == 3
                calls.append(sum(method == "extend" for method, _ in backend.batches))

        play(story)
    assert calls[0] == calls[1] <= 4


def test_held_messages_keep_no_others_from_being_handled(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    done: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, concurrency=2)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if order.customer.startswith("stuck") and delivery.attempt == 1:
            raise Later(HOUR_S)
        done.append(order.customer)

    async def story() -> None:
        async with connected(bus) as (live, _):
            for nth in range(6):
                await live.publish(OrderPlaced("o", customer=f"stuck {nth}"))
            async with live.running():
                await until(lambda: live.counts[ORDERED].retried == 6)
                for nth in range(4):
                    await live.publish(OrderPlaced("o", customer=f"free {nth}"))
                await until(lambda: len(done) == 4)
                await anyio.sleep(600)
                (health,) = live.health(stuck_after_s=10).consumers
                assert (health.in_hand, health.running, health.stuck, health.healthy) == (6, 0, 0, True)
                await until(lambda: live.counts[ORDERED].handled == 10)
                assert (live.counts[ORDERED].received, live.counts[ORDERED].redelivered) == (10, 0)

    play(story)


def test_what_is_handled_again_after_being_held_is_not_taken_for_stuck(play: Callable[..., None]) -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", ordered=True)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if delivery.attempt == 1:
            raise Later(HOUR_S)
        await anyio.sleep(30)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            await live.publish(OrderPlaced("o1"))
            await anyio.sleep(HOUR_S + 20)
            (health,) = live.health().consumers
            assert (health.running, health.stuck) == (1, 0)
            await until(lambda: live.counts[ORDERED].handled == 1)

    play(story)


def test_more_than_may_be_held_is_given_back_and_order_is_kept(play: Callable[..., None]) -> None:
    keys = 2 * HELD_PER_PLACE
    customers = [f"c{nth}" for nth in range(keys)]
    bus = Bus("shop")
    done: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, concurrency=1, retry=Retry(attempts=3, first_s=60))
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if order.order == "0" and delivery.attempt < 3:
            raise Later(300)
        done.append(order.customer + order.order)

    async def story() -> None:
        async with connected(bus) as (live, backend), live.running():
            for customer in customers:
                for nth in range(2):
                    await live.publish(OrderPlaced(str(nth), customer=customer))
            await until(lambda: live.counts[ORDERED].handled == 2 * keys)
            assert live.counts[ORDERED].redelivered > 0
            assert (await backend.stats(ORDERED_DEAD)).visible == 0

    play(story)
    for customer in customers:
        assert [each for each in done if each[:-1] == customer] == [f"{customer}0", f"{customer}1"]


def test_held_bodies_leave_room_for_others_where_bytes_are_bounded(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    done: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, bytes_in_hand_max=3000)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        if order.customer == "stuck" and delivery.attempt == 1:
            raise Later(HOUR_S)
        done.append(order.customer)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            for _ in range(2):
                await live.publish(OrderPlaced("x" * 1000, customer="stuck"))
            await until(lambda: live.counts[ORDERED].retried == 1)
            await live.publish(OrderPlaced("x", customer="free"))
            await until(lambda: done == ["free"])
            assert anyio.current_time() < HOUR_S
            await until(lambda: live.counts[ORDERED].handled == 3)

    play(story)


def test_a_drain_gives_back_what_is_held_with_the_rest_of_its_delay_and_in_order(play: Callable[..., None]) -> None:
    shop = Shop({"0": 1}, later_s=HOUR_S)

    async def story() -> None:
        async with connected(shop.bus) as (live, backend):
            async with live.running(drain_s=HOUR_S):
                for nth in range(4):
                    await live.publish(OrderPlaced(str(nth)))
                await until(lambda: live.counts[ORDERED].retried == 1)
                stopped_s = anyio.current_time()
            # At once, although handlers would have had an hour.
            assert anyio.current_time() - stopped_s < 5
            stats = await backend.stats(ORDERED)
            assert stats.visible + stats.in_flight == 4
            assert await backend.receive(ORDERED, limit=10, wait_s=0, lease_s=30) == []
            async with live.running():
                await until(lambda: live.counts[ORDERED].handled == 4)

    play(story)
    assert [order for order, _ in shop.attempts] == ["0", "0", "1", "2", "3"]
    assert HOUR_S - 1 < shop.calls[1][2] - shop.calls[0][2] < HOUR_S + 30


def test_a_lease_that_is_lost_while_held_gives_up_the_message_and_those_behind_it(play: Callable[..., None]) -> None:
    shop = Shop({"0": 1}, later_s=HOUR_S)

    async def story() -> None:
        async with connected(shop.bus) as (live, backend), live.running():
            for nth in range(4):
                await live.publish(OrderPlaced(str(nth)))
            await until(lambda: live.counts[ORDERED].retried == 1)
            backend.fail("extend", LeaseLostError("gone"))
            await until(lambda: live.counts[ORDERED].handled == 4)
            assert (live.counts[ORDERED].lost, live.counts[ORDERED].dead_lettered) == (1, 0)

    play(story)
    assert [order for order, _ in shop.attempts] == ["0", "0", "1", "2", "3"]


def test_a_delay_that_no_lease_lasts_is_waited_for_in_the_broker(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    began_s: list[float] = []

    @bus.subscribe(OrderPlaced, group="billing", ordered=True, retry=Retry(attempts=2))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        began_s.append(anyio.current_time())
        if delivery.attempt == 1:
            await anyio.sleep(HOUR_S)
            raise Later(12 * HOUR_S)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running(drain_s=0):
            for nth in range(2):
                await live.publish(OrderPlaced(str(nth)))
            await anyio.sleep(4 * 13 * HOUR_S)
            counts = live.counts[ORDERED]
            assert (counts.handled, counts.lost, counts.unsettled, counts.dead_lettered) == (2, 0, 0, 0)

    play(story)
    # What is left of the twelve hours after the first.
    assert 11.9 * HOUR_S < began_s[1] - began_s[0] < 12.1 * HOUR_S


def test_a_dead_letter_queue_that_is_away_holds_the_message_and_those_behind_it(play: Callable[..., None]) -> None:
    shop = Shop({"bad": 99}, retry=Retry(attempts=1))

    async def story() -> None:
        async with connected(shop.bus) as (live, backend), live.running():
            backend.fail(f"send {ORDERED_DEAD}", *[UnavailableError("away", effect="none")] * 30)
            for order in ("bad", "good"):
                await live.publish(OrderPlaced(order))
            await until(lambda: live.counts[ORDERED].handled == 1)
            assert (live.counts[ORDERED].received, live.counts[ORDERED].dead_lettered) == (2, 1)

    play(story)
    assert [order for order, _ in shop.attempts[-2:]] == ["bad", "good"]
    assert len(shop.attempts) > 2


@pytest.mark.parametrize("ordered", [False, True])
def test_what_nobody_could_begin_on_is_waited_for_and_is_no_attempt(
    play: Callable[..., None],
    ordered: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    bus = Bus("shop")
    attempts: list[int] = []
    queue = ORDERED if ordered else BILLING

    @bus.subscribe(OrderPlaced, group="billing", ordered=ordered, retry=Retry(attempts=3))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        if len(attempts) < 20:
            raise NoAttempt("the inbox does not answer", 5)

    async def story() -> None:
        async with connected(bus) as (live, backend), live.running():
            await live.publish(OrderPlaced("o1"))
            await live.publish(OrderPlaced("o2"))
            await until(lambda: live.counts[queue].handled == 2)
            assert live.counts[queue].received == 2
            assert (await backend.stats(ORDERED_DEAD if ordered else DEAD)).visible == 0

    play(story)
    assert set(attempts) == {1}


def test_one_that_waits_without_an_attempt_does_not_hold_up_its_key_on_a_queue_without_order(
    play: Callable[..., None],
) -> None:
    bus = Bus("shop")
    ended: list[str] = []
    working = 0

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        nonlocal working
        if order.order == "0" and not ended:
            raise NoAttempt("not now", 5)
        working += 1
        assert working == 1
        await anyio.sleep(10)
        working -= 1
        ended.append(order.order)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            for nth in range(2):
                await live.publish(OrderPlaced(str(nth)))
            await until(lambda: live.counts[BILLING].handled == 2)
            assert (live.counts[BILLING].received, live.counts[BILLING].retried) == (2, 1)

    play(story)
    assert ended == ["1", "0"]


def test_a_job_does_not_wait_for_what_is_held(play: Callable[..., None]) -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", ordered=True)
    async def bill(order: OrderPlaced) -> None:
        if order.customer == "busy":
            raise Later(HOUR_S)
        raise Drop("seen")

    async def story() -> None:
        async with connected(bus) as (live, backend):
            for customer in ("busy", "busy", "ada"):
                await live.publish(OrderPlaced("o", customer=customer))
            began_s = anyio.current_time()
            await live.work(until_empty=True)
            assert anyio.current_time() - began_s < 60
            assert (live.counts[ORDERED].handled, live.counts[ORDERED].retried) == (1, 1)
            stats = await backend.stats(ORDERED)
            assert stats.visible + stats.in_flight == 2

    play(story)


@pytest.mark.parametrize(("lease_s", "hours"), [(12 * HOUR_S, 8), (12 * HOUR_S, 11.9), (6 * HOUR_S, 11), (30, 11)])
def test_a_handler_may_take_nearly_twelve_hours_whatever_the_lease(
    play: Callable[..., None], lease_s: float, hours: float
) -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", lease_s=lease_s)
    async def bill(_: OrderPlaced) -> None:
        await anyio.sleep(hours * HOUR_S)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            await live.publish(OrderPlaced("o1"))
            await anyio.sleep(12 * HOUR_S)
            counts = live.counts[BILLING]
            assert (counts.received, counts.handled, counts.lost) == (1, 1, 0)

    play(story)


def test_a_handler_that_takes_longer_is_cancelled_when_its_lease_cannot_last(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    took_s: list[float] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=600)
    async def bill(_: OrderPlaced) -> None:
        began_s = anyio.current_time()
        try:
            await anyio.sleep(13 * HOUR_S if not took_s else 1)
        finally:
            took_s.append(anyio.current_time() - began_s)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            await live.publish(OrderPlaced("o1"))
            await anyio.sleep(13 * HOUR_S)
            assert (live.counts[BILLING].lost, live.counts[BILLING].handled) == (1, 1)

    play(story)
    assert 12 * HOUR_S - 60 < took_s[0] <= 12 * HOUR_S


def test_a_message_that_is_put_off_for_twelve_hours_after_an_hour_comes_once(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    began_s: list[float] = []

    @bus.subscribe(OrderPlaced, group="billing", lease_s=30, retry=Retry(attempts=2))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        began_s.append(anyio.current_time())
        if delivery.attempt == 1:
            await anyio.sleep(HOUR_S)
            raise Later(12 * HOUR_S)

    async def story() -> None:
        async with connected(bus) as (live, _), live.running():
            await live.publish(OrderPlaced("o1"))
            await anyio.sleep(25 * HOUR_S)
            counts = live.counts[BILLING]
            assert (counts.handled, counts.retried, counts.unsettled, counts.lost) == (1, 1, 0, 0)

    play(story)
    assert 12 * HOUR_S - 60 < began_s[1] - began_s[0] <= 12 * HOUR_S + 60
