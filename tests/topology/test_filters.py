"""Which messages a filter lets through, and which filters are refused."""

from __future__ import annotations

from typing import Any, cast

import pytest
from bus.orders import OrderPlaced
from hypothesis import given
from hypothesis import strategies as some

from busframe import Bus, ConfigurationError
from busframe.errors import InvalidArgumentError
from busframe.filters import Filter, nested

HEADERS: dict[str, Any] = {"tenant": "acme", "version": 2, "key": "k-17", "address": "10.1.2.3", "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("policy", "matches"),
    [
        ({"tenant": ["acme"]}, True),
        ({"tenant": ["acme", "other"]}, True),
        ({"tenant": ["Acme"]}, False),
        ({"tenant": ["acme"], "version": [1]}, False),  # all keys
        ({"tenant": ["acme"], "version": [2]}, True),
        ({"version": ["2"]}, False),  # text is no number
        ({"version": [2.0]}, True),
        ({"version": [True]}, False),
        ({"tenant": [{"prefix": "ac"}]}, True),
        ({"tenant": [{"prefix": "cm"}]}, False),
        ({"tenant": [{"suffix": "me"}]}, True),
        ({"tenant": [{"equals-ignore-case": "ACME"}]}, True),
        ({"tenant": [{"anything-but": "acme"}]}, False),
        ({"tenant": [{"anything-but": ["a", "b"]}]}, True),
        ({"tenant": [{"anything-but": {"prefix": "ac"}}]}, False),
        ({"tenant": [{"anything-but": {"prefix": "x"}}]}, True),
        ({"version": [{"anything-but": [1, 3]}]}, True),
        ({"missing": [{"anything-but": "acme"}]}, False),  # what is missing is not something else
        ({"missing": [{"exists": False}]}, True),
        ({"missing": [{"exists": True}]}, False),
        ({"tenant": [{"exists": True}]}, True),
        ({"tenant": [{"exists": False}]}, False),
        ({"missing": ["x", {"exists": False}]}, True),
        ({"version": [{"numeric": ["=", 2]}]}, True),
        ({"version": [{"numeric": [">", 2]}]}, False),
        ({"version": [{"numeric": [">=", 2, "<", 3]}]}, True),
        ({"tenant": [{"numeric": [">", 0]}]}, False),
        ({"address": [{"cidr": "10.0.0.0/8"}]}, True),
        ({"address": [{"cidr": "11.0.0.0/8"}]}, False),
        ({"tenant": [{"cidr": "10.0.0.0/8"}]}, False),
        ({"tags": ["b"]}, True),  # any element
        ({"tags": ["c"]}, False),
        ({"tags": [{"anything-but": ["a"]}]}, True),
        ({"tags": [{"anything-but": ["a", "b"]}]}, False),
        ({"$or": [{"tenant": ["other"]}, {"version": [2]}]}, True),
        ({"$or": [{"tenant": ["other"]}, {"version": [3]}]}, False),
        ({"key": [{"prefix": "k-"}], "$or": [{"tenant": ["other"]}, {"version": [3]}]}, False),
    ],
)
def test_headers(*, policy: dict[str, Any], matches: bool) -> None:
    assert Filter.of(policy).matches(HEADERS) is matches


PAYLOAD: dict[str, Any] = {
    "order": "o1",
    "express": True,
    "note": None,
    "customer": {"country": "DE", "address": {"city": "Berlin"}},
    "lines": [{"sku": "a", "count": 1}, {"sku": "b", "count": 5}],
    "codes": [[1, 2], [3]],
    "empty": [],
}


