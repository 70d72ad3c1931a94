"""What stands in the log beside the text."""

from __future__ import annotations

import json
import logging
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from bus.connected import running, until
from bus.orders import OrderPlaced, PrintInvoice

from busframe import Bus, Delivery, Reject, Retry
from busframe.logs import FIELDS, JsonLines, WithDelivery

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.anyio


@pytest.fixture
def lines() -> Generator[StringIO, None, None]:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(WithDelivery())
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def records(lines: StringIO, logger: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, lines.getvalue().splitlines()) if line["logger"] == logger]


async def test_what_becomes_of_a_message_is_logged_with_fields_and_a_text_that_stays_the_same(lines: StringIO) -> None:
    bus = Bus("shop")
    deliveries: list[Delivery[Any]] = []

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=3, first_s=0))
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        deliveries.append(delivery)
        if delivery.attempt == 1:
            raise LookupError(order.customer)
        raise Reject("no such customer")

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1", "ada"), correlation_id="c1")
        await until(lambda: live.counts["shop-billing"].dead_lettered == 1)

    again, dead = records(lines, "busframe")
    about = {
        "queue": "shop-billing",
        "group": "shop/billing",
        "message_type": "shop.order.placed",
        "message_id": deliveries[0].message_id,
        "bus_id": deliveries[0].headers.id,
        "correlation_id": "c1",
    }
    assert about.items() <= again.items()
    assert about.items() <= dead.items()
    assert (again["attempt"], dead["attempt"]) == (1, 2)
    assert again["event"] == "message %s of %s, attempt %d: again in %.1f s: %r"
    assert dead["event"] == "message %s of %s, attempt %d: dead-lettered: %s"
    assert dead["message"].endswith("attempt 2: dead-lettered: rejected: no such customer")
    assert again["level"] == "WARNING"
    assert "LookupError: ada" in again["exception"]
    assert "delay_s" in again


async def test_what_a_handler_logs_says_which_message_it_works_on(lines: StringIO) -> None:
    bus = Bus("shop")
    log = logging.getLogger("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(order: OrderPlaced) -> None:
        log.info("billing %s", order.order)
        await live.send(PrintInvoice(order.order))

    @bus.handle(PrintInvoice)
    async def print_invoice(_: PrintInvoice) -> None:
        log.info("printing", extra={"pages": 2})

    async with running(bus) as live:
        log.info("begun")
        await live.publish(OrderPlaced("o1", "ada"))
        await until(lambda: live.counts["shop-invoice-print"].handled == 1)
    begun, billing, printing = records(lines, "shop")
    assert not set(begun) & set(FIELDS)
    assert billing["message"] == "billing o1"
    assert billing["message_type"] == "shop.order.placed"
    assert billing["correlation_id"] == billing["bus_id"]
    assert printing["correlation_id"] == billing["bus_id"]
    assert printing["causation_id"] == billing["bus_id"]
    assert printing["pages"] == 2
    assert set(billing) | {"group", "causation_id"} >= set(FIELDS)


def test_what_json_has_no_word_for_is_written_as_text() -> None:
    record = logging.makeLogRecord({"msg": "x", "levelname": "INFO", "thing": {1}, "nothing": None})
    line = json.loads(JsonLines().format(record))
    assert line["thing"] == "{1}"
    assert "nothing" not in line
