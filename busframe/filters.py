"""Filters: which messages of a topic a subscriber wants, said with data rather than code.

A filter is written as a filter policy of Amazon SNS is, so that SNS can apply the same one:

    {"tenant": ["acme", {"prefix": "test-"}], "version": [{"numeric": [">=", 2]}]}

All keys must match, and of each key's list one entry. Entries are a value (text, number, true, false, null) or one of
`prefix`, `suffix`, `equals-ignore-case`, `anything-but` (a value, a list, or a prefix), `numeric` (one bound or two),
`exists` (true or false) and `cidr`. `$or` takes two or more policies, of which one must match.

It looks either at the headers or at the payload. Among headers keys are plain names; in a payload they nest as the
payload does (`{"customer": {"country": ["DE"]}}`, or `{"customer.country": ["DE"]}`). A list in a message matches if
one of its elements does, the elements of nested lists included; of a list of objects one object must match all that
is asked of it. An empty list matches nothing. What is missing, or is an object where a value is asked for, matches
`{"exists": false}` and nothing else, not even `anything-but`.

Source: Amazon SNS, message filtering ("Subscription filter policies" and the pages below it), its limits included.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from operator import eq, ge, gt, le, lt
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeGuard, cast

from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FilterOn = Literal["headers", "payload"]
"""What a filter looks at. SNS calls it the filter policy's scope: MessageAttributes or MessageBody."""

KEYS_MAX: Final = 5
COMBINATIONS_MAX: Final = 150
BYTES_MAX: Final = 262_144
NUMBER_MAX: Final = 1e9
_OR_BRANCHES_MIN: Final = 2
_NUMERIC_LENGTHS: Final = (2, 4)  # a sign and a bound, once or twice

_OR: Final = "$or"
_MISSING: Final = object()

