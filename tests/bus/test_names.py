"""A group is one queue and a queue is one group's, whatever the names come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from bus.connected import running, until
from bus.orders import OrderCancelled, OrderPlaced

from busframe import Bus, Event, ForeignMessage, command, event, runtime
from busframe.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@command("shop.billing")
@dataclass(frozen=True)
class Bill:
    order: str


@command("shop-billing")
@dataclass(frozen=True)
class BillToo:
    order: str


@command("shop.billing.dead")
@dataclass(frozen=True)
class BillTheDead:
    order: str


@event("shop.visited", key="customer")
@dataclass(frozen=True)
class Visited(Event):
    customer: str


async def handler(_: object) -> None: ...


def test_a_group_whose_queue_would_hold_the_dead_letters_of_another_is_refused() -> None:
    bus = Bus("shop")
    with pytest.raises(InvalidArgumentError, match=r"group='x-dead' .*shop-x-dead is where the dead letters of shop-x"):
        bus.subscribe(OrderPlaced, group="x-dead")
    with pytest.raises(InvalidArgumentError, match="group='x-dead'"):
        bus.subscribe(OrderPlaced, group="x-dead", ordered=True)
    with pytest.raises(InvalidArgumentError, match="group='x-dead'"):
        bus.foreign(group="x-dead")
    with pytest.raises(InvalidArgumentError, match="queue='bills-dead'"):
        bus.subscribe(OrderPlaced, group="x", queue="bills-dead")
    with pytest.raises(InvalidArgumentError, match=r"command='shop\.billing\.dead'"):
        bus.handle(BillTheDead)


def test_two_commands_whose_names_come_to_one_queue_are_refused() -> None:
    bus = Bus("shop")
    bus.handle(Bill)(handler)
    with pytest.raises(ConfigurationError, match=r"belongs to the command shop\.billing, and shop-billing comes to"):
        bus.handle(BillToo)


def test_a_group_and_a_command_whose_names_come_to_one_queue_are_refused() -> None:
    bus = Bus("shop")
    bus.handle(Bill)(handler)
    with pytest.raises(ConfigurationError, match="queue shop-billing belongs to a command already"):
        bus.subscribe(OrderPlaced, group="billing")


async def test_a_command_whose_queue_is_listed_for_a_group_of_another_program_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    shop, other = Bus("shop"), Bus("other")
    shop.subscribe(OrderPlaced, group="billing")(handler)
    other.handle(Bill)(handler)
    async with shop.connect(url):
        with pytest.raises(ConfigurationError, match=r"listed for group shop/billing.* the command shop\.billing"):
            async with other.connect(url):
                pass


async def test_a_group_whose_queue_is_listed_for_a_group_of_another_program_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    shop, part = Bus("shop"), Bus("shop-eu")
    shop.subscribe(OrderPlaced, group="eu-billing")(handler)
    part.subscribe(OrderPlaced, group="billing")(handler)
    async with shop.connect(url):
        with pytest.raises(ConfigurationError, match="shop-eu/billing needs a queue of its own"):
            async with part.connect(url):
                pass


@pytest.mark.parametrize("first", ["subscription", "foreign"])
@pytest.mark.parametrize(
    ("options", "queue"), [({"ordered": True}, "shop-audit.fifo"), ({"queue": "audits"}, "audits")]
)
async def test_the_foreign_handler_of_a_group_is_on_the_queue_that_the_group_has(
    first: str, options: dict[str, object], queue: str
) -> None:
    bus, seen = Bus("shop"), list[str]()

    async def foreign(message: ForeignMessage) -> None:
        seen.append(message.body)

    if first == "foreign":
        bus.foreign(group="audit")(foreign)
    bus.subscribe(Visited, group="audit", **options)(handler)  # type: ignore[call-overload]
    if first == "subscription":
        bus.foreign(group="audit")(foreign)
    assert list(bus.groups) == [queue]
    async with running(bus) as live:
        ordered = {"group": "g", "deduplication_id": "1"} if queue.endswith(".fifo") else {}
        await live.queue(queue).send("raw", **ordered)  # type: ignore[arg-type]
        await until(lambda: bool(seen))
    assert seen == ["raw"]


@pytest.mark.parametrize("options", [{"ordered": True}, {"queue": "audits"}])
def test_a_group_that_would_be_on_two_queues_is_refused(options: dict[str, object]) -> None:
    bus = Bus("shop")
    bus.subscribe(Visited, group="audit", **options)(handler)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="say ordered= and queue= alike on all of its subscriptions"):
        bus.subscribe(OrderCancelled, group="audit")


@pytest.mark.parametrize(
    ("group", "why"),
    [
        ("audit-build-host-7", "the name of this machine"),
        ("audit-BUILD_HOST_7", "the name of this machine"),
        ("worker-4711", "this process's number"),
        ("audit-3f2a9c1e", "an id such as containers have"),
        ("web-7d4b9c6f5-x2x8p", "an id such as containers have"),
        ("audit-0a1b2c3d-1234-4abc-8def-0123456789ab", "an id such as containers have"),
    ],
)
async def test_a_single_group_that_names_its_process_is_remarked_on(
    group: str, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "machine", lambda: ("build-host-7", 4711))
    bus = Bus("shop")
    bus.subscribe(OrderPlaced, group=group)(handler)
    async with bus.connect("memory://"):
        pass
    (record,) = caplog.records
    assert f"group shop/{group} has {why} in its name" in record.getMessage()
    assert "its queue stays and fills up when the process is gone" in record.getMessage()


@pytest.mark.parametrize(
    "group", ["billing", "audit-2024", "facade", "feedback-decade", "v2-47110", "defaced", "a1", "iso-8601-dates"]
)
async def test_an_ordinary_group_is_not_remarked_on(
    group: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "machine", lambda: ("host", 4711))
    bus = Bus("shop")
    bus.subscribe(OrderPlaced, group=group)(handler)
    async with bus.connect("memory://"):
        pass
    assert not caplog.text