@pytest.mark.parametrize(
    ("policy", "matches"),
    [
        ({"customer": {"country": ["DE"]}}, True),
        ({"customer": {"country": ["FR"]}}, False),
        ({"customer.country": ["DE"]}, True),
        ({"customer.address.city": [{"prefix": "Ber"}], "customer": {"country": ["DE"]}}, True),
        ({"customer": ["DE"]}, False),  # an object is no value
        ({"customer": [{"exists": True}]}, False),
        ({"customer": {"phone": [{"exists": False}]}}, True),
        ({"supplier": {"phone": [{"exists": False}]}}, True),
        ({"supplier": {"phone": [{"anything-but": "1"}]}}, False),
        ({"express": [True]}, True),
        ({"express": [1]}, False),
        ({"note": [None]}, True),
        ({"note": [{"exists": True}]}, True),
        ({"lines": {"sku": ["b"]}}, True),
        ({"lines": {"sku": ["c"]}}, False),
        ({"lines": {"sku": ["b"], "count": [{"numeric": [">", 4]}]}}, True),
        ({"lines": {"sku": ["a"], "count": [{"numeric": [">", 4]}]}}, False),  # of one and the same line
        ({"lines": {"sku": [{"anything-but": "a"}]}}, True),
        ({"codes": [3]}, True),
        ({"codes": [4]}, False),
        ({"empty": [{"exists": True}]}, False),
        ({"empty": [{"exists": False}]}, False),
        ({"empty": {"x": [{"exists": False}]}}, False),
    ],
)
def test_payloads(*, policy: dict[str, Any], matches: bool) -> None:
    assert Filter.of(policy, "payload").matches(nested(PAYLOAD)) is matches


def test_a_dot_in_a_payloads_key_says_what_nesting_says() -> None:
    chosen = Filter.of({"customer": {"country": ["DE"]}}, "payload")
    assert chosen.matches(nested({"customer.country": "DE", "customer": {"name": "ada"}}))
    assert chosen.matches(nested({"customer": {"name": "ada"}, "customer.country": "DE"}))
    assert Filter.of({"lines": {"a.b": [1]}}, "payload").matches(nested({"lines": [{"a.b": 1}]}))


def test_a_dot_in_a_headers_name_is_part_of_the_name() -> None:
    assert Filter.of({"app.region": ["eu"]}).matches({"app.region": "eu"})


WRONG: list[tuple[Any, str]] = [
    ({}, "filter={} is not allowed: a dict with at least one key"),
    ("tenant", "a dict with at least one key"),
    ({"tenant": "acme"}, r"filter\['tenant'\]='acme' is not allowed: a list of what may match, such as \['acme'\]"),
    ({"tenant": []}, r"filter\['tenant'\]=\[\] is not allowed: at least one entry"),
    ({"tenant": [["a"]]}, r"filter\['tenant'\]\[0\]"),
    ({"tenant": {"country": ["DE"]}}, "does not nest; filter_on='payload'"),
    ({"tenant": [{"wildcard": "a*"}]}, "one of prefix, suffix, equals-ignore-case"),
    ({"tenant": [{"prefix": "a", "suffix": "b"}]}, "one kind of match"),
    ({"tenant": [{"prefix": 7}]}, r"filter\['tenant'\]\[0\]\['prefix'\]=7 is not allowed: text"),
    ({"tenant": [{"exists": "yes"}]}, "true or false"),
    ({"tenant": [{"anything-but": {"suffix": "a"}}]}, "a value, a list of values, or"),
    ({"tenant": [{"anything-but": []}]}, "text or a number, or a list of either"),
    ({"tenant": [{"anything-but": ["a", 1]}]}, "text or a number, or a list of either"),
    ({"version": [{"numeric": [">", "2"]}]}, "a number from"),
    ({"version": [{"numeric": ["!", 2]}]}, r"\['=', 5\]"),
    ({"version": [{"numeric": [">", 1, "<"]}]}, r"\['=', 5\]"),
    ({"version": [{"numeric": [">", 3, "<", 2]}]}, "the lower bound first"),
    ({"version": [{"numeric": ["<", 3, ">", 2]}]}, "the lower bound first"),
    ({"version": [2e9]}, "a number from -1000000000 to 1000000000"),
    ({"version": [float("nan")]}, "what JSON can say"),
    ({"tenant": [object()]}, "what JSON can say"),
    ({"address": [{"cidr": "10.0.0/8"}]}, "addresses such as"),
    ({"$or": [{"tenant": ["a"]}]}, "a list of two or more filters"),
    ({"$or": {"tenant": ["a"]}}, "a list of two or more filters"),
    ({f"key{n}": ["a"] for n in range(6)}, "at most 5 keys"),
    ({"a": list(range(16)), "b": list(range(10))}, "at most 150 combinations"),
    ({"tenant": ["a" * 262_144]}, "at most 262144 bytes"),
]


