"""A new event while workers of the version before still run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from bus.connected import dead_letters, reason_of, running, until
from bus.orders import OrderPlaced

from busframe import Bus, Event, Live, Retry, event
from busframe.headers import HEADERS, Headers, encode_headers
from busframe.message import Outgoing, QueueName
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

PATIENT = Retry(attempts=500, first_s=0.01, cap_s=0.01)


@event("shop.order.refunded", key="customer")
@dataclass(frozen=True)
class OrderRefunded(Event):
    order: str
    customer: str = "ada"


@pytest.mark.parametrize("ordered", [False, True])
async def test_old_workers_leave_a_new_event_to_the_new_ones(ordered: bool, tmp_path: Path) -> None:  # noqa: FBT001
    url, seen = f"sqlite:///{tmp_path}/shop.db", list[str]()
    old, new = Bus("shop", unknown_types=PATIENT), Bus("shop", unknown_types=PATIENT)

    @old.subscribe(OrderPlaced, group="billing", ordered=ordered)
    @new.subscribe(OrderPlaced, group="billing", ordered=ordered)
    async def bill(order: OrderPlaced) -> None: ...

    @new.subscribe(OrderRefunded, group="billing", ordered=ordered)
    async def refund(refunded: OrderRefunded) -> None:
        seen.append(refunded.order)

    async with old.connect(url) as before, before.running(), new.connect(url) as after:
        for number in range(5):
            await after.publish(OrderRefunded(str(number)))
        (queue,) = old.groups
        await until(lambda: before.counts[queue].retried > 0)
        async with after.running():
            await until(lambda: len(seen) == 5)
        assert before.counts[queue].dead_lettered == 0
        assert not await after.dead_letters("billing").list()
    assert sorted(seen) == ["0", "1", "2", "3", "4"]
    if ordered:
        assert seen == sorted(seen)


async def test_an_event_that_stays_unknown_is_dead_lettered_after_the_last_attempt() -> None:
    bus = Bus("shop", unknown_types=Retry(attempts=3, first_s=0))
    bus.subscribe(OrderPlaced, group="billing")(ignore)
    async with running(bus) as live:
        await put(live, {HEADERS: encode_headers(Headers(id="1", type="shop.order.refunded"))})
        (dead,) = await dead_letters(live, "shop-billing-dead")
        assert live.counts["shop-billing"].retried == 2
    assert "attempt 3 of 3: UnknownTypeError: no handler for 'shop.order.refunded'" in reason_of(dead)


async def test_what_no_bus_has_sent_is_dead_lettered_at_once_all_the_same() -> None:
    bus = Bus("shop", unknown_types=PATIENT)
    bus.subscribe(OrderPlaced, group="billing")(ignore)
    async with running(bus) as live:
        await put(live, {})
        (dead,) = await dead_letters(live, "shop-billing-dead")
        assert live.counts["shop-billing"].retried == 0
    assert "not sent by a bus" in reason_of(dead)


async def ignore(_: OrderPlaced) -> None: ...


async def put(live: Live, attributes: dict[str, str | bytes]) -> None:
    message = Outgoing(body="{}", attributes=attributes)
    await live.backend_as(MemoryBackend).send(QueueName("shop-billing"), [message])
