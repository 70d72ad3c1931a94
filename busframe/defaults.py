"""Fields that stand in a dataclass and not in its instance, and so would not be sent.

A plain default of a dataclass is an attribute of the class. An instance that msgspec has decoded without that field (as
does a web framework that reads its requests with it), or whose `__init__` does not set it (`field(init=False)`), has no
attribute of its own; msgspec writes those of the instance alone. The field would be missing on the wire, and a consumer
whose class has another default would read that one. So it is put into the instance before that is written, which
changes nothing for those who hold the instance: it has that value already.

With `slots=True`, in attrs classes and in structs the instance has every field. A struct that says `omit_defaults=True`
means it, and is left alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from inspect import getattr_static
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Fill = Callable[[Any], None]

_SEQUENCES: Final = (list, tuple, set, frozenset, deque)
_LEAVES: Final = frozenset((str, int, float, bool, type(None), bytes))


@cache
def filler_of(payload: type) -> Fill | None:
    """Make the function that puts missing defaults into a value of a class, and into what it consists of.

    None if none can be missing, as that of most classes.
    """
    try:
        node = inspect.type_info(payload)
    except Exception:  # noqa: BLE001 - annotations that cannot be resolved: msgspec writes such a class all the same
        return _fill_own(payload)
    return _filler(node, {})


def _filler(node: inspect.Type, begun: dict[int, list[Fill | None]]) -> Fill | None:
    """Follow a type into its parts.

    Args:
        node: of the type.
        begun: by node, those further out, with the function once it is known: a type may contain itself.
    """
    if isinstance(node, (inspect.DataclassType, inspect.StructType, inspect.NamedTupleType)):
        if id(node) in begun:
            cell = begun[id(node)]
            return lambda value: None if cell[0] is None else cell[0](value)
        cell = begun[id(node)] = [None]
        parts = ((field.name, _filler(field.type, begun)) for field in node.fields)
        cell[0] = _fill_fields(node.cls, [(name, part) for name, part in parts if part is not None])
        return cell[0]
    if isinstance(node, (inspect.AnyType, inspect.CustomType)):
        return _fill_any
    # Which of the types of a union it is, and what a collection has, the values tell.
    inner = any(_filler(part, begun) is not None for part in _parts_of(node))
    return _fill_any if inner else None


def _parts_of(node: inspect.Type) -> Iterable[inspect.Type]:
    if isinstance(node, inspect.UnionType):
        return node.types
    if isinstance(node, inspect.TupleType):
        return node.item_types
    if isinstance(node, inspect.CollectionType):
        return (node.item_type,)
    if isinstance(node, inspect.DictType):
        return (node.value_type,)  # none of these can be a key in JSON
    if isinstance(node, inspect.TypedDictType):
        return [field.type for field in node.fields]
    return [node.type] if isinstance(node, inspect.Metadata) else ()


def _fill_fields(kind: type, parts: list[tuple[str, Fill]]) -> Fill | None:
    own = _fill_own(kind)
    if not parts:
        return None if own is None else lambda value: own(value) if type(value) is kind else _fill_any(value)

    def fill(value: Any) -> None:
        if type(value) is not kind:  # of a subclass, or nothing that belongs here
            _fill_any(value)
            return
        if own is not None:
            own(value)
        for name, part in parts:
            part(getattr(value, name))

    return fill


def _fill_own(kind: type) -> Fill | None:
    """Make the function for an instance's own fields; None if they are never missing."""
    if not is_dataclass(kind) or not kind.__dictoffset__:
        return None
    # Not the fields of a base with slots, nor any other that a descriptor keeps.
    in_class: dict[str, object] = {field.name: getattr_static(kind, field.name, None) for field in fields(kind)}
    names = [name for name, found in in_class.items() if hasattr(kind, name) and not hasattr(type(found), "__set__")]
    if not names:
        return None

    def fill(value: Any) -> None:
        there = value.__dict__  # written to directly: the class may be frozen
        for name in names:
            if name not in there:
                there[name] = getattr(value, name)

    return fill


def _fill_any(value: Any) -> None:
    """Do it where the type does not tell what there is."""
    if isinstance(value, Mapping):
        value = cast("Mapping[object, object]", value).values()
    elif not isinstance(value, _SEQUENCES):
        kind = cast("type", value.__class__)
        if (is_dataclass(kind) or issubclass(kind, msgspec.Struct)) and (fill := filler_of(kind)) is not None:
            fill(value)
        return
    for item in cast("Iterable[object]", value):
        if type(item) not in _LEAVES:
            _fill_any(item)
