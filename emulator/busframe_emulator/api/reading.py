"""The exact way to read an action's input: by its class in `actions`, member by member, with SQS's error for each.

The JSON protocol comes here only when the fast decoder, made from the same class, has refused; the Query protocol
always. Whatever the fast decoder accepts, this accepts with the same result.
"""

from __future__ import annotations

from base64 import b64decode
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from msgspec import Struct, inspect

from busframe_emulator.api.errors import malformed_input, missing_parameter
from busframe_emulator.engine.errors import SqsError, invalid_value, no_such_queue

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = TypeVar("Value", bound=Struct)

_NOTHING: Final[dict[str, Any]] = {}


class Member(NamedTuple):
    """One line of the table, as `msgspec` understood it.

    Attributes:
        field: the attribute of the class.
        name: in JSON, and in the Query protocol unless `extra` has a "query".
        kind: its type, stripped of "or None".
        extra: what `members` says beyond the type.
    """

    field: str
    name: str
    kind: inspect.Type
    extra: Mapping[str, Any]
    required: bool


@cache
def members_of(action: type[Struct]) -> tuple[Member, ...]:
    """Read the table's class for an action, or for a part of one."""
    described = inspect.type_info(action)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - by the parameter's type; tells the type checkers
    members: list[Member] = []
    for row in described.fields:
        kind, extra = bare(row.type)
        members.append(Member(row.name, row.encode_name, kind, extra, row.required))
    return tuple(members)


def bare(kind: inspect.Type) -> tuple[inspect.Type, Mapping[str, Any]]:
    """Strip `| None` and the annotations from a type."""
    if isinstance(kind, inspect.UnionType):
        kind = next(option for option in kind.types if not isinstance(option, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        extra = cast("dict[str, Any] | None", kind.extra)  # pyright: ignore[reportUnknownMemberType]  # a bare dict
        return kind.type, extra or _NOTHING
    return kind, _NOTHING


def read(action: type[Value], raw: object, path: str = "") -> Value:
    """Make the typed input from decoded JSON (or what has the same form), or raise the error for its first fault.

    Args:
        action: a class of the table.
        raw: an object as JSON decodes it; null is as good as absent. Unknown members are ignored, as SQS does.
        path: what names of members start with in an error's text, such as "SendMessageBatchRequestEntry.1.".
    """
    if not isinstance(raw, dict):
        raise malformed_input(f"{path.rstrip('.') or 'The request'} must be an object.")
    given = cast("dict[str, object]", raw)
    values: dict[str, object] = {}
    for member in members_of(action):
        value = given.get(member.name)
        if value is not None:
            values[member.field] = _read_value(member.kind, member.extra, value, path + member.name)
        elif member.required:
            raise _missing(member, path + member.name)
    return action(**values)


def _missing(member: Member, name: str) -> SqsError:
    """Say that a required member is absent. Of a list, SQS misses the first member of the first entry.

    Of a map it misses the key without a number: "The request must contain the parameter Attribute.Name."
    """
    if "queue" in member.extra:
        return no_such_queue()
    match member.kind:
        case inspect.ListType(item_type=inspect.StructType(cls=entry)):
            return missing_parameter(f"{member.extra['query']}.1.{members_of(entry)[0].name}")
        case inspect.DictType():
            return missing_parameter(f"{member.extra['query']}.{member.extra['key']}")
        case _:
            return missing_parameter(name)


def _read_value(kind: inspect.Type, extra: Mapping[str, Any], raw: object, name: str) -> object:
    match kind, raw:
        case inspect.StrType(), str():
            if kind.min_length and not raw:
                raise no_such_queue() if "queue" in extra else missing_parameter(name)
            return raw
        case inspect.IntType(), int() if not isinstance(raw, bool):
            if (kind.ge is not None and raw < kind.ge) or (kind.le is not None and raw > kind.le):
                raise invalid_value(name.rpartition(".")[2], raw, extra["reason"])
            return raw
        case inspect.BytesType(), str():
            return _read_base64(raw, name)
        case inspect.ListType(), list():
            items = cast("list[object]", raw)
            prefix = extra.get("query", name)
            item_kind, item_extra = bare(kind.item_type)
            return [
                _read_value(item_kind, item_extra, item, f"{prefix}.{position}")
                for position, item in enumerate(items, start=1)
            ]
        case inspect.DictType(), dict():
            entries = cast("dict[str, object]", raw)
            value_kind, value_extra = bare(kind.value_type)
            return {key: _read_value(value_kind, value_extra, entry, f"{name}.{key}") for key, entry in entries.items()}
        case inspect.StructType(), _:
            return read(kind.cls, raw, f"{name}.")
        case _:
            raise malformed_input(f"{name} has the wrong type.")


def _read_base64(text: str, name: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise malformed_input(f"{name} must be base64.") from None
