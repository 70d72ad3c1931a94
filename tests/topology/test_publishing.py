"""Who gets a copy of a publish, what is told of those that did not, and what a retry does."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from bus.faulty import FaultyBackend
from bus.orders import OrderPlaced
from trio.testing import MockClock

from busframe import Bus, Live, runtime
from busframe.config import BackendUrl
from busframe.errors import AccessDeniedError, MessageRefusedError, PublishError, QueueNotFoundError, UnavailableError
from busframe.message import Acknowledge, QueueName
from busframe.topology.plan import plan_for
from busframe.topology.registration import register, subscriptions_of
from busframe_memory.backend import open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Sequence

    from busframe.recipients import Change, ChangedTopics, Edit, RecipientList, Recipients, Subscription

pytestmark = pytest.mark.anyio

BILLING, SHIPPING, AUDIT = QueueName("shop-billing"), QueueName("shop-shipping"), QueueName("shop-audit")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Virtual time: the waits of repeated sends pass at once."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class SharedList:
    """A list as another process sees it: nobody tells of changes, and it says how often it was asked."""

    def __init__(self, inner: RecipientList, *, fresh_s: float = 1.0) -> None:
        self.inner = inner
        self.fresh_s = fresh_s
        self.asked: list[str] = []
        self.failure: Exception | None = None

    def listen(self, changed: Callable[[Collection[str]], None]) -> None: ...

    async def load(self, topics: Collection[str] | None = None) -> Recipients:
        self.asked.append(f"load {sorted(topics or ())}")
        if self.failure is not None:
            raise self.failure
        await runtime.sleep(0.01)
        return await self.inner.load(topics)

    async def changed_since(self, version: int) -> ChangedTopics:
        self.asked.append("changed?")
        await runtime.sleep(0.01)
        return await self.inner.changed_since(version)

    async def change(self, edit: Edit, *, by: str, topics: Collection[str] | None = None) -> Sequence[Change]:
        return await self.inner.change(edit, by=by, topics=topics)

    async def history(self, *, limit: int) -> Sequence[Change]:
        return await self.inner.history(limit=limit)


def three_groups() -> Bus:
    bus = Bus("shop")
    for group in ("billing", "shipping", "audit"):

        @bus.subscribe(OrderPlaced, group=group)
        async def handle(_: OrderPlaced) -> None: ...

    return bus


@asynccontextmanager
async def connected(bus: Bus, *, fresh_s: float = 1.0) -> AsyncGenerator[tuple[Live, FaultyBackend, SharedList]]:
    with anyio.fail_after(600):
        async with open_memory(BackendUrl.parse("memory://")) as memory, runtime.background_tasks() as tasks:
            backend = FaultyBackend(memory)
            plan = plan_for(bus, backend.capabilities, mode="create")
            await register(backend, memory.recipients, plan, subscriptions_of(bus.groups.values()), by="test")
            shared = SharedList(memory.recipients, fresh_s=fresh_s)
            yield Live(bus, backend, shared, tasks), backend, shared


async def headers_on(backend: FaultyBackend, queue: QueueName) -> list[dict[str, Any]]:
    received = await backend.inner.receive(queue, limit=10, wait_s=0, lease_s=30)
    if received:
        await backend.inner.settle(queue, [Acknowledge(receipt=message.receipt) for message in received])
    return [json.loads(message.attributes["busframe"]) for message in received]


async def test_a_retry_sends_to_those_that_failed_only_and_under_the_same_id() -> None:
    async with connected(three_groups()) as (live, backend, _):
        backend.fail("send shop-shipping", MessageRefusedError("not now"))
        backend.fail("send shop-audit", AccessDeniedError("not you"))
        with pytest.raises(PublishError, match="2 of 3 recipients") as caught:
            await live.publish(OrderPlaced("o1"))
        assert set(caught.value.failed) == {SHIPPING, AUDIT}
        assert await caught.value.retry() == (BILLING, SHIPPING, AUDIT)
        copies = [await headers_on(backend, queue) for queue in (BILLING, SHIPPING, AUDIT)]
    assert [len(headers) for headers in copies] == [1, 1, 1]
    assert len({headers[0]["id"] for headers in copies}) == 1
    assert not any("again" in headers[0] for headers in copies)


async def test_a_retry_that_fails_in_part_can_be_retried_in_its_turn() -> None:
    async with connected(three_groups()) as (live, backend, _):
        backend.fail("send shop-shipping", MessageRefusedError("not now"), MessageRefusedError("still not"))
        backend.fail("send shop-audit", MessageRefusedError("not now"))
        with pytest.raises(PublishError) as first:
            await live.publish(OrderPlaced("o1"))
        with pytest.raises(
            PublishError, match="1 of 3 recipients were not reached: shop-shipping: still not"
        ) as second:
            await first.value.retry()
        assert set(second.value.accepted) == {BILLING, AUDIT}
        assert set(first.value.failed) == {SHIPPING, AUDIT}
        assert await second.value.retry() == (BILLING, SHIPPING, AUDIT)
        for queue in (BILLING, SHIPPING, AUDIT):
            assert len(await headers_on(backend, queue)) == 1


async def test_where_the_first_attempt_may_have_worked_the_retried_copy_says_so() -> None:
    async with connected(three_groups()) as (live, backend, _):
        backend.fail("send shop-shipping", *[UnavailableError("no answer")] * 5, MessageRefusedError("not now"))
        with pytest.raises(PublishError) as first:
            await live.publish(OrderPlaced("o1"))
        assert first.value.failed[SHIPPING].effect == "unknown"
        with pytest.raises(PublishError) as second:
            await first.value.retry()
        # This attempt surely failed; the first one may still have worked.
        assert second.value.failed[SHIPPING].effect == "unknown"
        await second.value.retry()
        (headers,) = await headers_on(backend, SHIPPING)
        (billed,) = await headers_on(backend, BILLING)
    assert headers["again"] is True
    assert "again" not in billed
    assert headers["id"] == billed["id"]


async def test_a_copy_that_the_sender_repeats_by_itself_says_that_it_may_come_twice() -> None:
    async with connected(three_groups()) as (live, backend, _):
        backend.fail("send shop-shipping", UnavailableError("no answer"))
        backend.fail("send shop-audit", UnavailableError("not reached", effect="none"))
        await live.publish(OrderPlaced("o1"))
        copies = [(await headers_on(backend, queue))[0] for queue in (BILLING, SHIPPING, AUDIT)]
    assert [headers.get("again", False) for headers in copies] == [False, True, False]
    assert len({headers["id"] for headers in copies}) == 1


@pytest.mark.parametrize("failing", range(3))
@pytest.mark.parametrize("error", [MessageRefusedError("no"), UnavailableError("silence"), QueueNotFoundError("gone")])
async def test_whichever_send_fails_every_group_has_its_copy_after_the_retry(failing: int, error: Exception) -> None:
    queues = (BILLING, SHIPPING, AUDIT)
    async with connected(three_groups()) as (live, backend, _):
        backend.fail(f"send {queues[failing]}", *[error] * 5)
        with pytest.raises(PublishError) as caught:
            await live.publish(OrderPlaced("o1"))
        backend.faults.clear()
        await caught.value.retry()
        assert [len(await headers_on(backend, queue)) for queue in queues] == [1, 1, 1]


async def remove(shared: SharedList, backend: FaultyBackend, queue: QueueName) -> None:
    await shared.inner.change(lambda rows: [row for row in rows if row.queue != queue], by="somebody else")
    await backend.inner.remove(queue)


async def test_a_queue_that_was_removed_a_moment_ago_is_no_failure() -> None:
    async with connected(three_groups(), fresh_s=1e9) as (live, backend, shared):
        await live.publish(OrderPlaced("o1"))
        await remove(shared, backend, SHIPPING)
        assert await live.publish(OrderPlaced("o2")) == (BILLING, AUDIT)


async def test_a_group_that_moved_a_moment_ago_gets_its_copy_on_its_new_queue() -> None:
    async with connected(three_groups(), fresh_s=1e9) as (live, backend, shared):
        await live.publish(OrderPlaced("o1"))

        def move(rows: Sequence[Subscription]) -> Sequence[Subscription]:
            return [replace(row, queue=QueueName("spare")) if row.queue == SHIPPING else row for row in rows]

        spec = await backend.inner.describe(SHIPPING)
        assert spec is not None
        plan = plan_for(Bus("empty"), backend.capabilities, mode="create")
        await backend.inner.provision(replace(plan, queues=(replace(spec, name=QueueName("spare")),)))
        await shared.inner.change(move, by="somebody else")
        await backend.inner.remove(SHIPPING)
        assert set(await live.publish(OrderPlaced("o2"))) == {BILLING, AUDIT, "spare"}
        assert len(await headers_on(backend, QueueName("spare"))) == 1


async def test_a_queue_that_is_listed_and_not_there_is_tried_once_more_and_reported() -> None:
    async with connected(three_groups()) as (live, backend, _):
        await backend.inner.remove(SHIPPING)
        backend.batches.clear()
        with pytest.raises(PublishError) as caught:
            await live.publish(OrderPlaced("o1"))
        assert isinstance(caught.value.failed[SHIPPING], QueueNotFoundError)
        assert [method for method, _ in backend.batches].count("send shop-shipping") == 2


async def test_the_list_is_not_asked_at_every_publish() -> None:
    async with connected(three_groups(), fresh_s=1.0) as (live, _, shared):
        for n in range(50):
            await live.publish(OrderPlaced(str(n)))
        assert shared.asked == ["load []", "load ['shop.order.placed']"]


async def test_a_change_is_seen_when_the_copy_is_not_fresh_any_more() -> None:
    async with connected(three_groups(), fresh_s=1.0) as (live, backend, shared):
        await live.publish(OrderPlaced("o1"))
        await remove(shared, backend, SHIPPING)
        await runtime.sleep(1.1)
        shared.asked.clear()
        backend.batches.clear()
        assert await live.publish(OrderPlaced("o2")) == (BILLING, AUDIT)
        assert "send shop-shipping" not in {method for method, _ in backend.batches}
        assert shared.asked == ["changed?", "load ['shop.order.placed']"]


async def test_many_publishes_at_once_ask_once_and_share_calls() -> None:
    async with connected(three_groups()) as (live, backend, shared):
        async with anyio.create_task_group() as tasks:
            for n in range(100):
                tasks.start_soon(live.publish, OrderPlaced(str(n)))
        assert shared.asked == ["load []", "load ['shop.order.placed']"]
        sends = [size for method, size in backend.batches if method == "send shop-billing"]
        assert sum(sends) == 100
        assert len(sends) <= 12


async def test_a_list_that_cannot_be_read_fails_the_publish_and_nothing_was_sent() -> None:
    async with connected(three_groups()) as (live, backend, shared):
        shared.failure = UnavailableError("the database is away", effect="none")
        with pytest.raises(UnavailableError, match="the database is away"):
            await live.publish(OrderPlaced("o1"))
        shared.failure = None
        assert not backend.batches
        assert len(await live.publish(OrderPlaced("o1"))) == 3


async def test_filters_choose_by_headers_and_by_payload() -> None:
    bus = Bus("shop")

    async def handle(_: OrderPlaced) -> None: ...

    bus.subscribe(OrderPlaced, group="all")(handle)
    bus.subscribe(OrderPlaced, group="acme", filter={"tenant": ["acme"]})(handle)
    bus.subscribe(OrderPlaced, group="eu", filter={"region": [{"prefix": "eu-"}]})(handle)
    bus.subscribe(OrderPlaced, group="ada", filter={"customer": ["ada"]}, filter_on="payload")(handle)
    bus.subscribe(OrderPlaced, group="old", filter={"version": [{"numeric": ["<", 1]}]})(handle)
    async with connected(bus) as (live, _, _):

        async def groups(order: OrderPlaced, **options: Any) -> set[str]:
            return {queue.removeprefix("shop-") for queue in await live.publish(order, **options)}

        assert await groups(OrderPlaced("o1", "bob")) == {"all"}
        assert await groups(OrderPlaced("o1", "ada")) == {"all", "ada"}
        assert await groups(OrderPlaced("o1", "bob"), tenant="acme") == {"all", "acme"}
        assert await groups(OrderPlaced("o1", "bob"), headers={"region": "eu-west-1"}) == {"all", "eu"}
        # The bus's own headers go before the application's of the same name.
        assert await groups(OrderPlaced("o1", "bob"), tenant="other", headers={"tenant": "acme"}) == {"all"}


async def test_a_paused_group_gets_no_copy_and_a_filter_nobody_can_read_lets_everything_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected(three_groups()) as (live, _, shared):

        def spoil(rows: Sequence[Subscription]) -> Sequence[Subscription]:
            billing, shipping, audit = rows
            return [replace(billing, state="paused"), replace(shipping, filter='{"a": [{"later": 1}]}'), audit]

        await shared.inner.change(spoil, by="a later version")
        assert set(await live.publish(OrderPlaced("o1"))) == {SHIPPING, AUDIT}
        assert "cannot be read: its subscriber gets all messages" in caplog.text
