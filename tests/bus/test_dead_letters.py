"""Dead letters looked at, sent back and thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from bus.orders import OrderCancelled, OrderPlaced
from bus.virtual import BILLING, DEAD, connected
from trio.testing import MockClock

from busframe import Bus, InvalidArgumentError, Live, Reject
from busframe.errors import LeaseLostError, QueueNotFoundError, UnavailableError
from busframe.message import QueueName, Release

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from busframe.dead_letters import Buried

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("either_form")]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Shop:
    """Refuses orders until it is mended."""

    def __init__(self, *, ordered: bool = False) -> None:
        self.bus = Bus("shop")
        self.mended = False
        self.seen: list[tuple[str, int]] = []

        @self.bus.subscribe(OrderPlaced, group="billing", ordered=ordered)
        async def bill(order: OrderPlaced) -> None:
            if not self.mended:
                raise Reject(f"no {order.order}")
            self.seen.append((order.order, 1))

    async def bury(self, live: Live, *orders: str, customer: str = "ada") -> None:
        for order in orders:
            await live.publish(OrderPlaced(order, customer=customer))
        await live.work(until_empty=True)


def orders_of(letters: Iterable[Buried]) -> list[str]:
    return [letter.body.split('"')[3] for letter in letters]


async def depths(live: Live) -> tuple[int, int]:
    """How many wait to be billed, and how many dead letters there are, none in anybody's hands."""
    stats = await live.stats()
    assert sum(of.in_flight + of.delayed for of in stats.values()) == 0
    return stats[BILLING].visible, stats[DEAD].visible


async def test_a_list_says_why_where_and_when() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        await shop.bury(live, "1", "2")
        letters = await live.dead_letters("billing").list()
        assert sorted(orders_of(letters)) == ["1", "2"]
        letter = next(letter for letter in letters if letter.body.startswith('{"order":"1"'))
        assert (letter.reason, letter.source, letter.attempts) == ("rejected: no 1", BILLING, 1)
        assert letter.type == "shop.order.placed"
        assert letter.died_at_s is not None
        assert await depths(live) == (0, 2)
        assert len(await live.dead_letters("billing").list(limit=1)) == 1
        (second,) = await live.dead_letters("billing").list(lambda letter: "no 2" in (letter.reason or ""))
        assert orders_of([second]) == ["2"]


@pytest.mark.parametrize("name", ["billing", "shop/billing", "shop-billing", "shop-billing-dead"])
async def test_the_queue_is_found_by_each_of_its_names(name: str) -> None:
    async with connected(Shop().bus) as (live, _):
        letters = live.dead_letters(name)
        assert (letters.name, letters.source) == (DEAD, BILLING)
        assert live.dead_letters("other.fifo").name == "other-dead.fifo"
        assert live.dead_letters("other-dead.fifo").source == "other.fifo"


async def test_replay_sends_back_without_the_reason_and_with_no_attempt_behind() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, backend):
        await shop.bury(live, "1", "2", "3")
        ids = {letter.id for letter in await live.dead_letters("billing").list()}
        passed = await live.dead_letters("billing").replay()
        assert (len(passed.done), passed.failed, passed.kept) == (3, [], 0)
        assert await depths(live) == (3, 0)
        received = await backend.receive(BILLING, limit=10, wait_s=1, lease_s=30)
        assert {of.receive_count for of in received} == {1}
        assert {name for of in received for name in of.attributes} == {"busframe"}
        await backend.settle(BILLING, [Release(receipt=of.receipt) for of in received])
        shop.mended = True
        await live.work(until_empty=True)
        assert sorted(shop.seen) == [("1", 1), ("2", 1), ("3", 1)]
        assert {letter.id for letter in passed.done} == ids


async def test_only_the_chosen_are_replayed_and_the_others_lie_there_as_before() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        await shop.bury(live, *map(str, range(30)))
        passed = await live.dead_letters("billing").replay(lambda letter: letter.reason == "rejected: no 17")
        assert (orders_of(passed.done), passed.kept) == (["17"], 29)
        assert await depths(live) == (1, 29)
        passed = await live.dead_letters("billing").replay(limit=12)
        assert len(passed.done) == 12
        assert await depths(live) == (13, 17)


async def test_dropping_is_for_good() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        await shop.bury(live, "1", "2")
        passed = await live.dead_letters("billing").drop(lambda letter: letter.reason == "rejected: no 1")
        assert orders_of(passed.done) == ["1"]
        assert await depths(live) == (0, 1)


async def test_one_that_dies_again_while_others_are_replayed_is_not_replayed_for_ever() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        await shop.bury(live, *map(str, range(25)))
        with anyio.fail_after(3600):
            async with live.running():
                passed = await live.dead_letters("billing").replay()
                assert len(passed.done) == 25
                await anyio.sleep(5)
        assert await depths(live) == (0, 25)


