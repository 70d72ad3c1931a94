"""Subscriptions of a running program, on each backend."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from bus.orders import OrderCancelled, OrderPlaced, PrintInvoice

from busframe import Bus, Live
from busframe.backend import Plan, QueueSpec
from busframe.errors import ConfigurationError, QueueNotFoundError
from busframe.message import QueueName
from busframe_emulator.engine import Limits
from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from busframe_emulator.server.thread import ThreadedServer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Generator[ThreadedServer]:
    # Without the minute that Amazon SQS waits before a name can be used again: it only slows a test down.
    with run_in_thread(limits=Limits(purge_interval_us=0, recreate_after_us=0)) as server:
        yield server


@pytest.fixture
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


@pytest.fixture(params=["sqlite", "sqs"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, server: ThreadedServer, _credentials: None
) -> tuple[str, str | None]:
    """URL and recipient list of a system of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bus.db", None
    prefix = f"t{abs(hash(tmp_path)) % 10**9}-"
    url = f"sqs://us-east-1?endpoint_url={server.url}&prefix={prefix}&wait_s=1"
    return url, f"sqlite:///{tmp_path}/subscriptions.db"


class World:
    """A place that several programs connect to, and what their handlers have seen."""

    def __init__(self, url: str, recipients: str | None) -> None:
        self.url = url
        self.recipients = recipients
        self.seen: list[tuple[str, str]] = []
        self._more = anyio.Event()

    @asynccontextmanager
    async def connect(self, bus: Bus) -> AsyncGenerator[Live]:
        with anyio.fail_after(60):
            async with bus.connect(self.url, recipients=self.recipients) as live:
                yield live

    def program(self, name: str, *groups: str, member: str = "") -> Bus:
        """A program whose groups note what they get."""
        bus = Bus(name)
        for group in groups:

            def subscribe(group: str) -> None:
                @bus.subscribe(OrderPlaced, group=group)
                async def handle(order: OrderPlaced) -> None:
                    self.seen.append((group + member, order.order))
                    self._more.set()

            subscribe(group)
        return bus

    async def until_seen(self, count: int) -> None:
        while len(self.seen) < count:
            self._more = anyio.Event()
            await self._more.wait()


@pytest.fixture
def world(place: tuple[str, str | None]) -> World:
    return World(*place)


async def test_one_publish_is_a_copy_for_each_group_and_members_of_a_group_share_them(world: World) -> None:
    """One input channel, one output channel per subscriber; competing consumers on each."""
    first = world.program("shop", "billing", "shipping", member=" 1")
    second = world.program("shop", "billing", "shipping", member=" 2")
    async with world.connect(first) as live, live.running():
        async with world.connect(second) as other, other.running():
            for n in range(30):
                assert await live.publish(OrderPlaced(f"o{n}", customer=f"c{n}")) == ("shop-billing", "shop-shipping")
            await world.until_seen(60)
        stats = await live.stats()
    for group in ("billing", "shipping"):
        assert sorted(order for member, order in world.seen if member.startswith(group)) == sorted(
            f"o{n}" for n in range(30)
        )
    assert all(found.visible == 0 for found in stats.values())


async def test_a_second_instance_of_a_group_competes_and_is_no_second_subscription(world: World) -> None:
    bus = world.program("shop", "billing")
    async with world.connect(bus) as one, world.connect(bus) as two:
        assert len(await one.topology.subscriptions()) == 1
        assert await two.publish(OrderPlaced("o1")) == ("shop-billing",)
        assert (await one.topology.show()).version == 1


async def test_groups_of_several_programs_get_copies_and_none_is_asked_for_by_the_publisher(world: World) -> None:
    shop, crm = world.program("shop", "billing"), world.program("crm", "letters")
    async with world.connect(shop), world.connect(crm), world.connect(Bus("website")) as website:
        assert set(await website.publish(OrderPlaced("o1"))) == {"shop-billing", "crm-letters"}


async def test_a_group_stays_subscribed_while_its_program_is_away(world: World) -> None:
    async with world.connect(world.program("shop", "billing")):
        pass
    async with world.connect(Bus("website")) as website:
        await website.publish(OrderPlaced("while away"))
    async with world.connect(world.program("shop", "billing")) as live, live.running():
        await world.until_seen(1)
    assert world.seen == [("billing", "while away")]


async def test_a_new_group_is_seen_by_a_publisher_that_is_running(world: World) -> None:
    async with world.connect(Bus("website")) as website:
        assert await website.publish(OrderPlaced("before")) == ()
        async with world.connect(world.program("shop", "billing")):
            while not await website.publish(OrderPlaced("after")):  # noqa: ASYNC110 - it looks from outside
                await anyio.sleep(0.01)