_Scalar = str | int | float | bool | None
_Test: TypeAlias = "Callable[[Any], bool]"
_Match: TypeAlias = "Callable[[Mapping[str, Any]], bool]"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Filter:
    """A filter that was checked and made ready. Two are equal if they say the same.

    Attributes:
        text: the policy as JSON, always in the same spelling.
        on: what it looks at.
        index: a top-level key and the values of which it must have one, or None where no key is so simple. What does
            not have one of these cannot match.
    """

    text: str
    on: FilterOn
    index: tuple[str, tuple[_Scalar, ...]] | None
    _match: _Match

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and (self.text, self.on) == (other.text, other.on)

    def __hash__(self) -> int:
        return hash((self.text, self.on))

    def __repr__(self) -> str:
        return f"<Filter on {self.on}: {self.text}>"

    @classmethod
    def of(cls, policy: Mapping[str, object], on: FilterOn = "headers") -> Filter:
        """Check a policy.

        Raises:
            InvalidArgumentError: it says where the policy is wrong, and what may stand there.
        """
        if on not in ("headers", "payload"):  # not a set: what untyped code gives may have no hash
            raise InvalidArgumentError("filter_on", on, "'headers' or 'payload'")
        if not isinstance(policy, dict) or not policy:
            raise InvalidArgumentError("filter", policy, "a dict with at least one key, such as {'tenant': ['acme']}")
        try:
            text = json.dumps(policy, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError("filter", policy, f"what JSON can say ({error})") from error
        if len(text.encode(errors="replace")) > BYTES_MAX:
            raise InvalidArgumentError("filter", text[:80], f"at most {BYTES_MAX} bytes of JSON")
        plain = cast("dict[str, Any]", json.loads(text))
        if on == "payload":
            plain = nested(plain)
        size = _measure(plain, 1, nests=on == "payload")
        if size.keys > KEYS_MAX:
            raise InvalidArgumentError("filter", text, f"at most {KEYS_MAX} keys with a list")
        if size.combinations > COMBINATIONS_MAX:
            allowed = f"at most {COMBINATIONS_MAX} combinations (of all lists the length by the depth, multiplied)"
            raise InvalidArgumentError("filter", text, allowed)
        return cls(text, on, _index(plain), _compile(plain, "filter"))

    @classmethod
    def from_text(cls, text: str, on: FilterOn) -> Filter:
        """Read one that was written as `text`."""
        return cls.of(json.loads(text), on)

    def matches(self, facts: Mapping[str, Any]) -> bool:
        """Tell whether a message is wanted.

        Args:
            facts: headers by name, or the payload as JSON has it, after `nested`.
        """
        return self._match(facts)


def nested(document: dict[str, Any]) -> dict[str, Any]:
    """Write `{"a.b": 1}` as `{"a": {"b": 1}}`, at all depths: both say the same to a filter."""
    if not any("." in key for key in _keys(document)):
        return document
    return cast("dict[str, Any]", _nested(document))


def _keys(value: object) -> Iterator[str]:
    for key, inner in (_as_object(value) or {}).items():
        yield key
        yield from _keys(inner)
    for inner in _as_list(value) or ():
        yield from _keys(inner)


def _nested(value: object) -> object:
    if (elements := _as_list(value)) is not None:
        return [_nested(element) for element in elements]
    if (document := _as_object(value)) is None:
        return value
    result: dict[str, Any] = {}
    for key, inner in document.items():
        *path, last = key.split(".")
        place = result
        for part in path:
            below = _as_object(place.get(part))
            if below is None:
                below = place[part] = {}
            place = below
        value_there, known = _nested(inner), _as_object(place.get(last))
        if known is not None and (more := _as_object(value_there)) is not None:
            known.update(more)
        else:
            place[last] = value_there
    return result


def _as_object(value: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _as_list(value: object) -> list[Any] | None:
    return value if _is_list(value) else None


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


# --- How large a policy is -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Size:
    keys: int
    combinations: int


def _measure(policy: Mapping[str, Any], depth: int, *, nests: bool, at: str = "filter") -> _Size:
    """Count as SNS does: each list's length by its depth, multiplied; the branches of an `$or` are added up."""
    keys, combinations = 0, 1
    for key, value in policy.items():
        where = f"{at}[{key!r}]"
        if key == _OR:
            branches = [_measure(branch, depth, nests=nests, at=where) for branch in _branches(value, where)]
            keys += sum(branch.keys for branch in branches)
            combinations *= sum(branch.combinations for branch in branches)
        elif (inner := _as_object(value)) is not None:
            if not nests:
                allowed = "a list: a filter on headers does not nest; filter_on='payload' looks at the payload"
                raise InvalidArgumentError(where, inner, allowed)
            if not inner:
                raise InvalidArgumentError(where, inner, "at least one key")
            size = _measure(inner, depth + 1, nests=nests, at=where)
            keys += size.keys
            combinations *= size.combinations
        elif (entries := _as_list(value)) is not None:
            keys += 1
            combinations *= len(entries) * depth
        else:
            raise InvalidArgumentError(where, value, f"a list of what may match, such as [{value!r}]")
    return _Size(keys, combinations)


def _branches(value: object, where: str) -> Sequence[Mapping[str, Any]]:
    branches = [branch for branch in map(_as_object, _as_list(value) or ()) if branch]
    if len(branches) < _OR_BRANCHES_MIN or len(branches) != len(_as_list(value) or ()):
        raise InvalidArgumentError(where, value, "a list of two or more filters")
    return branches


def _index(policy: Mapping[str, Any]) -> tuple[str, tuple[_Scalar, ...]] | None:
    for key, value in policy.items():
        entries = _as_list(value)
        if key != _OR and entries and all(entry is None or isinstance(entry, (str, int, float)) for entry in entries):
            return key, tuple(entries)
    return None


# --- From a policy to a function -------------------------------------------------------------------------------------


def _compile(policy: Mapping[str, Any], at: str) -> _Match:
    parts: list[_Match] = []
    for key, value in policy.items():
        where = f"{at}[{key!r}]"
        if key == _OR:
            parts.append(_either([_compile(branch, where) for branch in _branches(value, where)]))
        elif (inner := _as_object(value)) is not None:
            parts.append(_inside(key, _compile(inner, where)))
        else:
            parts.append(_value(key, _as_list(value) or [], where))
    if len(parts) == 1:
        return parts[0]
    return lambda facts: all(part(facts) for part in parts)


def _either(branches: Sequence[_Match]) -> _Match:
    return lambda facts: any(branch(facts) for branch in branches)


def _inside(key: str, inner: _Match) -> _Match:
    def match(facts: Mapping[str, Any]) -> bool:
        value = facts.get(key)
        elements = _as_list(value)
        if elements is None:
            # What is not there, or is no object, has nothing inside: which is what {"exists": false} asks for.
            return inner(_as_object(value) or {})
        objects = [found for found in map(_as_object, _elements(elements)) if found is not None]
        return any(inner(found) for found in objects) if objects else bool(elements) and inner({})

    return match


def _value(key: str, entries: Sequence[object], where: str) -> _Match:
    if not entries:
        raise InvalidArgumentError(where, entries, "at least one entry")
    tests = [_entry(entry, f"{where}[{number}]") for number, entry in enumerate(entries)]
    absent_matches = any(test is _is_missing for test in tests)
    tests = [test for test in tests if test is not _is_missing]

    def match(facts: Mapping[str, Any]) -> bool:
        value = facts.get(key, _MISSING)
        if value is _MISSING or isinstance(value, dict):
            return absent_matches
        if (elements := _as_list(value)) is None:
            return any(test(value) for test in tests)
        values = [element for element in _elements(elements) if not isinstance(element, dict)]
        if not values:
            return absent_matches and bool(elements)
        return any(test(value) for value in values for test in tests)

    return match


def _elements(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if (inner := _as_list(value)) is not None:
            yield from _elements(inner)
        else:
            yield value


def _is_missing(_: object) -> bool:
    return False


def _entry(entry: object, where: str) -> _Test:
    if _is_number(entry):
        return _equals_number(cast("float", entry), where)
    if entry is None or isinstance(entry, bool):
        return lambda value: value is entry
    if isinstance(entry, str):
        return lambda value: isinstance(value, str) and value == entry
    if not isinstance(entry, dict):
        raise InvalidArgumentError(
            where, entry, "text, a number, true, false, null, or a match such as {'prefix': 'a'}"
        )
    match = cast("dict[str, object]", entry)
    if len(match) != 1:
        raise InvalidArgumentError(where, match, "one kind of match; write two entries for two")
    ((kind, operand),) = match.items()
    if kind not in _KINDS:
        raise InvalidArgumentError(where, match, f"one of {', '.join(_KINDS)}")
    return _KINDS[kind](operand, f"{where}[{kind!r}]")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: object, where: str) -> float:
    if not _is_number(value) or not abs(cast("float", value)) <= NUMBER_MAX:
        raise InvalidArgumentError(where, value, f"a number from {-NUMBER_MAX:.0f} to {NUMBER_MAX:.0f}")
    return cast("float", value)


def _equals_number(entry: float, where: str) -> _Test:
    _number(entry, where)
    return lambda value: _is_number(value) and value == entry


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidArgumentError(where, value, "text that is not empty")
    return value


def _prefix(operand: object, where: str) -> _Test:
    start = _text(operand, where)
    return lambda value: isinstance(value, str) and value.startswith(start)


def _suffix(operand: object, where: str) -> _Test:
    end = _text(operand, where)
    return lambda value: isinstance(value, str) and value.endswith(end)


def _equals_ignore_case(operand: object, where: str) -> _Test:
    wanted = _text(operand, where).casefold()
    return lambda value: isinstance(value, str) and value.casefold() == wanted


def _anything_but(operand: object, where: str) -> _Test:
    if (match := _as_object(operand)) is not None:
        if list(match) != ["prefix"]:
            raise InvalidArgumentError(where, operand, "a value, a list of values, or {'prefix': text}")
        start = _text(match["prefix"], f"{where}['prefix']")
        return lambda value: not (isinstance(value, str) and value.startswith(start))
    refused = [operand] if (many := _as_list(operand)) is None else many
    if not refused or not (
        all(isinstance(value, str) for value in refused) or all(_is_number(value) for value in refused)
    ):
        raise InvalidArgumentError(where, operand, "text or a number, or a list of either")
    known = frozenset(refused)
    return lambda value: isinstance(value, bool) or value not in known


_COMPARISONS: Final = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


def _numeric(operand: object, where: str) -> _Test:
    parts = _as_list(operand) or []
    signs = parts[::2]
    if len(parts) not in _NUMERIC_LENGTHS or not all(isinstance(sign, str) and sign in _COMPARISONS for sign in signs):
        raise InvalidArgumentError(where, operand, "['=', 5], ['>', 0], or ['>', 0, '<=', 5]; also '<' and '>='")
    bounds = [_number(bound, where) for bound in parts[1::2]]
    if len(bounds) > 1 and not (signs[0] in {">", ">="} and signs[1] in {"<", "<="} and bounds[0] < bounds[1]):
        raise InvalidArgumentError(where, operand, "the lower bound first, and below the upper one")
    tests = [(_COMPARISONS[sign], bound) for sign, bound in zip(signs, bounds, strict=True)]
    return lambda value: _is_number(value) and all(test(value, bound) for test, bound in tests)


def _exists(operand: object, where: str) -> _Test:
    if not isinstance(operand, bool):
        raise InvalidArgumentError(where, operand, "true or false")
    return (lambda _: True) if operand else _is_missing


def _cidr(operand: object, where: str) -> _Test:
    try:
        network = ip_network(_text(operand, where), strict=False)
    except ValueError as error:
        raise InvalidArgumentError(where, operand, "addresses such as '10.0.0.0/8' or '2001:db8::/32'") from error

    def test(value: Any) -> bool:
        try:
            return isinstance(value, str) and ip_address(value) in network
        except ValueError:
            return False

    return test


_KINDS: Final[Mapping[str, Callable[[object, str], _Test]]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
    "cidr": _cidr,
}
