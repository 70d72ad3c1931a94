"""Messages that no bus has sent, or that nobody understands."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, TypedDict

import pytest
from bus.connected import dead_letters, reason_of, running, until
from bus.orders import OrderCancelled, OrderPlaced, PrintInvoice

from busframe import Bus, Delivery, ForeignMessage, Live, Retry
from busframe.errors import ConfigurationError, DecodeError, InvalidArgumentError
from busframe.headers import HEADERS, Headers, encode_headers
from busframe.message import Outgoing, QueueName
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

AUDIT = QueueName("shop-audit")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def in_sns(message: str, attributes: Mapping[str, Mapping[str, str]] | None = None, **more: str) -> str:
    """What SNS delivers (Amazon SNS Developer Guide, "Fanout to Amazon SQS queues")."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "63a3f6b6-d533-4a47-aef9-fcf5cf758c76",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
            "Message": message,
            "Timestamp": "2012-03-29T05:12:16.901Z",
            "SignatureVersion": "1",
            "Signature": "EXAMPLE",
            "SigningCertURL": "https://sns.us-west-2.amazonaws.com/x.pem",
            "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/",
            **({"MessageAttributes": attributes} if attributes else {}),
            **more,
        }
    )


async def put(live: Live, body: str, attributes: Mapping[str, str | bytes] | None = None) -> None:
    await live.backend_as(MemoryBackend).send(AUDIT, [Outgoing(body=body, attributes=attributes or {})])


def auditor(seen: list[Delivery[ForeignMessage]]) -> Bus:
    bus = Bus("shop")

    @bus.foreign(group="audit")
    async def foreign(_: ForeignMessage, delivery: Delivery[ForeignMessage]) -> None:
        seen.append(delivery)

    return bus


async def test_a_foreign_handler_gets_raw_bodies_with_their_attributes() -> None:
    seen: list[Delivery[ForeignMessage]] = []
    async with running(auditor(seen)) as live:
        await put(live, "not json", {"by": "ada", "raw": b"\x00", "traceparent": PARENT})
        await until(lambda: bool(seen))
        await until(lambda: live.counts[AUDIT].handled == 1)
    message = seen[0].payload
    assert (message.body, message.attributes["by"], message.attributes["raw"]) == ("not json", "ada", b"\x00")
    assert (message.topic, message.subject, message.message_id) == (None, None, seen[0].message_id)
    assert "no attribute 'busframe'" in message.problem
    assert seen[0].headers.id == seen[0].message_id
    assert seen[0].trace is not None
    assert seen[0].trace.traceparent == PARENT
    with pytest.raises(DecodeError, match="not JSON"):
        message.json()


async def test_what_came_through_sns_is_taken_out_of_its_envelope() -> None:
    seen: list[Delivery[ForeignMessage]] = []
    attributes = {
        "by": {"Type": "String", "Value": "ada"},
        "raw": {"Type": "Binary", "Value": b64encode(b"\x00").decode()},
    }
    async with running(auditor(seen)) as live:
        await put(live, in_sns('{"price": 7}', attributes, Subject="prices"))
        await until(lambda: bool(seen))
    message = seen[0].payload
    assert message.json() == {"price": 7}
    assert message.attributes == {"by": "ada", "raw": b"\x00"}
    assert message.topic == "arn:aws:sns:us-west-2:123456789012:MyTopic"
    assert message.subject == "prices"
    assert message.message_id == "63a3f6b6-d533-4a47-aef9-fcf5cf758c76"


S3 = {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]}
EVENT_BRIDGE = {"version": "0", "id": "x", "detail-type": "EC2 Change", "source": "aws.ec2", "detail": {"state": "x"}}


@pytest.mark.parametrize("body", [S3, EVENT_BRIDGE, {"Type": "Notification", "TopicArn": "but no message"}])
async def test_other_shapes_of_json_pass_as_they_are(body: dict[str, Any]) -> None:
    seen: list[Delivery[ForeignMessage]] = []
    async with running(auditor(seen)) as live:
        await put(live, json.dumps(body))
        await until(lambda: bool(seen))
    assert seen[0].payload.json() == body