async def test_programs_that_register_at_once_do_not_hinder_each_other(world: World) -> None:
    async def connect(number: int) -> None:
        async with world.connect(world.program(f"shop{number % 2}", "billing", "shipping")):
            pass

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(connect, number)
    async with world.connect(Bus("website")) as website:
        assert len(await website.publish(OrderPlaced("o1"))) == 4


async def test_two_systems_with_prefixes_of_their_own_share_one_list(world: World) -> None:
    if world.recipients is None:
        pytest.skip("the list of sqlite:// lies with its queues")
    other = World(world.url.replace("prefix=t", "prefix=u"), world.recipients)
    one, two = world.program("shop", "billing"), other.program("shop", "billing", "shipping")
    async with world.connect(one) as live, other.connect(two) as another:
        assert len(await live.publish(OrderPlaced("o1"))) == 1
        assert len(await another.publish(OrderPlaced("o1"))) == 2
        await another.topology.pause("billing")
        assert len(await live.publish(OrderPlaced("o1"))) == 1


async def test_unsubscribing_stops_the_consumers_here_and_leaves_the_others(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path}/bus.db", None)
    async with world.connect(world.program("shop", "billing", "shipping")) as live, live.running():
        await live.publish(OrderPlaced("o1"))
        await live.topology.unsubscribe("billing")
        assert ("billing", "o1") in world.seen
        assert await live.publish(OrderPlaced("o2")) == ("shop-shipping",)
        await world.until_seen(3)
        with pytest.raises(QueueNotFoundError):
            await live.stats()
    assert sorted(world.seen) == [("billing", "o1"), ("shipping", "o1"), ("shipping", "o2")]


@pytest.mark.usefixtures("_credentials")
async def test_without_a_list_the_topology_says_how_to_name_one(server: ThreadedServer) -> None:
    async with Bus("shop").connect(f"sqs://us-east-1?endpoint_url={server.url}&wait_s=1") as live:
        with pytest.raises(ConfigurationError, match=r"recipients='sqlite:///subscriptions.db'"):
            await live.topology.pause("billing")
        assert (await live.topology.show()).subscriptions == ()


async def test_drift_is_found_and_repaired(world: World) -> None:
    bus = world.program("shop", "billing", "shipping")

    @bus.handle(PrintInvoice)
    async def print_invoice(_: PrintInvoice) -> None: ...

    async with world.connect(bus) as live:
        topology = live.topology
        assert await topology.check() == []
        backend, spec = live.backend_as(object), QueueSpec(name=QueueName("shop-billing"), lease_s=5)
        await backend.remove("shop-shipping")  # type: ignore[attr-defined]
        await backend.provision(Plan(queues=(spec, QueueSpec(name=QueueName("shop-old")))))  # type: ignore[attr-defined]
        await topology.rename("billing", "invoicing")
        found = {(finding.kind, finding.queue) for finding in await topology.check()}
        assert found == {
            ("queue missing", "shop-shipping"),
            ("queue differs", "shop-billing"),
            ("row differs", "shop-billing"),
            ("row without handler", "shop-billing"),
            ("queue without row", "shop-old"),
        }
        await topology.rename("invoicing", "billing")
        findings = await topology.check()
        left = await topology.apply(findings)
        assert [finding.kind for finding in left] == ["queue without row"]
        assert await topology.check() == left
        assert await topology.apply(left, removals=True) == []
        assert await topology.check() == []
        assert len(await live.publish(OrderPlaced("o1"))) == 2


async def test_what_the_program_gave_up_is_found_and_unsubscribed_when_told(world: World) -> None:
    async with world.connect(world.program("shop", "billing", "shipping")):
        pass
    bus = world.program("shop", "billing")
    async with world.connect(bus) as live:
        findings = await live.topology.check()
        assert [(finding.kind, finding.group) for finding in findings] == [("row without handler", "shop/shipping")]
        assert await live.topology.apply(findings) == findings
        assert await live.topology.apply(findings, removals=True) == []
        assert await live.publish(OrderPlaced("o1")) == ("shop-billing",)
        # What is draining and empty is taken down by the next one.
        (drained,) = await live.topology.check()
        assert (drained.kind, drained.queue) == ("row drained", "shop-shipping")


async def test_an_event_that_was_never_subscribed_to_reaches_nobody(world: World) -> None:
    async with world.connect(world.program("shop", "billing")) as live:
        assert await live.publish(OrderCancelled("o1")) == ()
