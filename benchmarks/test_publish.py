"""Publish-subscribe: what it costs to find the recipients of a publish, however long the list, and what a copy costs.

The floor of a publish to n groups is n sends of a written message, without routing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from busframe import Bus, event, runtime
from busframe.backend import Plan, QueueSpec
from busframe.config import BackendUrl, recipients_factory
from busframe.message import Outgoing, QueueName
from busframe.recipients import Subscription
from busframe.sending import Sender
from busframe.topology.routes import Routes
from busframe_memory.backend import open_memory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOOKUPS = 10_000
PUBLISHERS = 100
COPIES = 10_000


@event("bench.happened")
@dataclass(frozen=True)
class Happened:
    number: int
    text: str


class Facts:
    def __init__(self, tenant: str) -> None:
        self._headers = {"tenant": tenant, "type": "t0"}

    def on(self, what: str) -> Mapping[str, Any] | None:
        return self._headers if what == "headers" else None


def rows(count: int, *, topics: int, filters: bool) -> list[Subscription]:
    return [
        Subscription(
            topic=f"t{n % topics}",
            queue=QueueName(f"q{n}"),
            group=f"shop/g{n}",
            filter=f'{{"tenant":["c{n}"]}}' if filters else None,
        )
        for n in range(count)
    ]


def timed_lookups(url: str, subscriptions: list[Subscription], benchmark: Any) -> None:
    async def measure() -> float:
        parsed = BackendUrl.parse(url)
        async with recipients_factory(parsed.scheme)(parsed, space="") as recipients:
            await recipients.change(lambda _: subscriptions, by="bench")
            routes, facts = Routes(recipients), Facts("c0")
            assert len(await routes.recipients_of("t0", facts)) == 1

            async def look_up() -> None:
                for _ in range(LOOKUPS):
                    await routes.recipients_of("t0", facts)

            spent: list[float] = []
            for _ in range(5):
                began_s = runtime.now_s()
                await look_up()
                spent.append(runtime.now_s() - began_s)
            return min(spent) / LOOKUPS * 1e6

    per_lookup_us = anyio.run(measure)
    benchmark.extra_info["us_per_publish"] = round(per_lookup_us, 2)
    print(f"\nrouting, {len(subscriptions):,} subscriptions, {url.partition(':')[0]}: {per_lookup_us:.2f} us a publish")
    benchmark.pedantic(lambda: None, rounds=1)


@pytest.mark.parametrize("count", [10, 1_000, 100_000])
@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
def test_routing_among_topics(benchmark: Any, tmp_path: Path, scheme: str, count: int) -> None:
    url = "memory://" if scheme == "memory" else f"sqlite:///{tmp_path}/list.db"
    timed_lookups(url, rows(count, topics=count, filters=False), benchmark)


@pytest.mark.parametrize("count", [10, 1_000, 100_000])
def test_routing_by_filter_among_subscribers_of_one_topic(benchmark: Any, count: int) -> None:
    timed_lookups("memory://", rows(count, topics=1, filters=True), benchmark)


async def publish_to(groups: int) -> float:
    """Publish until `COPIES` copies are on queues; seconds for each copy."""
    bus = Bus("bench")
    for number in range(groups):

        @bus.subscribe(Happened, group=f"g{number}")
        async def handle(_: Happened) -> None: ...

    async with bus.connect("memory://") as live:
        numbers = iter(range(COPIES // groups))

        async def publisher() -> None:
            for number in numbers:
                await live.publish(Happened(number, "x" * 80))

        began_s = runtime.now_s()
        async with anyio.create_task_group() as tasks:
            for _ in range(PUBLISHERS):
                tasks.start_soon(publisher)
        return (runtime.now_s() - began_s) / COPIES


async def send_only() -> float:
    """The floor: the same copies by the same sender, to one queue, written once."""
    async with open_memory(BackendUrl.parse("memory://")) as memory, runtime.background_tasks() as tasks:
        queue = QueueName("bench-g0")
        await memory.provision(Plan(queues=(QueueSpec(name=queue),)))
        sender = Sender(memory, tasks)
        message = Outgoing(body='{"number":1,"text":"' + "x" * 80 + '"}', attributes={"busframe": "x" * 90})
        numbers = iter(range(COPIES))

        async def one() -> None:
            for _ in numbers:
                await sender.send(queue, message)

        began_s = runtime.now_s()
        async with anyio.create_task_group() as senders:
            for _ in range(PUBLISHERS):
                senders.start_soon(one)
        return (runtime.now_s() - began_s) / COPIES


@pytest.mark.parametrize("groups", [1, 10, 100])
def test_publish_to_groups(benchmark: Any, groups: int) -> None:
    floors: list[float] = []
    copies: list[float] = []
    for _ in range(3):
        floors.append(anyio.run(send_only))
        copies.append(anyio.run(publish_to, groups))
    floor_us, copy_us = sorted(floors)[1] * 1e6, sorted(copies)[1] * 1e6
    benchmark.extra_info.update(copy_us=round(copy_us, 1), floor_us=round(floor_us, 1))
    print(
        f"\npublish to {groups} groups: {copy_us * groups:.0f} us a publish, {copy_us:.1f} us a copy, "
        f"{copy_us / floor_us:.2f} times a bare send ({floor_us:.1f} us)"
    )
    benchmark.pedantic(lambda: None, rounds=1)
