"""The fast decoder and the exact reader are two readings of one table: what the fast one takes, both take alike."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from busframe_emulator.api.actions import ALL_ACTIONS, Input
from busframe_emulator.api.reading import members_of, read
from busframe_emulator.api.service import HANDLED
from busframe_emulator.engine.errors import SqsError

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.just("eA=="),
    st.lists(st.text(max_size=3), max_size=2),
)


SCALARS: dict[type[msgspec.inspect.Type], st.SearchStrategy[Any]] = {
    msgspec.inspect.StrType: st.text(max_size=5),
    msgspec.inspect.IntType: st.integers(-2, 50_000),
    msgspec.inspect.BytesType: st.sampled_from(["eA==", "", "eA", "e A==", "!", "eA==\n"]),
}


def value_of(kind: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case msgspec.inspect.ListType():
            return st.lists(value_of(kind.item_type), max_size=2)
        case msgspec.inspect.DictType():
            return st.dictionaries(st.text(max_size=3), value_of(kind.value_type), max_size=2)
        case msgspec.inspect.StructType():
            return objects(kind.cls)
        case _:
            return SCALARS[type(kind)]


def objects(action: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    members = members_of(action)
    good = {member.name: value_of(member.kind) for member in members}
    odd = {member.name: value_of(member.kind) | ODD for member in members}
    return st.fixed_dictionaries({}, optional=good) | st.fixed_dictionaries({}, optional=odd)


@given(action=st.sampled_from([action.takes for action in HANDLED.values()]), data=st.data())
def test_what_the_fast_decoder_takes_the_exact_reader_takes_alike(action: type[Input], data: st.DataObject) -> None:
    raw = msgspec.json.encode(data.draw(objects(action)))
    try:
        fast = msgspec.json.decode(raw, type=action)
    except msgspec.DecodeError:
        fast = None
    try:
        exact = read(action, msgspec.json.decode(raw))
    except (SqsError, msgspec.DecodeError):
        exact = None
    if fast is not None:
        assert fast == exact


def test_every_action_handled_is_one_of_amazons() -> None:
    assert set(HANDLED) <= ALL_ACTIONS
    assert len(ALL_ACTIONS) == 23


@pytest.mark.parametrize("name", sorted(HANDLED))
def test_every_list_and_map_has_a_name_in_the_query_protocol(name: str) -> None:
    for member in members_of(HANDLED[name].takes):
        if isinstance(member.kind, msgspec.inspect.ListType | msgspec.inspect.DictType):
            assert member.extra["query"]
