"""What type checkers say of an application's use of the bus. A line that must be an error names its codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_type

from busframe import Bus, Command, Delivery, Event, ForeignMessage, Live, Producer, PulledDelivery, Stream, command, event
from busframe.message import MessageId, QueueName


@event("shop.order.placed")
@dataclass(frozen=True)
class OrderPlaced(Event):
    order: str


@event("shop.order.cancelled")
@dataclass(frozen=True)
class OrderCancelled(Event):
    order: str


@command("shop.invoice.print")
@dataclass(frozen=True)
class PrintInvoice(Command):
    order: str


@event("shop.plain")
@dataclass(frozen=True)
class Plain:
    """The short form, without a base class."""

    order: str


@event("shop.pair")
class Pair(NamedTuple):
    left: str


@event("shop.csv")
class Csv(str, Event):
    __slots__ = ()


@dataclass
class Undeclared:
    order: str


bus = Bus("shop")


async def sending(live: Live, producer: Producer) -> None:
    assert_type(await live.publish(OrderPlaced("o1")), Sequence[QueueName])
    assert_type(await live.publish(OrderPlaced("o1"), delay_s=5, tenant="acme", headers={"a": "b"}), Sequence[QueueName])
    assert_type(await live.publish(Plain("o1")), Sequence[QueueName])
    assert_type(await live.publish(Pair("o1")), Sequence[QueueName])
    assert_type(await live.publish(Csv("a;b")), Sequence[QueueName])
    assert_type(await live.send(PrintInvoice("o1")), MessageId)
    await live.publish(PrintInvoice("o1"))  # error: mypy[misc] pyright[reportGeneralTypeIssues]
    await live.send(OrderPlaced("o1"))  # error: mypy[misc] pyright[reportGeneralTypeIssues]
    await live.send(Csv("o1"))  # error: mypy[misc] pyright[reportGeneralTypeIssues]
    await live.publish(OrderPlaced)  # error: mypy[misc] pyright[reportGeneralTypeIssues]
    await live.publish("shop.order.placed")  # error: mypy[misc] pyright[reportGeneralTypeIssues]
    await live.publish({"order": "o1"})  # error: mypy[misc] pyright[reportGeneralTypeIssues]
    await live.publish(None)  # error: mypy[misc] pyright[reportGeneralTypeIssues]
    await live.publish(OrderPlaced(7))  # error: mypy[arg-type] pyright[reportArgumentType]
    await live.publish(OrderPlaced("o1"), delay="5")  # error: mypy[call-overload] pyright[reportCallIssue]
    await live.publish(OrderPlaced("o1"), tenant=5)  # error: mypy[call-overload] pyright[reportCallIssue,reportArgumentType]
    await producer.publish(OrderPlaced("o1"), delay_s=5)
    await producer.send(PrintInvoice("o1"), tenant="acme")
    await producer.publish(Undeclared("o1"))  # error: mypy[arg-type] pyright[reportArgumentType]
    await producer.publish(PrintInvoice("o1"))  # error: mypy[arg-type] pyright[reportArgumentType]
    await producer.send(OrderPlaced("o1"))  # error: mypy[arg-type] pyright[reportArgumentType]
    await sending(live, live)


async def pulling(live: Live) -> None:
    async with live.stream(OrderPlaced, group="audit", prefetch=1) as deliveries:
        assert_type(deliveries, Stream[OrderPlaced])
        async for delivery in deliveries:
            async with delivery as same:
                assert_type(delivery.payload, OrderPlaced)
                assert_type(same, PulledDelivery[OrderPlaced])
                delivery.payload.nothing()  # error: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
                delivery.transaction.execute("INSERT INTO bill VALUES (?)", (delivery.payload.order,))
                delivery.transaction.run(lambda connection: connection.execute("SELECT 1"))
    async with live.stream(PrintInvoice) as commands:
        wrong: Stream[OrderPlaced] = commands  # error: mypy[assignment] pyright[reportAssignmentType]
        del wrong
    async with live.queue("uploads").receive() as messages:
        assert_type((await anext(messages)).payload, ForeignMessage)
    live.stream(OrderPlaced("o1"), group="audit")  # error: mypy[arg-type] pyright[reportArgumentType]
    await live.queue("uploads").send(b"bytes")  # error: mypy[arg-type] pyright[reportArgumentType]


@bus.subscribe(OrderPlaced, group="billing", concurrency=5)
async def payload_alone(order: OrderPlaced) -> None: ...


@bus.subscribe(OrderPlaced, group="shipping")
async def with_its_delivery(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
    assert_type(delivery.payload, OrderPlaced)


@bus.subscribe(Plain, group="billing")
async def short_form(order: Plain) -> None: ...


@bus.subscribe(Csv, group="billing")
async def any_text(order: str) -> None: ...


@bus.handle(PrintInvoice, timeout_s=5)
async def owner(invoice: PrintInvoice) -> None: ...


@bus.foreign(group="billing")
async def foreign(message: ForeignMessage) -> None:
    assert_type(message.read(Undeclared), Undeclared)


@bus.foreign(queue="uploads")
async def foreign_with_its_delivery(_: ForeignMessage, delivery: Delivery[ForeignMessage]) -> None:
    assert_type(delivery.payload, ForeignMessage)


@bus.subscribe(OrderPlaced, group="a")  # error: mypy[arg-type] pyright[reportCallIssue,reportArgumentType,reportUntypedFunctionDecorator]
async def wrong_payload(order: OrderCancelled) -> None: ...


@bus.subscribe(OrderPlaced, group="b")  # error: mypy[arg-type] pyright[reportCallIssue,reportArgumentType,reportUntypedFunctionDecorator]
async def wrong_delivery(order: OrderPlaced, delivery: Delivery[OrderCancelled]) -> None: ...


@bus.subscribe(OrderPlaced, group="c")  # error: mypy[arg-type] pyright[reportCallIssue,reportArgumentType,reportUntypedFunctionDecorator]
def not_async(order: OrderPlaced) -> None: ...


@bus.subscribe(OrderPlaced, group="d")  # error: mypy[arg-type] pyright[reportCallIssue,reportArgumentType,reportUntypedFunctionDecorator]
async def returns_something(order: OrderPlaced) -> str:
    return order.order


@bus.subscribe(PrintInvoice, group="e")  # error: mypy[operator] pyright[reportCallIssue,reportUntypedFunctionDecorator]
async def not_an_event(invoice: PrintInvoice) -> None: ...


@bus.handle(OrderPlaced)  # error: mypy[operator] pyright[reportCallIssue,reportUntypedFunctionDecorator]
async def not_a_command(order: OrderPlaced) -> None: ...


@bus.foreign(group="f")  # error: mypy[arg-type] pyright[reportCallIssue,reportArgumentType,reportUntypedFunctionDecorator]
async def not_foreign(order: OrderPlaced) -> None: ...


bus.subscribe(OrderPlaced)  # error: mypy[call-overload] pyright[reportCallIssue]
bus.subscribe(OrderPlaced, group="g", concurrency="5")  # error: mypy[call-overload] pyright[reportCallIssue,reportArgumentType]


async def not_connected() -> None:
    await bus.connect("memory://").publish(OrderPlaced("o1"))  # error: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
    await bus.connect("memory://")  # error: mypy[misc] pyright[reportGeneralTypeIssues]
    async with bus.connect("memory://") as live:
        assert_type(live, Live)
