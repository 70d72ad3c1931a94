"""CloudEvents 1.0, written and read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from bus.connected import dead_letters, reason_of, running, until
from bus.orders import OrderPlaced
from bus.test_payloads import AsBytes, AsText

from busframe import Bus, CloudEvents, Delivery, TraceContext, event, runtime, within_trace
from busframe.errors import InvalidArgumentError
from busframe.message import Outgoing, QueueName
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.headers import Headers
    from busframe.message import Received

pytestmark = pytest.mark.anyio

AUDIT = QueueName("shop-audit")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def auditor(seen: list[Delivery[Any]], envelope: CloudEvents | None = None) -> Bus:
    bus = Bus("shop", envelope=envelope)
    for kind in (OrderPlaced, AsText, AsBytes):

        @bus.subscribe(kind, group="audit")
        async def audit(_: object, delivery: Delivery[Any]) -> None:
            seen.append(delivery)

    return bus


async def written(payload: object, envelope: CloudEvents, **options: Any) -> Received:
    async with auditor([], envelope).connect("memory://") as live:
        await live.publish(payload, **options)
        (message,) = await live.backend_as(MemoryBackend).receive(AUDIT, limit=10, wait_s=1, lease_s=30)
        return message


async def test_an_event_is_written_as_the_specification_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "wall_s", lambda: 1_522_915_871.5)
    monkeypatch.setattr(runtime, "new_id", lambda: "A234-1234-1234")
    with within_trace(PARENT, "v=1"):
        message = await written(OrderPlaced("o1"), CloudEvents(source="/shop"), headers={"by": "bob"}, tenant="acme")
    assert message.attributes == {"content-type": "application/cloudevents+json; charset=utf-8"}
    assert json.loads(message.body) == {
        "specversion": "1.0",
        "id": "A234-1234-1234",
        "source": "/shop",
        "type": "shop.order.placed",
        "time": "2018-04-05T08:11:11.500000Z",
        "datacontenttype": "application/json",
        "partitionkey": "ada",
        "tenant": "acme",
        "traceparent": PARENT,
        "tracestate": "v=1",
        "by": "bob",
        "data": {"order": "o1", "customer": "ada"},
    }


async def test_text_is_data_and_bytes_are_base64() -> None:
    text = json.loads((await written(AsText("a;b"), CloudEvents())).body)
    assert (text["datacontenttype"], text["data"], text["source"]) == ("text/plain", "a;b", "shop")
    data = json.loads((await written(AsBytes(b"a;b"), CloudEvents())).body)
    assert (data["datacontenttype"], data["data_base64"]) == ("application/octet-stream", "YTti")
    assert "data" not in data


@pytest.mark.parametrize(
    "payload",
    [
        OrderPlaced("ünï \ufffe"),
        AsText("a;b"),
        AsText(""),
        AsText("\x00"),
        AsBytes(b""),
        AsBytes(b"\x00"),
        AsBytes(b"x"),
    ],
)
async def test_what_is_written_is_read(payload: object) -> None:
    seen: list[Delivery[Any]] = []
    async with running(auditor(seen, CloudEvents())) as live:
        with within_trace(PARENT, "v=1"):
            await live.publish(payload, headers={"by": "ada"}, tenant="acme", correlation_id="c", key="k")
        await until(lambda: bool(seen))
    (delivery,) = seen
    assert delivery.payload == payload
    assert type(delivery.payload) is type(payload)
    headers: Headers = delivery.headers
    assert (headers.source, headers.tenant, headers.correlation_id, headers.key) == ("shop", "acme", "c", "k")
    assert headers.extra == {"by": "ada"}
    assert delivery.trace == TraceContext(PARENT, "v=1")


async def events(*bodies: str) -> Sequence[Delivery[Any]]:
    """What a bus that writes no CloudEvents makes of these."""
    seen: list[Delivery[Any]] = []
    async with running(auditor(seen)) as live:
        backend = live.backend_as(MemoryBackend)
        for body in bodies:
            await backend.send(AUDIT, [Outgoing(body=body)])
        await until(lambda: len(seen) == len(bodies))
    return seen


def foreign(**more: object) -> str:
    return json.dumps(
        {"specversion": "1.0", "id": "1", "source": "//elsewhere", "type": "shop.order.placed", **more}, indent=1
    )


async def test_a_foreign_event_reaches_its_typed_handler_without_any_configuration() -> None:
    (delivery,) = await events(foreign(data={"order": "o1"}, subject="s", rate=7, sampled=True))
    assert delivery.payload == OrderPlaced("o1")
    assert (delivery.headers.id, delivery.headers.source) == ("1", "//elsewhere")
    assert delivery.headers.extra == {"subject": "s", "rate": "7", "sampled": "true"}


async def test_json_in_base64_is_json() -> None:
    (delivery,) = await events(foreign(data_base64="eyJvcmRlciI6Im8xIn0="))
    assert delivery.payload == OrderPlaced("o1")


async def test_text_may_come_as_json_text_or_as_plain_text() -> None:
    (plain,) = await events(foreign(type="payload.text", data="a;b", datacontenttype="text/csv; charset=utf-8"))
    (json_,) = await events(foreign(type="payload.text", data={"a": 1}))
    assert plain.payload == "a;b"
    assert json.loads(json_.payload) == {"a": 1}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (foreign(specversion="0.3", data={}), "version 0.3"),
        (foreign(id=""), "without id"),
        (foreign(id=7), "not a CloudEvent"),
        (foreign(due="tomorrow"), "not a CloudEvent"),
        (foreign(), "shop.order.placed"),
        (foreign(data_base64="?"), "shop.order.placed"),
        ('{"specversion"', "not a CloudEvent"),
    ],
)
async def test_a_damaged_event_is_dead_lettered_with_the_reason(body: str, reason: str) -> None:
    async with running(auditor([])) as live:
        await live.backend_as(MemoryBackend).send(AUDIT, [Outgoing(body=body)])
        (dead,) = await dead_letters(live, "shop-audit-dead")
    assert reason in reason_of(dead)
    assert dead.body == body


@pytest.mark.parametrize("name", ["by-line", "By", "", "type", "data", "tenant", "due"])
async def test_a_header_that_no_attribute_can_have_the_name_of_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="headers"):
        await written(OrderPlaced("o1"), CloudEvents(), headers={name: "x"})


async def test_an_event_of_a_foreign_name_is_handled_under_an_alias() -> None:
    @event("shop.blob.created", aliases=["Microsoft.Storage.BlobCreated"])
    @dataclass(frozen=True)
    class BlobCreated:
        url: str

    bus = Bus("shop")
    seen: list[BlobCreated] = []

    @bus.subscribe(BlobCreated, group="audit")
    async def created(blob: BlobCreated) -> None:
        seen.append(blob)

    async with running(bus) as live:
        body = foreign(type="Microsoft.Storage.BlobCreated", data={"url": "https://x"})
        await live.backend_as(MemoryBackend).send(AUDIT, [Outgoing(body=body)])
        await until(lambda: bool(seen))
    assert seen == [BlobCreated("https://x")]


async def test_a_long_delay_travels_in_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    wall_s = 1_000_000.0
    monkeypatch.setattr(runtime, "wall_s", lambda: wall_s)
    seen: list[Delivery[Any]] = []
    async with running(auditor(seen, CloudEvents())) as live:
        await live.publish(OrderPlaced("o1"), delay_s=1_000)
        wall_s += 900
        live.backend_as(MemoryBackend).advance(900)
        await until(lambda: live.counts[AUDIT].received == 1)
        while (stats := (await live.stats())[AUDIT]).in_flight or not stats.delayed:
            await anyio.lowlevel.checkpoint()
        assert not seen
        wall_s += 100
        live.backend_as(MemoryBackend).advance(100)
        await until(lambda: bool(seen))
    assert seen[0].payload == OrderPlaced("o1")
