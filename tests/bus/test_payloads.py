"""What can be sent, and what becomes of old and of broken forms of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import attrs
import msgspec
import pydantic
import pytest

from busframe import Command, Event, command, event
from busframe.codec import encode, reader_of
from busframe.errors import DecodeError, EncodeError, InvalidArgumentError
from busframe.message import Outgoing, group_of
from busframe.message_type import message_type
from busframe.writing import Options, Writer

WRITER = Writer("shop", delay_s_max=900)


@event("payload.dataclass")
@dataclass(frozen=True, slots=True)
class AsDataclass(Event):
    text: str


@event("payload.struct")
class AsStruct(msgspec.Struct, Event, frozen=True):
    text: str


@event("payload.model")
class AsModel(pydantic.BaseModel, Event):
    text: str


@event("payload.attrs")
@attrs.frozen
class AsAttrs(Event):
    text: str


@event("payload.tuple")
class AsTuple(NamedTuple):
    text: str


@event("payload.text")
class AsText(str, Event):
    __slots__ = ()


@event("payload.bytes")
class AsBytes(bytes, Event):
    __slots__ = ()


def over_the_wire(payload: object) -> object:
    kind = message_type(type(payload))
    body, encoding = encode(payload, kind)
    Outgoing(body=body)
    return reader_of(kind)(body, kind.version, encoding)


@pytest.mark.parametrize("kind", [AsDataclass, AsStruct, AsModel, AsAttrs, AsTuple])
def test_every_kind_of_class_survives_the_wire(kind: type) -> None:
    payload = kind(text="ünï \ufffe")
    arrived = over_the_wire(payload)
    assert arrived == payload
    assert type(arrived) is type(payload)


@dataclass(frozen=True)
class Line:
    article: str
    amount: int = 1


@dataclass
class Numbered:
    text: str
    number: int = field(default=7, init=False)


@event("payload.default.dataclass")
@dataclass(frozen=True)
class DataclassWithDefaults(Event):
    text: str
    currency: str = "EUR"
    line: Line = Line("none")
    lines: tuple[Line, ...] = ()
    by_name: dict[str, list[Line] | None] = field(default_factory=dict[str, "list[Line] | None"])
    anything: Any = None
    next: DataclassWithDefaults | None = None
    numbered: Numbered | None = None


@event("payload.default.slots")
@dataclass(frozen=True, slots=True)
class SlotsWithDefaults(Event):
    text: str
    currency: str = "EUR"


@event("payload.default.struct")
class StructWithDefaults(msgspec.Struct, Event, frozen=True):
    text: str
    currency: str = "EUR"
    line: Line = Line("none")


@event("payload.default.model")
class ModelWithDefaults(pydantic.BaseModel, Event):
    text: str
    currency: str = "EUR"


@event("payload.default.attrs")
@attrs.frozen(slots=False)
class AttrsWithDefaults(Event):
    text: str
    currency: str = "EUR"
    line: Line = Line("none")


WITH_DEFAULTS = [DataclassWithDefaults, SlotsWithDefaults, StructWithDefaults, ModelWithDefaults, AttrsWithDefaults]


def body_of(payload: object) -> Any:
    return json.loads(encode(payload, message_type(type(payload)))[0])


def read_as(kind: type, body: str) -> object:
    declared = message_type(kind)
    return reader_of(declared)(body, declared.version, None)


@pytest.mark.parametrize("kind", WITH_DEFAULTS)
def test_a_message_that_is_passed_on_has_every_field_on_the_wire_defaults_included(kind: type) -> None:
    made = kind(text="a")
    arrived = read_as(kind, '{"text": "a"}')
    assert arrived == made
    assert body_of(arrived) == body_of(made)
    assert body_of(arrived)["currency"] == "EUR"


def test_parts_of_a_message_have_every_field_too_wherever_they_stand() -> None:
    line = '{"article": "pen"}'
    body = f"""{{
        "text": "a", "line": {line}, "lines": [{line}], "by_name": {{"x": [{line}], "y": null}},
        "next": {{"text": "b", "lines": [{line}]}}, "numbered": {{"text": "n"}}
    }}"""
    arrived = read_as(DataclassWithDefaults, body)
    assert isinstance(arrived, DataclassWithDefaults)
    loose = msgspec.json.decode(f'[{{"z": [{line}]}}]', type=list[dict[str, list[Line]]])
    sent = body_of(replace(arrived, anything=loose))
    whole = {"article": "pen", "amount": 1}
    assert sent["line"] == whole
    assert sent["lines"] == [whole]
    assert sent["by_name"] == {"x": [whole], "y": None}
    assert sent["anything"] == [{"z": [whole]}]
    assert sent["next"]["lines"] == [whole]
    assert sent["next"]["currency"] == "EUR"
    assert sent["numbered"] == {"text": "n", "number": 7}


def test_a_part_of_a_subclass_has_every_field_of_its_own() -> None:
    @dataclass(frozen=True)
    class Heavy(Line):
        kilograms: int = 5

    heavy = msgspec.json.decode(b'{"article": "anvil"}', type=Heavy)
    assert body_of(StructWithDefaults("a", line=heavy))["line"] == {"article": "anvil", "amount": 1, "kilograms": 5}


def test_a_struct_that_wants_its_defaults_left_out_has_its_will() -> None:
    @event("payload.default.omitted")
    class Sparing(msgspec.Struct, Event, frozen=True, omit_defaults=True):
        text: str
        currency: str = "EUR"

    assert body_of(Sparing("a")) == {"text": "a"}


@pytest.mark.parametrize("text", ["a;b\n1;2", "", "\x00", "\ufffe", "ünï", "\n"])
def test_text_travels_as_it_is_even_if_a_message_could_not_carry_it(text: str) -> None:
    arrived = over_the_wire(AsText(text))
    assert arrived == text
    assert type(arrived) is AsText


@pytest.mark.parametrize("data", [b"a;b", b"", b"\x00\xff", "ünï".encode(), b"aGk="])
def test_bytes_travel_as_they_are_even_if_they_are_no_text(data: bytes) -> None:
    arrived = over_the_wire(AsBytes(data))
    assert arrived == data
    assert type(arrived) is AsBytes


def test_text_and_bytes_that_a_message_can_carry_are_its_body() -> None:
    assert encode(AsText("a;b"), message_type(AsText)) == ("a;b", None)
    assert encode(AsBytes(b"a;b"), message_type(AsBytes)) == ("a;b", None)


def test_damaged_base64_and_unknown_encodings_are_decode_errors() -> None:
    read = reader_of(message_type(AsBytes))
    with pytest.raises(DecodeError, match=r"payload\.bytes"):
        read("?", 1, "base64")
    with pytest.raises(DecodeError, match="'zstd' is not known"):
        read("?", 1, "zstd")


def test_str_and_bytes_themselves_cannot_be_declared() -> None:
    with pytest.raises(InvalidArgumentError, match="derived from str or bytes"):
        event("payload.str")(str)


def test_a_pydantic_model_travels_by_its_aliases() -> None:
    @event("payload.alias")
    class Aliased(pydantic.BaseModel):
        order_id: str = pydantic.Field(alias="orderId")

        @pydantic.computed_field  # type: ignore[prop-decorator]  # as pydantic's manual has it
        @property
        def url(self) -> str:
            return f"/orders/{self.order_id}"

    payload = Aliased(orderId="o1")
    assert encode(payload, message_type(Aliased)) == ('{"orderId":"o1"}', None)
    assert over_the_wire(payload) == payload


@pytest.mark.parametrize("bad", [AsDataclass(text=7), AsStruct(text=7), AsAttrs(text=7), AsTuple(7)])  # type: ignore[arg-type]
def test_a_field_of_the_wrong_type_is_an_error_at_the_sender(bad: object) -> None:
    with pytest.raises(EncodeError, match="no consumer could read it"):
        WRITER.write(bad, message_type(type(bad)))
    trusting = Writer("shop", delay_s_max=900, check_schema=False)
    assert trusting.write(bad, message_type(type(bad))).body


def test_an_event_of_the_other_base_class_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="not derived from Command"):
        event("payload.mixed")(type("Mixed", (AsDataclass, Command), {}))
    with pytest.raises(InvalidArgumentError, match="not derived from Event"):
        command("payload.mixed")(AsDataclass)


def version_2(old: dict[str, Any]) -> dict[str, Any]:
    return {"text": old["words"]}


def version_3(old: dict[str, Any]) -> dict[str, Any]:
    return {"text": old["text"].upper(), "length": len(old["text"])}


@event("payload.upgraded", version=3, upgrade={1: version_2, 2: version_3})
@dataclass(frozen=True)
class Upgraded(Event):
    text: str
    length: int = 0


def test_older_versions_are_upgraded_step_by_step() -> None:
    read = reader_of(message_type(Upgraded))
    assert read('{"words":"abc"}', 1, None) == Upgraded("ABC", 3)
    assert read('{"text":"abc"}', 2, None) == Upgraded("ABC", 3)
    assert read('{"text":"abc"}', 3, None) == Upgraded("abc")
    # A later version, of a program that was deployed before this one: what is known of it is read.
    assert read('{"text":"abc","more":1}', 4, None) == Upgraded("abc")


def test_an_upgrade_that_fails_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match=r"payload\.upgraded: 'words'"):
        reader_of(message_type(Upgraded))("{}", 1, None)


def test_text_is_upgraded_too() -> None:
    @event("payload.csv", version=2, upgrade={1: lambda text: text.replace(",", ";")})
    class Csv(str, Event):
        __slots__ = ()

    assert reader_of(message_type(Csv))("a,b", 1, None) == "a;b"


@pytest.mark.parametrize(
    "bad",
    [
        {"upgrade": {1: version_2}},
        {"version": 2, "upgrade": {2: version_2}},
        {"version": 2, "upgrade": {0: version_2}},
        {"version": 0},
        {"aliases": "old.name"},
        {"aliases": ["shop.thing"]},
        {"aliases": ["with space"]},
        {"aliases": [""]},
        {"key": "nothing"},
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        event("shop.thing", **bad)(dataclass(type("Thing", (), {})))


def test_a_property_can_be_the_key() -> None:
    @event("payload.keyed", key="first")
    class Line(str, Event):
        __slots__ = ()

        @property
        def first(self) -> str:
            return self.split(";")[0]

    assert WRITER.write(Line("ada;1"), message_type(Line)).headers.key == "ada"


def test_the_key_can_be_said_when_sending() -> None:
    assert WRITER.write(AsText("x"), message_type(AsText), Options(key="k")).headers.key == "k"


def test_any_text_can_name_a_message_group_and_no_two_texts_the_same() -> None:
    texts = ["ada", "Ada Lovelace", "Ada%20Lovelace", "", "ü", "x" * 128, "x" * 129, " " * 128, "\ud800", "%"]
    groups = [group_of(text) for text in texts]
    assert len(set(groups)) == len(texts)
    assert groups[0] == "ada"
    assert groups[1] == "Ada%20Lovelace"
    for group in groups:
        Outgoing(body="x", group=group)
