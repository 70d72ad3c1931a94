"""How many receives a consumer has under way: decided from how polls come back, and seen from the broker."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import anyio
import pytest
from bus.distant import ROUND_TRIP_S, DistantBackend
from bus.orders import OrderPlaced
from bus.virtual import BILLING, connected_by, until

from busframe import Bus, Retry
from busframe._consume.bounds import LOOK_S
from busframe._consume.in_hand import InHand
from busframe._consume.polling import Polling
from busframe._consume.polls import POLLS_MAX, PollCount
from busframe.errors import AccessDeniedError, UnavailableError
from busframe.message import QueueName
from busframe.simulation.running import Conditions, run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busframe import Live
    from busframe._consume.leases import Lease
    from busframe.message import Received
    from busframe.simulation.running import Backend

ORDERED = QueueName("shop-billing.fifo")
TRIP_S = 0.02


@pytest.fixture(params=["asyncio", "trio"])
def play(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    backend: Backend = request.param

    def run(program: Callable[[], Awaitable[None]]) -> None:
        run_in_virtual_time(program, Conditions(backend=backend))

    return run


async def publish_many(live: Live, count: int) -> None:
    async with anyio.create_task_group() as tasks:
        for n in range(count):
            tasks.start_soon(live.publish, OrderPlaced(str(n), customer=str(n)))


# --- deciding ---------------------------------------------------------------------------------------------------------


def count_after(*polls: tuple[int, int, float]) -> int:
    count = PollCount(10)
    for asked, got, took_s in polls:
        count.came_back(asked, got, took_s)
    return count.wanted


def test_full_polls_call_for_more_up_to_a_bound() -> None:
    assert count_after() == 1
    assert count_after((10, 10, TRIP_S)) == 2
    assert count_after((10, 9, TRIP_S), (10, 10, TRIP_S)) == 3
    assert count_after(*[(10, 10, TRIP_S)] * 100) == POLLS_MAX


def test_polls_that_come_back_short_are_too_many() -> None:
    full = [(10, 10, TRIP_S)] * 5
    assert count_after(*full) == 6
    assert count_after(*full, (10, 8, TRIP_S)) == 6
    assert count_after(*full, (10, 6, TRIP_S)) == 5
    assert count_after(*full, *[(10, 1, TRIP_S)] * 100) == 1
    assert count_after(*full, (10, 0, TRIP_S)) == 1


def test_polls_that_take_no_time_need_no_company() -> None:
    assert count_after(*[(10, 10, 0.0001)] * 100) == 1
    assert count_after((10, 10, TRIP_S), (10, 10, TRIP_S), (10, 10, 0.0001)) == 2


def test_a_poll_that_was_short_of_room_calls_for_no_other() -> None:
    assert count_after(*[(3, 3, TRIP_S)] * 100) == 1


def test_polls_that_fail_together_are_one_failure() -> None:
    polling = Polling()
    polling.good(1.0, 0.5)
    assert polling.is_news(1.0)
    polling.bad(AccessDeniedError("no"), 2.0, 0.5)
    assert not polling.is_news(1.0)
    assert polling.is_news(polling.due_s)


def test_the_answer_to_a_poll_that_began_before_a_failure_is_no_recovery() -> None:
    polling = Polling()
    polling.bad(UnavailableError("away"), 2.0, 0.5)
    assert not polling.good(2.1, 1.9)
    assert (polling.state, polling.failures, polling.good_s) == ("backing off", 1, 2.1)
    assert polling.good(2.6, 2.5)
    assert polling.failures == 0


# --- seen from the broker ---------------------------------------------------------------------------------------------


def test_at_load_several_polls_are_under_way_and_come_back_full(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    count = 3000
    took_s = 0.0

    @bus.subscribe(OrderPlaced, group="billing", concurrency=200)
    async def bill(_: OrderPlaced) -> None: ...

    async def story() -> None:
        nonlocal took_s
        async with connected_by(bus, DistantBackend) as (live, backend):
            await publish_many(live, count)
            begun_s = anyio.current_time()
            async with live.running():
                while live.counts[BILLING].handled < count:  # noqa: ASYNC110 - looks from outside
                    await anyio.sleep(0.001)
                took_s = anyio.current_time() - begun_s
                assert backend.under_way_max <= POLLS_MAX
        bringing = [got for _, _, got in backend.polls if got]
        assert sum(bringing) / len(bringing) > 9.5
        assert len(backend.polls) - len(bringing) <= POLLS_MAX

    play(story)
    one_poll_s = count / 10 * ROUND_TRIP_S
    assert took_s < one_poll_s / 3


def test_after_a_rush_one_poll_is_left_and_an_idle_minute_costs_three(play: Callable[..., None]) -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", concurrency=200)
    async def bill(_: OrderPlaced) -> None: ...

    async def story() -> None:
        async with connected_by(bus, DistantBackend) as (live, backend):
            await publish_many(live, 500)
            async with live.running():
                await until(lambda: live.counts[BILLING].handled == 500)
                assert backend.under_way_max > 3
                await anyio.sleep(30)
                begun = len(backend.polls)
                for _ in range(600):
                    assert backend.under_way <= 1
                    await anyio.sleep(1)
                assert 29 <= len(backend.polls) - begun <= 31

    play(story)


def test_a_trickle_is_received_with_one_poll(play: Callable[..., None]) -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", concurrency=200)
    async def bill(_: OrderPlaced) -> None: ...

    async def story() -> None:
        async with connected_by(bus, DistantBackend) as (live, backend), live.running():
            for n in range(200):
                await live.publish(OrderPlaced(str(n), customer=str(n)))
            await until(lambda: live.counts[BILLING].handled == 200)
            assert backend.under_way_max == 1

    play(story)


def test_a_broker_that_answers_at_once_is_asked_by_one_poll(play: Callable[..., None]) -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", concurrency=200)
    async def bill(_: OrderPlaced) -> None: ...

    async def story() -> None:
        async with connected_by(bus, partial(DistantBackend, round_trip_s=0)) as (live, backend):
            await publish_many(live, 1000)
            async with live.running():
                await until(lambda: live.counts[BILLING].handled == 1000)
            assert backend.under_way_max == 1

    play(story)


@pytest.mark.parametrize("concurrency", [1, 7, 10, 25, 60])
def test_several_polls_bring_no_more_than_there_is_room_for(play: Callable[..., None], concurrency: int) -> None:
    bus = Bus("shop")
    count = 20 * concurrency

    @bus.subscribe(OrderPlaced, group="billing", concurrency=concurrency)
    async def bill(_: OrderPlaced) -> None:
        await anyio.sleep(0.005)

    async def story() -> None:
        async with connected_by(bus, DistantBackend) as (live, backend):
            await publish_many(live, count)
            async with live.running():
                while live.counts[BILLING].handled < count:
                    assert (await backend.stats(BILLING)).in_flight <= concurrency
                    await anyio.sleep(0.001)
            assert live.counts[BILLING].redelivered == 0

    play(story)


def test_several_polls_keep_to_the_bound_on_bytes_but_for_one_receive(play: Callable[..., None]) -> None:
    """Ten messages may have ten MiB: with room for 25 MiB there may be two polls under way."""
    bus = Bus("shop")
    mib = 1 << 20

    @bus.subscribe(OrderPlaced, group="billing", concurrency=500, bytes_in_hand_max=25 * mib)
    async def bill(_: OrderPlaced) -> None:
        await anyio.sleep(0.001)

    async def story() -> None:
        async with connected_by(bus, DistantBackend) as (live, backend):
            await publish_many(live, 1000)
            async with live.running():
                await until(lambda: live.counts[BILLING].handled == 1000)
            assert backend.under_way_max == 2

    play(story)


class BesideIsLater(DistantBackend):
    """Has the poll that waits for long served before those beside it."""

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        if wait_s <= LOOK_S:
            await anyio.sleep(0.001)
        return await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)


def test_room_that_a_poll_gives_back_is_used_while_handlers_go_on(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    running: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", concurrency=30)
    async def bill(order: OrderPlaced) -> None:
        running.append(order.order)
        await anyio.sleep(3600)

    async def story() -> None:
        async with connected_by(bus, BesideIsLater) as (live, backend):
            await publish_many(live, 20)
            async with live.running(drain_s=0):
                await until(lambda: len(running) == 20 and backend.polls[-1][2] == 0)
                for n in range(20, 30):
                    await live.publish(OrderPlaced(str(n), customer=str(n)))
                with anyio.fail_after(60):
                    await until(lambda: len(running) == 30)

    play(story)


def test_room_that_messages_tried_again_have_taken_is_not_asked_for(play: Callable[..., None]) -> None:
    """What was held takes up places again while a receive waits for company of the few that are free."""

    async def story() -> None:
        in_hand = InHand(count_max=8, bytes_max=None)
        leases = [cast("Lease", object()) for _ in range(9)]
        for lease in leases:
            in_hand.add(lease)
        in_hand.hold(2)  # one place is free
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                places.append(await in_hand.reserve(10))

            tasks.start_soon(ask)
            await anyio.sleep(0.01)
            in_hand.hold(-2)
            await anyio.sleep(1)
            assert not places
            in_hand.remove(leases[0])
            in_hand.remove(leases[1])

    places: list[int] = []
    play(story)
    assert places == [1]


def test_an_error_has_all_polls_wait_and_counts_once(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    count = 2000

    @bus.subscribe(OrderPlaced, group="billing", concurrency=200)
    async def bill(_: OrderPlaced) -> None: ...

    async def story() -> None:
        async with connected_by(bus, DistantBackend) as (live, backend):
            await publish_many(live, count)
            async with live.running():
                while backend.under_way_max < POLLS_MAX:  # noqa: ASYNC110 - looks from outside
                    await anyio.sleep(0.001)
                backend.fail("receive", *[AccessDeniedError("not allowed")] * backend.under_way)
                while not live.health().consumers[0].failures:  # noqa: ASYNC110 - the same
                    await anyio.sleep(0.001)
                failed_s = anyio.current_time()
                await anyio.sleep(ROUND_TRIP_S)
                health = live.health().consumers[0]
                assert (health.state, health.failures) == ("backing off", 1)
                await until(lambda: live.counts[BILLING].handled == count)
                assert live.health().consumers[0].state == "running"
            after = [asked_s for asked_s, _, _ in backend.polls if asked_s > failed_s + 0.001]
            assert min(after) >= failed_s + 0.09
            assert sum(asked_s <= min(after) + 0.001 for asked_s in after) == 1

    play(story)


def test_a_broker_that_fails_every_third_poll_gets_everything_handled(play: Callable[..., None]) -> None:
    bus = Bus("shop")
    count = 600

    @bus.subscribe(OrderPlaced, group="billing", concurrency=100)
    async def bill(_: OrderPlaced) -> None: ...

    class Shaky(DistantBackend):
        def _meet(self, method: str, size: int = 0) -> None:
            super()._meet(method, size)
            if method == "receive" and sum(name == "receive" for name, _ in self.batches) % 3 == 0:
                raise UnavailableError("shaky")

    async def story() -> None:
        async with connected_by(bus, Shaky) as (live, _), live.running():
            await publish_many(live, count)
            await until(lambda: live.counts[BILLING].handled == count)

    play(story)


@pytest.mark.parametrize("after_ms", [1, 12, 25, 41, 58, 77, 110])
def test_a_drain_ends_all_polls_and_gives_back_what_they_bring(play: Callable[..., None], after_ms: int) -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", concurrency=200)
    async def bill(_: OrderPlaced) -> None: ...

    async def story() -> None:
        async with connected_by(bus, DistantBackend) as (live, backend):
            await publish_many(live, 1000)
            async with live.running():
                await anyio.sleep(after_ms / 1000)
            assert backend.under_way == 0
            stats = await backend.stats(BILLING)
            assert (stats.visible, stats.in_flight) == (1000 - live.counts[BILLING].handled, 0)

    play(story)


@pytest.mark.parametrize("seed", range(3))
def test_order_holds_with_several_polls_whose_answers_overtake_each_other(play: Callable[..., None], seed: int) -> None:
    bus = Bus("shop")
    keys, each = 60, 12
    begun: dict[str, list[int]] = {str(key): [] for key in range(keys)}
    done: dict[str, list[int]] = {str(key): [] for key in range(keys)}
    busy: set[str] = set()

    @bus.subscribe(
        OrderPlaced, group="billing", ordered=True, concurrency=120, retry=Retry(attempts=9, first_s=0.05, cap_s=0.1)
    )
    async def bill(order: OrderPlaced) -> None:
        key, number = order.customer, int(order.order)
        assert key not in busy
        busy.add(key)
        try:
            begun[key].append(number)
            await anyio.sleep(0.001 * (number % 3))
            if (int(key) + number) % 11 == 0 and begun[key].count(number) < 3:
                raise RuntimeError("not yet")
            done[key].append(number)
        finally:
            busy.remove(key)

    async def story() -> None:
        async with connected_by(bus, partial(DistantBackend, spread=20, seed=seed)) as (live, backend):
            for number in range(each):
                async with anyio.create_task_group() as tasks:
                    for key in range(keys):
                        tasks.start_soon(live.publish, OrderPlaced(str(number), customer=str(key)))
            async with live.running():
                await until(lambda: live.counts[ORDERED].handled == keys * each)
            assert backend.under_way_max > 2

    play(story)
    assert done == {str(key): list(range(each)) for key in range(keys)}
    for numbers in begun.values():
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("deliveries_max", [None, 1, 37, 400])
def test_a_bounded_run_takes_all_there_is_and_no_more_than_it_may(
    play: Callable[..., None], deliveries_max: int | None
) -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", concurrency=100)
    async def bill(_: OrderPlaced) -> None: ...

    async def story() -> None:
        async with connected_by(bus, DistantBackend) as (live, backend):
            await publish_many(live, 500)
            await live.work(until_empty=True, deliveries_max=deliveries_max)
            assert live.counts[BILLING].received == live.counts[BILLING].handled == (deliveries_max or 500)
            assert (await backend.stats(BILLING)).in_flight == 0

    play(story)