async def test_a_foreign_body_can_be_read_as_a_type_and_is_dead_lettered_if_it_is_none() -> None:
    bus = Bus("shop")
    prices: list[float] = []

    class Price(TypedDict):
        price: float

    @bus.foreign(group="audit", retry=Retry(attempts=5))
    async def foreign(message: ForeignMessage) -> None:
        prices.append(message.read(Price)["price"])

    async with running(bus) as live:
        await put(live, '{"price": 7.5}')
        await put(live, '{"prize": 7.5}')
        (dead,) = await dead_letters(live, "shop-audit-dead")
    assert prices == [7.5]
    assert dead.body == '{"prize": 7.5}'
    assert reason_of(dead).startswith("DecodeError")


async def test_a_groups_own_handlers_go_first_and_the_foreign_one_gets_the_rest_with_the_problem() -> None:
    seen: list[Delivery[ForeignMessage]] = []
    placed: list[str] = []
    bus = auditor(seen)

    @bus.subscribe(OrderPlaced, group="audit")
    async def place(order: OrderPlaced) -> None:
        placed.append(order.order)

    unknown = encode_headers(Headers(id="1", type="shop.order.refunded"))
    damaged = encode_headers(Headers(id="2", type="shop.order.placed"))
    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await put(live, "{}", {HEADERS: unknown})
        await put(live, '{"order": 7}', {HEADERS: damaged})
        await put(live, "{}", {HEADERS: "{"})
        await until(lambda: len(seen) == 3 and bool(placed))
    assert placed == ["o1"]
    problems = sorted(delivery.payload.problem for delivery in seen)
    assert "damaged" in problems[0]
    assert "no handler for 'shop.order.refunded' in this group; it handles shop.order.placed" in problems[1]
    assert "shop.order.placed: Expected `str`, got `int`" in problems[2]


async def test_without_a_foreign_handler_they_are_dead_lettered_with_the_reason() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="audit")
    async def place(order: OrderPlaced) -> None: ...

    async with running(bus) as live:
        await put(live, in_sns("hello"))
        (dead,) = await dead_letters(live, "shop-audit-dead")
    assert "not sent by a bus" in reason_of(dead)
    assert json.loads(dead.body)["Message"] == "hello"


async def test_a_buss_message_that_came_through_sns_reaches_its_typed_handler() -> None:
    bus = Bus("shop")
    seen: list[Delivery[OrderPlaced]] = []

    @bus.subscribe(OrderPlaced, group="audit")
    async def place(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        seen.append(delivery)

    headers = encode_headers(Headers(id="1", type="shop.order.placed", source="elsewhere"))
    async with running(bus) as live:
        await put(live, in_sns('{"order": "o1"}', {HEADERS: {"Type": "String", "Value": headers}}))
        await until(lambda: bool(seen))
    assert seen[0].payload == OrderPlaced("o1")
    assert seen[0].headers.source == "elsewhere"


async def test_a_queue_of_any_name_can_be_handled() -> None:
    bus = Bus("shop")
    seen: list[str] = []

    @bus.foreign(queue="uploads")
    async def foreign(message: ForeignMessage) -> None:
        seen.append(message.body)

    async with running(bus) as live:
        await live.backend_as(MemoryBackend).send(QueueName("uploads"), [Outgoing(body="x")])
        await until(lambda: bool(seen))
    assert seen == ["x"]
    assert set(bus.groups) == {"uploads"}


async def test_foreign_messages_can_be_handled_on_a_commands_queue_too() -> None:
    bus = Bus("shop")

    @bus.handle(PrintInvoice)
    async def print_invoice(invoice: PrintInvoice) -> None: ...

    @bus.foreign(queue="shop-invoice-print")
    async def foreign(message: ForeignMessage) -> None: ...

    assert len(bus.groups) == 1


async def test_mistakes_with_foreign_handlers_are_named() -> None:
    bus = auditor([])
    with pytest.raises(InvalidArgumentError, match="group"):
        bus.foreign()
    with pytest.raises(InvalidArgumentError, match="group"):
        bus.foreign(group="audit", queue="audit")
    with pytest.raises(ConfigurationError, match="foreign messages already"):
        bus.foreign(group="audit")
    bus.subscribe(OrderCancelled, group="audit")
    with pytest.raises(InvalidArgumentError, match="group"):
        bus.foreign(group="a.b")
