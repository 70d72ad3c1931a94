"""Whatever is wrong with an argument is said with its name, its value and what is allowed, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pytest
from bus.orders import OrderPlaced, PrintInvoice

from busframe import Bus, CloudEvents, Drop, Later, Live, Reject, Retry, command, event, within_trace
from busframe.backend import DeadLetters, Plan, QueueSpec
from busframe.errors import InvalidArgumentError
from busframe.message import Outgoing
from busframe.observing import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = pytest.mark.anyio

NAN, INFINITE = float("nan"), float("inf")

# What nobody may give for a parameter of this kind.
WHOLE = (2.5, True, "4", NAN, -1)
SECONDS = ("30", True, NAN, INFINITE, -1, [1])
TEXT = (3, b"bytes", ["a"])
FLAG = (1, "yes", None)

COMMON: Mapping[str, tuple[object, ...]] = {
    "ordered": FLAG,
    "concurrency": (*WHOLE, 0),
    "lease_s": (*SECONDS, 1.9, 43_201),
    "retry": (5, "5", Retry),
    "once": FLAG,
    "once_window_s": (*SECONDS, 0),
}
BOUNDS: Mapping[str, tuple[object, ...]] = {"bytes_in_hand_max": (*WHOLE, 0), "timeout_s": (*SECONDS, 0)}
FILTERS: Mapping[str, tuple[object, ...]] = {"filter": (5, [], {}, "tenant"), "filter_on": ("nonsense", None, 3)}
SENDING: Mapping[str, tuple[object, ...]] = {
    "delay_s": (*SECONDS, None, False),
    "tenant": TEXT,
    "key": TEXT,
    "headers": (["a"], "a", {"a": 1}, {1: "a"}, 5),
    "correlation_id": TEXT,
    "id": (*TEXT, "", "x" * 201),
}
RUNNING: Mapping[str, tuple[object, ...]] = {
    "groups": ("billing", 5, [5]),
    "concurrency": (*WHOLE, 0),
    "drain_s": SECONDS,
}


async def handler(_: object) -> None: ...


def shop() -> Any:
    """Untyped, as the code that makes such mistakes."""
    return Bus("shop")


def subscribe(**options: Any) -> object:
    result: object = shop().subscribe(OrderPlaced, **{"group": "billing", **options})(handler)
    return result


def handle(**options: Any) -> object:
    result: object = shop().handle(PrintInvoice, **options)(handler)
    return result


def foreign(**options: Any) -> object:
    result: object = shop().foreign(**{"group": "billing", **options})(handler)
    return result


def an_event(**options: Any) -> object:
    name = options.pop("name", "shop.x")
    return event(name, **options)(dataclass(type("X", (), {"__annotations__": {"x": str}})))


def a_command(**options: Any) -> object:
    name = options.pop("name", "shop.x")
    return command(name, **options)(dataclass(type("X", (), {"__annotations__": {"x": str}})))


def having(called: Any, **needed: object) -> Callable[..., object]:
    """The call with the arguments that it needs, where the case does not give them."""

    def call(**options: object) -> object:
        return called(**{**needed, **options})

    call.__name__ = called.__name__
    return call


def trace(**options: Any) -> None:
    with within_trace(**{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", **options}):
        pass


DECLARING: Mapping[Callable[..., object], Mapping[str, tuple[object, ...]]] = {
    subscribe: {**COMMON, **BOUNDS, **FILTERS, "group": (5, None, ["g"]), "queue": (5, ["q"], "a b")},
    handle: {**COMMON, **BOUNDS},
    foreign: {**{name: COMMON[name] for name in COMMON if name != "ordered"}, **BOUNDS, "group": (5, ["g"])},
    having(Bus("shop").foreign): {"queue": (5, ["q"], "a b")},
    Bus("shop").select: {"names": ("billing", 5, [5])},
    having(Bus, name="shop"): {
        "name": (5, None),
        "envelope": (5, CloudEvents),
        "check_schema": FLAG,
        "unknown_types": (5, Retry),
    },
    Bus("shop").observe: {"observer": (5, Observer)},
    an_event: {
        "name": (5, ""),
        "version": (*WHOLE, 0),
        "key": (5, "nope"),
        "aliases": ("abc", 5, [5]),
        "upgrade": (5, {"1": len}, {1: "x"}),
    },
    a_command: {"name": (5, ""), "version": (*WHOLE, 0), "key": (5, "nope"), "upgrade": (5, {"1": len})},
    Retry: {
        "attempts": (*WHOLE, 0, 901),
        "first_s": (*SECONDS, 43_201),
        "cap_s": (*SECONDS, 43_201),
        "never": (ValueError, (5,), 5),
        "by_error": (5, {5: Retry()}, {OSError: 5}),
    },
    Retry.exponential: {"attempts": (*WHOLE, 0, 901), "never": (ValueError, 5), "by_error": (5,)},
    having(Later, delay_s=1): {"delay_s": (*SECONDS, None, 43_201), "count": FLAG},
    Reject: {"reason": TEXT},
    Drop: {"reason": TEXT},
    CloudEvents: {"source": TEXT},
    trace: {"traceparent": (*TEXT, "00", None), "tracestate": TEXT},
    having(QueueSpec, name="q"): {
        "name": (5, "a b"),
        "lease_s": (*SECONDS, 43_201),
        "delay_s": (*SECONDS, 901),
        "retention_s": (*SECONDS, 59, 1_209_601),
        "dead_letters": (5,),
        "labels": (5, {"a": 1}),
    },
    having(DeadLetters, queue="q", max_receive_count=5): {
        "queue": (5, "a b"),
        "max_receive_count": (*WHOLE, 0, 1001),
    },
    Plan: {"mode": ("make", 5)},
    having(Outgoing, body="x"): {
        "body": (5, b"x", ""),
        "attributes": (5, {"a": 5}, {5: "a"}),
        "delay_s": (*SECONDS, None),
        "group": TEXT,
        "deduplication_id": TEXT,
    },
}

LIVE: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "running": RUNNING,
    "serve": {"drain_s": SECONDS},
    "serve_until_signal": {"drain_s": SECONDS},
    "work": {
        **RUNNING,
        "until_empty": FLAG,
        "deliveries_max": (*WHOLE, 0),
        "time_max_s": (*SECONDS, 0),
        "signals": FLAG,
    },
    "stream": {
        **{name: values for name, values in COMMON.items() if name != "concurrency"},
        **FILTERS,
        "prefetch": (*WHOLE, 0, None),
        "drain_s": SECONDS,
    },
    "health": {"stuck_after_s": SECONDS, "stale_after_s": SECONDS},
    "metrics": {"queues": FLAG},
    "queue": {"name": (5, "a b")},
    "queues": {"prefix": TEXT},
    "dead_letters": {"name": (5, "a b", ["a"])},
    "backend_as": {"kind": (5, "MemoryBackend")},
}
CHANNEL: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "send": {
        "body": (5, b"x", ""),
        "attributes": (5, {"a": 5}, ["a"]),
        "delay_s": (*SECONDS, None),
        "group": TEXT,
        "deduplication_id": TEXT,
    },
    "receive": {"prefetch": (*WHOLE, 0, None), "lease_s": SECONDS, "retry": (5,)},
    "peek": {"limit": (*WHOLE, 0, 1001), "after": TEXT},
    "sample": {"limit": (*WHOLE, 0), "lease_s": (*SECONDS, 0)},
}
DEAD: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "list": {"limit": (*WHOLE, 0), "select": (5,)},
    "replay": {"limit": (*WHOLE, 0), "select": (5,), "to": (5, "a b")},
    "drop": {"limit": (*WHOLE, 0), "select": (5,)},
}
TOPOLOGY: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "history": {"limit": (*WHOLE, 0)},
    "pause": {"group": (5, ""), "event": (5,)},
    "resume": {"group": (5, ""), "event": (5,)},
    "rename": {"group": (5, ""), "new": (5, "")},
    "move": {"group": (5, ""), "queue": (5, "a b"), "event": (5,), "carry": FLAG},
    "unsubscribe": {"group": (5, ""), "event": (5,), "wait": FLAG, "discard": FLAG, "with_dead_letters": FLAG},
    "show": {"depths": FLAG},
    "check": {"prefix": TEXT},
}
NEEDED: Mapping[str, Mapping[str, object]] = {
    "stream": {"kind": OrderPlaced, "group": "audit"},
    "send": {"body": "x"},
    "pause": {"group": "billing"},
    "resume": {"group": "billing"},
    "unsubscribe": {"group": "billing"},
    "rename": {"group": "billing", "new": "bills"},
    "move": {"group": "billing", "queue": "bills"},
}


def cases(table: Mapping[Any, Mapping[str, tuple[object, ...]]]) -> list[Any]:
    return [
        pytest.param(called, parameter, value, id=f"{getattr(called, '__name__', called)}-{parameter}-{value!r}")
        for called, parameters in table.items()
        for parameter, values in parameters.items()
        for value in values
    ]


def refused(parameter: str) -> Any:
    """The error names the parameter, or a place in it, and says what was given or what part of that."""
    return pytest.raises(InvalidArgumentError, match=rf"^{parameter}\b.*=.* is not allowed: .")


@pytest.mark.parametrize(("called", "parameter", "value"), cases(DECLARING))
def test_what_a_declaration_cannot_use_is_named(called: Any, parameter: str, value: object) -> None:
    extra: dict[str, object] = {"once": True} if parameter == "once_window_s" else {}
    if parameter == "filter_on":
        extra = {"filter": {"tenant": ["acme"]}}
    with refused(parameter):
        called(**{parameter: value}, **extra)


@pytest.mark.parametrize("registering", [subscribe, handle, foreign])
def test_a_window_of_an_inbox_that_nobody_asked_for_is_refused(registering: Callable[..., object]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"once_window_s=5 is not allowed: None, unless once=True"):
        registering(once_window_s=5)


@pytest.mark.parametrize("on", ["payload", "nonsense"])
def test_what_a_filter_is_to_look_at_is_refused_where_there_is_no_filter(on: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"filter_on='{on}' is not allowed: .*filter"):
        subscribe(filter_on=on)


@pytest.mark.parametrize("method", ["publish", "send"])
@pytest.mark.parametrize(("options", "parameter", "value"), cases({"options": SENDING}))
async def test_what_a_message_cannot_carry_is_named_and_not_sent(
    method: str, options: str, parameter: str, value: object
) -> None:
    del options
    bus = Bus("shop")
    bus.subscribe(OrderPlaced, group="billing")(handler)
    bus.handle(PrintInvoice)(handler)
    async with bus.connect("memory://") as live:
        message = OrderPlaced("o1") if method == "publish" else PrintInvoice("o1")
        with refused(parameter):
            await getattr(live, method)(message, **{parameter: value})
        assert not any(stats.visible for stats in (await live.stats()).values())


async def call(target: object, method: str, options: Mapping[str, object]) -> None:
    """Call a method, and await or enter what it gives."""
    result: Any = getattr(target, method)(**options)
    if hasattr(result, "__aenter__"):
        async with result:
            pass
    elif hasattr(result, "__await__"):
        await result


def target_of(live: Live, kind: str) -> object:
    if kind == "channel":
        return live.queue("shop-billing")
    return {"live": live, "dead": live.dead_letters("shop-billing"), "topology": live.topology}[kind]


@pytest.mark.parametrize(
    ("kind", "table"),
    [("live", LIVE), ("channel", CHANNEL), ("dead", DEAD), ("topology", TOPOLOGY)],
)
async def test_what_a_method_of_a_connection_cannot_use_is_named(
    kind: str, table: Mapping[str, Mapping[str, tuple[object, ...]]]
) -> None:
    bus = Bus("shop")
    bus.subscribe(OrderPlaced, group="billing")(handler)
    async with bus.connect("memory://") as live:
        for case in cases(table):
            method, parameter, value = case.values
            extra: dict[str, object] = {"once": True} if parameter == "once_window_s" else {}
            if parameter == "filter_on":
                extra["filter"] = {"tenant": ["acme"]}
            options = {**NEEDED.get(method, {}), **extra, parameter: value}
            with refused(parameter):
                await call(target_of(live, kind), method, options)


@pytest.mark.parametrize("value", [None, "shop.order.placed", OrderPlaced("o1"), [OrderPlaced], {}, int])
async def test_what_is_no_type_of_messages_is_named(value: object) -> None:
    untyped = shop()
    with refused("message type"):
        untyped.subscribe(value, group="billing")
    with refused("message type"):
        untyped.handle(value)
    async with untyped.connect("memory://") as live:
        with refused("message type"):
            live.stream(value, group="audit")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("url", 5),
        ("url", None),
        ("recipients", 5),
        ("inbox", 5),
        ("provision", 5),
        ("provision", ["create"]),
    ],
)
async def test_what_connect_cannot_use_is_named(parameter: str, value: object) -> None:
    untyped: Any = Bus("shop")
    with refused(parameter):
        async with untyped.connect(**{"url": "memory://", parameter: value}):
            pass


def test_the_table_has_every_field_that_a_retry_has() -> None:
    assert {field.name for field in fields(Retry)} == set(DECLARING[Retry])
