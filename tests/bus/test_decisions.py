"""The pure parts: verdicts, back-off, registration, codec, URLs, errors."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import msgspec
import pydantic
import pytest
from bus.orders import OrderCancelled, OrderPlaced, PrintInvoice

from busframe import Bus, Drop, Later, Reject, Retry, errors, event
from busframe._consume.verdict import Again, Done, GiveUp, Verdict, judge
from busframe.backend import DeadLetters, QueueSpec
from busframe.codec import encode, reader_of
from busframe.config import BackendUrl, backend_factory
from busframe.errors import (
    BackendError,
    ConfigurationError,
    DecodeError,
    EncodeError,
    InvalidArgumentError,
    UnknownBackendError,
)
from busframe.message import Outgoing, QueueName, queue_name
from busframe.message_type import message_type
from busframe.topology.plan import plan_for
from busframe.topology.registration import subscriptions_of
from busframe_memory.backend import CAPABILITIES


@pytest.mark.parametrize(
    ("error", "attempt", "verdict"),
    [
        (None, 1, Done()),
        (None, 99, Done()),
        (Drop("x"), 1, Done()),
        (Later(7), 2, Again(7)),
        (Later(7), 3, GiveUp("attempt 3 of 3: Later: again in 7 s")),
        (Reject("bad"), 1, GiveUp("rejected: bad")),
        (DecodeError("what"), 1, GiveUp("DecodeError: what")),
        (ValueError("no"), 1, Again(5)),
        (ValueError("no"), 2, Again(10)),
        (ValueError("no"), 3, GiveUp("attempt 3 of 3: ValueError: no")),
        (ValueError("no"), 9, GiveUp("attempt 9 of 3: ValueError: no")),
    ],
)
def test_the_verdict_on_a_message(error: Exception | None, attempt: int, verdict: Verdict) -> None:
    assert judge(error, attempt=attempt, retry=Retry(attempts=3, first_s=10), random=0.5) == verdict


class DeclinedError(ValueError):
    pass


PICKY = Retry(
    attempts=3,
    first_s=10,
    never=(LookupError, DeclinedError),
    by_error={KeyError: Retry(attempts=2, first_s=100), ConnectionError: Retry(attempts=9, first_s=1)},
)


@pytest.mark.parametrize(
    ("error", "attempt", "verdict"),
    [
        (ValueError("no"), 1, Again(5)),
        (DeclinedError("card"), 1, GiveUp("never tried again: DeclinedError: card")),
        (IndexError("no"), 1, GiveUp("never tried again: IndexError: no")),
        (KeyError("no"), 1, Again(50)),
        (KeyError("no"), 2, GiveUp("attempt 2 of 2: KeyError: 'no'")),
        (ConnectionResetError("no"), 4, Again(4)),
        (ExceptionGroup("two", [ConnectionResetError("no"), DeclinedError("card")]), 1, None),
        (ExceptionGroup("two", [ConnectionResetError("no"), KeyError("no")]), 1, Again(50)),
        (ExceptionGroup("one", [ConnectionResetError("no")]), 4, Again(4)),
        (ExceptionGroup("one", [Later(7)]), 2, Again(7)),
        (ExceptionGroup("one", [Drop("x")]), 1, Done()),
    ],
)
def test_the_verdict_depends_on_the_class_of_the_error(error: Exception, attempt: int, verdict: Verdict | None) -> None:
    judged = judge(error, attempt=attempt, retry=PICKY, random=0.5)
    if verdict is None:
        assert isinstance(judged, GiveUp)
        assert judged.reason.startswith("never tried again")
    else:
        assert judged == verdict


def test_the_brokers_own_limit_leaves_room_for_the_most_patient_policy() -> None:
    assert PICKY.attempts_max == 9
    assert Retry(attempts=4).attempts_max == 4


@pytest.mark.parametrize(
    ("bad", "parameter"),
    [
        ({"never": (KeyboardInterrupt,)}, "never"),
        ({"never": ("ValueError",)}, "never"),
        ({"by_error": {int: Retry()}}, "by_error"),
        ({"by_error": {ValueError: 3}}, "by_error"),
        ({"by_error": {ValueError: PICKY}}, "by_error"),
        ({"by_error": {ValueError: Retry()}, "never": (ValueError,)}, "by_error"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(bad: dict[str, object], parameter: str) -> None:
    with pytest.raises(InvalidArgumentError, match=parameter):
        Retry(**bad)  # type: ignore[arg-type]


def test_back_off_doubles_up_to_its_cap_and_never_overflows() -> None:
    retry = Retry.exponential(attempts=900, first_s=1, cap_s=60)
    assert [retry.delay_s(n, 1.0) for n in (1, 2, 3, 6, 7, 900)] == [1, 2, 4, 32, 60, 60]
    assert retry.delay_s(5, 0.0) == 0


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"attempts": 901}, {"first_s": -1.0}, {"cap_s": float("nan")}])
def test_a_retry_policy_out_of_range_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(bad))):
        Retry(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("delay_s", [-1.0, float("nan"), float("inf"), 43_201.0])
def test_later_takes_a_delay_that_a_broker_can_keep(delay_s: float) -> None:
    with pytest.raises(InvalidArgumentError, match="delay_s"):
        Later(delay_s)


def test_groups_become_queues_with_a_dead_letter_queue_each() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=6), lease_s=60)
    async def bill(_: OrderPlaced) -> None: ...

    @bus.subscribe(OrderCancelled, group="billing")
    async def cancel(_: OrderCancelled) -> None: ...

    @bus.subscribe(OrderPlaced, group="audit", ordered=True)
    async def audit(_: OrderPlaced) -> None: ...

    @bus.handle(PrintInvoice)
    async def print_invoice(_: PrintInvoice) -> None: ...

    plan = plan_for(bus, CAPABILITIES, mode="check")
    assert [spec.name for spec in plan.queues] == [
        "shop-billing-dead",
        "shop-billing",
        "shop-audit-dead.fifo",
        "shop-audit.fifo",
        "shop-invoice-print-dead",
        "shop-invoice-print",
    ]
    billing = plan.queues[1]
    assert billing.lease_s == 60
    assert billing.dead_letters == DeadLetters(queue=QueueName("shop-billing-dead"), max_receive_count=11)
    # Those behind one that is tried again may be given back each time.
    in_order = plan.queues[3]
    assert in_order.dead_letters == DeadLetters(queue=QueueName("shop-audit-dead.fifo"), max_receive_count=55)
    assert [row.name for row in subscriptions_of(bus.groups.values())] == [
        ("shop.order.placed", "shop-billing"),
        ("shop.order.cancelled", "shop-billing"),
        ("shop.order.placed", "shop-audit.fifo"),
    ]


def test_a_group_has_one_handler_for_a_type_and_one_concurrency() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", concurrency=5)
    async def bill(_: OrderPlaced) -> None: ...

    with pytest.raises(ConfigurationError, match="has a handler for"):
        bus.subscribe(OrderPlaced, group="billing")
    with pytest.raises(ConfigurationError, match="concurrency of queue shop-billing is 5 already"):
        bus.subscribe(OrderCancelled, group="billing", concurrency=6)


def test_mistakes_in_a_subscription_are_named() -> None:
    bus = Bus("shop")
    with pytest.raises(InvalidArgumentError, match=r'declares no key; declare one with @event\(".*", key='):
        bus.subscribe(OrderCancelled, group="billing", ordered=True)
    with pytest.raises(InvalidArgumentError, match="declared with @event"):
        bus.subscribe(int, group="billing")
    with pytest.raises(InvalidArgumentError, match="an event; a command has a handler by handle"):
        bus.subscribe(PrintInvoice, group="billing")
    with pytest.raises(InvalidArgumentError, match="a command; an event is subscribed to, with subscribe"):
        bus.handle(OrderPlaced)
    with pytest.raises(InvalidArgumentError, match="group='two words'"):
        bus.subscribe(OrderPlaced, group="two words")
    with pytest.raises(InvalidArgumentError, match="lease_s=1"):
        bus.subscribe(OrderPlaced, group="billing", lease_s=1)
    with pytest.raises(InvalidArgumentError, match="concurrency=0"):
        bus.subscribe(OrderPlaced, group="billing", concurrency=0)
    with pytest.raises(InvalidArgumentError, match="retry=5 is not allowed: a Retry"):
        bus.subscribe(OrderPlaced, group="billing", retry=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(InvalidArgumentError, match="bytes_in_hand_max=0"):
        bus.subscribe(OrderPlaced, group="billing", bytes_in_hand_max=0)
    for timeout_s in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InvalidArgumentError, match="timeout_s"):
            bus.subscribe(OrderPlaced, group="billing", timeout_s=timeout_s)

    async def nothing() -> None: ...

    with pytest.raises(InvalidArgumentError, match="of the message"):
        bus.subscribe(OrderPlaced, group="billing")(nothing)  # type: ignore[arg-type]  # the mistake under test
    assert not bus.groups


@pytest.mark.parametrize("name", ["", "Shop", "shop..order", "shop order", ".shop", "x" * 76])
def test_a_bad_message_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="name="):
        event(name)


def test_a_key_has_to_be_a_field() -> None:
    with pytest.raises(InvalidArgumentError, match="key='customer'"):

        @event("shop.thing", key="customer")
        @dataclass
        class Thing:
            order: str


def test_a_subclass_is_not_what_its_base_was_declared_to_be() -> None:
    class Special(OrderPlaced):
        pass

    with pytest.raises(InvalidArgumentError):
        message_type(Special)


@event("codec.dataclass")
@dataclass(frozen=True)
class AsDataclass:
    text: str
    numbers: tuple[int, ...] = ()


@event("codec.struct", key="text")
class AsStruct(msgspec.Struct, frozen=True):
    text: str
    numbers: tuple[int, ...] = ()


@event("codec.pydantic", key="text")
class AsPydantic(pydantic.BaseModel):
    text: str
    numbers: tuple[int, ...] = ()


@pytest.mark.parametrize("kind", [AsDataclass, AsStruct, AsPydantic])
@pytest.mark.parametrize("text", ["", "plain", 'q"uote', "🚌 ünï", "\x00\x1f\ufffe\uffff", "\t\r\n"])
def test_payloads_survive_the_wire_and_fit_into_a_message(kind: type, text: str) -> None:
    payload = kind(text=text, numbers=(1, 2))
    body, encoding = encode(payload, message_type(kind))
    Outgoing(body=body)
    assert encoding is None
    assert reader_of(message_type(kind))(body, 1, None) == payload


@pytest.mark.parametrize("kind", [AsDataclass, AsStruct, AsPydantic])
@pytest.mark.parametrize("body", ["", "{", "[]", '{"text": 7}', '{"numbers": [1]}'])
def test_a_body_of_another_shape_is_a_decode_error_that_names_the_type(kind: type, body: str) -> None:
    with pytest.raises(DecodeError, match="codec"):
        reader_of(message_type(kind))(body, 1, None)


def test_a_payload_that_json_cannot_hold_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match=r"codec\.dataclass"):
        encode(AsDataclass(text="x", numbers=(object(),)), message_type(AsDataclass))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "scheme", "place", "parameters"),
    [
        ("memory://", "memory", "", {}),
        ("sqlite:///file.db", "sqlite", "file.db", {}),
        ("sqlite:////abs/fi%20le.db?synchronous=full", "sqlite", "/abs/fi le.db", {"synchronous": "full"}),
        ("sqlite:///dir/file.db", "sqlite", "dir/file.db", {}),
        ("sqs://eu-west-1?prefix=dev-&x=", "sqs", "eu-west-1", {"prefix": "dev-", "x": ""}),
    ],
)
def test_urls_are_taken_apart(url: str, scheme: str, place: str, parameters: dict[str, str]) -> None:
    assert BackendUrl.parse(url) == BackendUrl(scheme=scheme, place=place, parameters=parameters)


@pytest.mark.parametrize("url", ["", "sqlite", "sqlite:file", "sqs://x#y", "sqs://x?a=1&a=2"])
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="url"):
        BackendUrl.parse(url)


def test_an_unknown_parameter_and_an_unknown_scheme_are_named() -> None:
    with pytest.raises(InvalidArgumentError, match="url parameter='prefx' is not allowed: one of endpoint_url, prefix"):
        BackendUrl.parse("sqs://x?prefx=1").require_only({"prefix", "endpoint_url"})
    with pytest.raises(UnknownBackendError, match=r"kafka://.*memory://, sim://, sqlite://, sqs://"):
        backend_factory("kafka")


@pytest.mark.parametrize("name", ["", "a b", "a.fif", "x" * 81, "x" * 76 + ".fifo", "ü"])
def test_bad_queue_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="queue"):
        queue_name(name)


@pytest.mark.parametrize(
    "bad",
    [
        {"body": ""},
        {"body": "\x00"},
        {"body": "\ud800"},
        {"body": "x", "delay_s": -1.0},
        {"body": "x", "delay_s": float("nan")},
        {"body": "x", "group": "with space"},
        {"body": "x", "deduplication_id": ""},
        {"body": "x", "attributes": {"AWS.x": "1"}},
        {"body": "x", "attributes": {"a..b": "1"}},
        {"body": "x", "attributes": {"a": ""}},
        {"body": "x", "attributes": {f"a{n}": "1" for n in range(11)}},
    ],
)
def test_a_message_no_broker_takes_cannot_be_made(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError):
        Outgoing(**bad)  # type: ignore[arg-type]


def test_a_queue_and_its_dead_letter_queue_are_of_one_kind() -> None:
    with pytest.raises(InvalidArgumentError, match="same kind"):
        QueueSpec(name=QueueName("a.fifo"), dead_letters=DeadLetters(queue=QueueName("a-dead"), max_receive_count=1))


def test_every_error_of_the_tree_is_drawn_and_answers_both_questions() -> None:
    assert errors.__doc__ is not None
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if kind.__module__ == errors.__name__:
            assert name in errors.__doc__
            if issubclass(kind, BackendError):
                assert kind("x").effect in {"none", "unknown"}
                assert kind("x").retryable in {True, False}


def test_a_handler_has_to_be_async() -> None:
    def bill(_: OrderPlaced) -> None: ...

    with pytest.raises(InvalidArgumentError, match="async def"):
        Bus("shop").subscribe(OrderPlaced, group="billing")(bill)  # type: ignore[arg-type]  # the mistake under test


def test_mistakes_with_the_decorator_say_what_to_write() -> None:
    with pytest.raises(InvalidArgumentError, match=r"@event\('shop.order.placed'\)"):
        event(OrderPlaced)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(InvalidArgumentError, match=r"a dataclass, a msgspec\.Struct"):

        @event("shop.thing")
        class Thing:
            pass

    with pytest.raises(InvalidArgumentError, match="declared with @event"):
        Bus("shop").subscribe("shop.order.placed", group="billing")  # type: ignore[call-overload]  # the mistake under test