async def test_one_that_the_broker_gave_up_by_itself_goes_back_too() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, backend):
        await live.publish(OrderPlaced("1"))
        spec = await backend.describe(BILLING)
        assert spec is not None
        assert spec.dead_letters is not None
        for _ in range(spec.dead_letters.max_receive_count + 1):
            for received in await backend.receive(BILLING, limit=1, wait_s=0, lease_s=30):
                await backend.settle(BILLING, [Release(receipt=received.receipt)])
        (letter,) = await live.dead_letters("billing").list()
        assert (letter.reason, letter.source, letter.attempts, letter.died_at_s) == (None, BILLING, None, None)
        passed = await live.dead_letters("billing").replay()
        assert len(passed.done) == 1
        assert await depths(live) == (1, 0)


async def test_what_cannot_be_sent_stays_and_is_told() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        await shop.bury(live, "1", "2")
        passed = await live.dead_letters("billing").replay(to=QueueName("nowhere"))
        assert passed.done == []
        assert [type(error) for _, error in passed.failed] == [QueueNotFoundError] * 2
        assert await depths(live) == (0, 2)
        passed = await live.dead_letters("billing").replay(to=DEAD)
        assert len(passed.done) == 2
        assert await depths(live) == (0, 2)


async def test_one_that_was_sent_and_cannot_be_removed_is_told_and_is_there_twice() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, backend):
        await shop.bury(live, "1")
        backend.fail("settle", UnavailableError("busy"), LeaseLostError("gone"))
        passed = await live.dead_letters("billing").replay()
        assert orders_of(passed.done) == ["1"]
        assert [type(error) for _, error in passed.failed] == [LeaseLostError]
        assert await depths(live) == (1, 1)


async def test_a_busy_broker_is_asked_again() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, backend):
        await shop.bury(live, "1")
        backend.fail("send", UnavailableError("busy"))
        backend.fail("settle", UnavailableError("busy"))
        passed = await live.dead_letters("billing").replay()
        assert (orders_of(passed.done), passed.failed) == (["1"], [])
        assert (await depths(live))[1] == 0


async def test_ordered_letters_go_back_in_order_and_are_not_taken_for_duplicates() -> None:
    shop = Shop(ordered=True)
    async with connected(shop.bus) as (live, _):
        for order in ("1", "2", "3"):
            await shop.bury(live, order)
        letters = live.dead_letters("billing")
        assert letters.name == "shop-billing-dead.fifo"
        assert orders_of(await letters.list()) == ["1", "2", "3"]
        passed = await letters.replay()
        assert orders_of(passed.done) == ["1", "2", "3"]
        await live.work(until_empty=True)  # they die again
        passed = await letters.replay()
        assert orders_of(passed.done) == ["1", "2", "3"]
        shop.mended = True
        await live.work(until_empty=True)
        assert shop.seen == [("1", 1), ("2", 1), ("3", 1)]


async def test_of_an_ordered_group_none_goes_back_before_the_one_ahead_of_it() -> None:
    shop = Shop(ordered=True)
    async with connected(shop.bus) as (live, backend):
        await shop.bury(live, "1", "2")
        await shop.bury(live, "3", customer="bob")
        backend.fail("send shop-billing.fifo", QueueNotFoundError("gone"))
        passed = await live.dead_letters("billing").replay()
        assert orders_of(passed.done) == ["3"]
        assert orders_of([letter for letter, _ in passed.failed]) == ["1"]
        assert orders_of(await live.dead_letters("billing").list()) == ["1", "2"]


async def test_foreign_letters_are_shown_and_go_back_to_the_queue_the_name_says() -> None:
    bus = Bus("shop")
    bus.subscribe(OrderCancelled, group="billing")(_ignore)
    async with connected(bus) as (live, _):
        await live.queue("shop-billing-dead").send("raw", attributes={"by": "hand", "busframe-dead": "not JSON"})
        (letter,) = await live.dead_letters("billing").list()
        assert (letter.type, letter.id, letter.reason, letter.source) == (None, None, None, None)
        await live.dead_letters("billing").replay()
        assert await depths(live) == (1, 0)


async def _ignore(_: object) -> None: ...


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_that_cannot_be_is_refused(limit: int) -> None:
    async with connected(Shop().bus) as (live, _):
        for ask in (live.dead_letters("billing").list, live.dead_letters("billing").replay):
            with pytest.raises(InvalidArgumentError, match="limit"):
                await ask(limit=limit)


async def test_a_pass_that_breaks_off_gives_back_what_it_holds() -> None:
    shop = Shop()
    async with connected(shop.bus) as (live, _):
        await shop.bury(live, "1", "2")

        def select(letter: Buried) -> bool:
            raise RuntimeError(letter.body)

        with pytest.raises(RuntimeError, match="order"):
            await live.dead_letters("billing").replay(select)
        assert await depths(live) == (0, 2)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])  # in real time: SQLite works in threads
async def test_a_backend_that_shows_messages_is_not_received_from(tmp_path: Path) -> None:
    shop = Shop()
    async with shop.bus.connect(f"sqlite:///{tmp_path}/shop.db") as live:
        await shop.bury(live, "1", "2")
        assert len(await live.dead_letters("billing").list()) == 2
        (peeked, _) = await live.queue("shop-billing-dead").peek()
        assert peeked.receive_count == 0
        assert len((await live.dead_letters("billing").replay()).done) == 2
        await live.queue("shop-billing").purge()
        assert await live.queues("shop") == ["shop-billing", "shop-billing-dead"]
        assert (await depths(live)) == (0, 0)
