"""What somebody gets wrong in the first hour is refused by name, and told what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NewType, Optional, Protocol, TypeVar, Union

import pytest
from bus.orders import OrderCancelled, OrderPlaced, PrintInvoice

from busframe import Bus, Delivery, Retry, event
from busframe.errors import ClosedError, InvalidArgumentError, NotConnectedError, QueueNotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class Numbered(Protocol):
    order: str


class Boxed(Generic[T]):
    """A generic class that no event is."""


Wrapped = NewType("Wrapped", OrderCancelled)


UNTYPED: Any = Bus("shop")
"""Mistakes that a type checker would find are made by those who use none."""


async def test_a_publish_after_closing_is_refused_though_nobody_has_subscribed() -> None:
    async with Bus("shop").connect("memory://") as live:
        pass
    with pytest.raises(ClosedError, match="the connection is closed"):
        await live.publish(OrderPlaced("o1"))


async def test_a_publish_after_closing_is_refused_where_somebody_has_subscribed() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced) -> None: ...

    async with bus.connect("memory://") as live:
        await live.publish(OrderPlaced("o1"))
    with pytest.raises(ClosedError, match="the connection is closed"):
        await live.publish(OrderPlaced("o1"))


async def test_a_check_that_finds_a_queue_missing_says_how_it_is_made() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=2))
    async def bill(_: OrderPlaced) -> None: ...

    with pytest.raises(QueueNotFoundError, match=r"shop-billing.*is not there; `busframe topology apply` makes"):
        async with bus.connect("memory://", provision="check"):
            pass


@pytest.mark.parametrize(
    ("url", "options", "allowed"),
    [
        (None, {}, "url=None is not allowed: text"),
        ("memory://", {"provision": "yes"}, "provision='yes' is not allowed: one of create, check, assume"),
    ],
)
async def test_what_connect_cannot_use_is_named(url: object, options: dict[str, object], allowed: str) -> None:
    with pytest.raises(InvalidArgumentError, match=allowed):
        async with UNTYPED.connect(url, **options):
            pass


async def test_a_delay_that_is_no_number_is_named() -> None:
    async with UNTYPED.connect("memory://") as live:
        with pytest.raises(InvalidArgumentError, match="delay_s='soon' is not allowed: a number of seconds"):
            await live.publish(OrderPlaced("o1"), delay_s="soon")


@pytest.mark.parametrize("several", [[OrderPlaced("o1")], (OrderPlaced("o1"), OrderPlaced("o2"))])
async def test_several_messages_in_one_call_are_told_to_go_one_at_a_time(several: object) -> None:
    async with UNTYPED.connect("memory://") as live:
        for call in (live.publish, live.send):
            with pytest.raises(InvalidArgumentError, match="messages go one at a time, with a call for each"):
                await call(several)


async def test_dead_letters_of_no_group_name_the_groups_there_are() -> None:
    bus: Any = Bus("shop")
    bus.subscribe(OrderPlaced, group="billing")(_handler(OrderPlaced))
    async with bus.connect("memory://") as live:
        for name, said in (
            ("biling", "did you mean billing"),
            ("nope", r"may be of billing, shop-billing, shop/billing"),
        ):
            with pytest.raises(QueueNotFoundError, match=f"queue {name}-dead is not there.*{said}"):
                await live.dead_letters(name).list()


async def _published() -> None:
    await UNTYPED.connect("memory://").publish(OrderPlaced("o1"))


async def _awaited() -> None:
    await UNTYPED.connect("memory://")


async def _entered_without_async() -> None:
    with UNTYPED.connect("memory://"):
        pass


@pytest.mark.parametrize(
    ("mistake", "written"),
    [
        (_published, "bus.connect(...).publish"),
        (_awaited, "await bus.connect(...)"),
        (_entered_without_async, "with bus.connect(...)"),
    ],
)
async def test_a_connection_that_was_not_entered_says_how_it_is(
    mistake: Callable[[], Awaitable[None]], written: str
) -> None:
    with pytest.raises(NotConnectedError) as caught:
        await mistake()
    assert str(caught.value).startswith(f"`{written}`: ")
    assert "`async with bus.connect(...) as live:`" in str(caught.value)


async def _running_awaited() -> None:
    async with UNTYPED.connect("memory://") as live:
        await live.running()


async def _running_entered_without_async() -> None:
    async with UNTYPED.connect("memory://") as live:
        with live.running():
            pass


@pytest.mark.parametrize(
    ("mistake", "written"),
    [
        (_running_awaited, "await live.running(...)"),
        (_running_entered_without_async, "with live.running(...)"),
    ],
)
async def test_a_run_of_handlers_that_was_not_entered_says_how_it_is(
    mistake: Callable[[], Awaitable[None]], written: str
) -> None:
    with pytest.raises(NotConnectedError) as caught:
        await mistake()
    assert str(caught.value).startswith(f"`{written}`: running() runs nothing by itself")
    assert "`async with live.running():`" in str(caught.value)
    assert "connect" not in str(caught.value)


async def test_a_connection_that_was_not_entered_has_no_other_attributes_than_it_has() -> None:
    opening = UNTYPED.connect("memory://")
    assert not hasattr(opening, "publish")
    with pytest.raises(AttributeError, match="'Connecting' object has no attribute 'pubish'"):
        _ = opening.pubish


def _handler(annotation: object) -> Any:
    async def handle(message: Any) -> None: ...

    handle.__annotations__["message"] = annotation
    return handle


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (OrderCancelled, "OrderCancelled"),
        ("OrderCancelled", "OrderCancelled"),
        ("OrderCancelled | None", "OrderCancelled"),
        (Optional[PrintInvoice], "PrintInvoice"),  # noqa: UP045 - it is another class than that of `|`
        (Annotated[OrderCancelled, "one"], "OrderCancelled"),
        (list[OrderPlaced], "list"),
        (Boxed[OrderPlaced], "Boxed"),
        (Delivery[OrderPlaced], "Delivery"),
        ("dict", "dict"),
    ],
)
def test_a_handler_of_another_message_is_refused_where_it_is_registered(annotation: object, said: str) -> None:
    allowed = f"a function of OrderPlaced, the class of shop.order.placed: `message` is annotated with .*{said}"
    with pytest.raises(InvalidArgumentError, match=allowed):
        UNTYPED.subscribe(OrderPlaced, group="typed")(_handler(annotation))
    assert "shop-typed" not in UNTYPED.groups


def test_a_handler_of_an_event_is_no_handler_of_a_command() -> None:
    with pytest.raises(InvalidArgumentError, match=r"a function of PrintInvoice.*annotated with OrderPlaced"):
        UNTYPED.handle(PrintInvoice)(_handler(OrderPlaced))


@pytest.mark.parametrize(
    "annotation",
    [
        OrderPlaced,
        "OrderPlaced",
        "OrderPlaced | None",
        Union[OrderCancelled, OrderPlaced],  # noqa: UP007 - it is another class than that of `|`
        OrderCancelled | OrderPlaced,
        Annotated[OrderPlaced, "one"],
        Any,
        "Any",
        object,
        OrderPlaced.__mro__[1],
        T,
        Numbered,
        Wrapped,
        Literal["x"],
        "NotToBeFound",
        "no annotation at all, but words",
        "1 / 0",
    ],
)
def test_a_handler_whose_annotation_fits_or_says_nothing_is_accepted(annotation: object) -> None:
    bus = Bus("shop")
    bus.subscribe(OrderPlaced, group="typed")(_handler(annotation))
    assert "shop-typed" in bus.groups


def test_a_class_of_the_same_name_inside_of_a_function_is_not_taken_for_the_one_outside() -> None:
    def register_inside(bus: Any) -> None:
        @event("shop.order.inside")
        class OrderPlaced(str):
            """Hides the one outside."""

            __slots__ = ()

        async def handle(_: OrderPlaced) -> None: ...

        bus.subscribe(OrderPlaced, group="typed")(handle)

    bus = Bus("shop")
    register_inside(bus)
    assert "shop-typed" in bus.groups