@pytest.mark.parametrize(("policy", "message"), WRONG)
def test_a_wrong_filter_is_refused_and_says_where(policy: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        Filter.of(policy)


def test_combinations_are_counted_with_depth_and_branches_as_sns_counts_them() -> None:
    def branches(source: int, *lengths: int) -> dict[str, Any]:
        name, kind, first, second = (list(range(length)) for length in lengths)
        inner = [{"metricId": first}, {"spaceId": second}]
        return {"source": list(range(source)), "$or": [{"metricName": name}, {"metricType": kind, "$or": inner}]}

    Filter.of(branches(3, 6, 4, 4, 7))  # 18 + 48 + 84 = 150
    with pytest.raises(InvalidArgumentError, match="combinations"):
        Filter.of(branches(4, 6, 4, 4, 4))  # 24 + 64 + 64 = 152
    deep = {"a": {"b": [1, 2, 3], "c": {"d": [1, 2, 3, 4]}}}
    Filter.of(deep, "payload")  # 3 at depth 2 by 4 at depth 3: 72
    deep["a"]["b"] = [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(InvalidArgumentError, match="combinations"):
        Filter.of(deep, "payload")  # 168


_values = some.one_of(some.text(max_size=3), some.integers(-3, 3), some.booleans(), some.none())
_entries = some.one_of(
    _values,
    some.fixed_dictionaries({"prefix": some.text(min_size=1, max_size=2)}),
    some.fixed_dictionaries({"exists": some.booleans()}),
    some.fixed_dictionaries({"anything-but": some.lists(some.text(max_size=2), min_size=1, max_size=2)}),
)
_policies = some.dictionaries(some.sampled_from("abc"), some.lists(_entries, min_size=1, max_size=4), min_size=1)
_facts = some.dictionaries(some.sampled_from("abcd"), some.one_of(_values, some.lists(_values, max_size=3)))


@given(policy=_policies, facts=_facts)
def test_the_index_of_a_filter_never_hides_a_match(policy: dict[str, Any], facts: dict[str, Any]) -> None:
    chosen = Filter.of(policy)
    if chosen.index is not None and chosen.matches(facts):
        key, values = chosen.index
        there = facts[key] if isinstance(facts[key], list) else [facts[key]]
        assert any(value in values for value in there)


@given(policy=_policies, facts=_facts)
def test_a_filter_read_from_its_text_is_the_same(policy: dict[str, Any], facts: dict[str, Any]) -> None:
    chosen = Filter.of(policy)
    again = Filter.from_text(chosen.text, "headers")
    assert again == chosen
    assert hash(again) == hash(chosen)
    assert again.matches(facts) is chosen.matches(facts)
    assert Filter.of(policy, "payload") != chosen


def test_a_subscription_refuses_a_wrong_filter_when_it_is_declared() -> None:
    bus = Bus("shop")
    with pytest.raises(InvalidArgumentError, match=r"filter\['tenant'\]"):
        bus.subscribe(OrderPlaced, group="billing", filter={"tenant": "acme"})
    with pytest.raises(InvalidArgumentError, match="'headers' or 'payload'"):
        bus.subscribe(OrderPlaced, group="billing", filter={"tenant": ["acme"]}, filter_on=cast("Any", "body"))


def test_two_groups_cannot_share_a_queue() -> None:
    bus = Bus("shop")

    async def handle(_: OrderPlaced) -> None: ...

    bus.subscribe(OrderPlaced, group="billing", queue="one")(handle)
    with pytest.raises(ConfigurationError, match="queue one belongs to shop/billing already"):
        bus.subscribe(OrderPlaced, group="shipping", queue="one")
