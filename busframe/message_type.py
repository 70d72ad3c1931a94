"""Message types: what a class is called on the wire.

    @event("shop.order.placed", version=2, key="customer")
    @dataclass(frozen=True)
    class OrderPlaced:
        order: str
        customer: str

The name is what travels and what picks the handler; the class, its module and its language are nobody else's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast

from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

Kind = Literal["event", "command"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*")
_NAME_LENGTH_MAX: Final = 75
"""A command's name is its queue's name, and a queue's name has 80 characters with `-dead` at the end."""

_MARK: Final = "__busframe_type__"

# What shows that a class is one whose instances JSON can be made of, and back.
_KINDS_OF_CLASS: Final = (
    "__dataclass_fields__",
    "__struct_fields__",  # msgspec
    "model_validate_json",  # pydantic
    "__attrs_attrs__",
    "_fields",  # NamedTuple
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageType:
    """What the bus knows of a payload class.

    Attributes:
        kind: an event goes to every subscribed group, a command to its one owner.
        version: 1 or more; travels with the message.
        key: the field whose value tells which messages belong together, in order on an ordered subscription.
    """

    name: str
    kind: Kind
    version: int
    key: str | None
    payload: type


def event(name: str, *, version: int = 1, key: str | None = None) -> Callable[[type[T]], type[T]]:
    """Declare a class to be an event: something that happened, told to every group that wants to know.

    Args:
        name: on the wire; lower-case words joined by dots, at most 75 characters.
        version: 1 or more.
        key: a field of the class, or None.

    Raises:
        InvalidArgumentError: one of them is not so, or the class has no such field.
    """
    return _declare("event", name, version, key)


def command(name: str, *, version: int = 1, key: str | None = None) -> Callable[[type[T]], type[T]]:
    """Declare a class to be a command: something to be done, by exactly one owner. Arguments as `event`."""
    return _declare("command", name, version, key)


def message_type(payload: type) -> MessageType:
    """Look up what a class was declared to be.

    Raises:
        InvalidArgumentError: it was not declared. A subclass of a declared class is not.
    """
    # By getattr, since untyped code may hand in a name or an instance in place of the class.
    attributes: Mapping[str, object] = getattr(payload, "__dict__", {})
    found = cast("MessageType | None", attributes.get(_MARK))
    if found is None:
        raise InvalidArgumentError("message type", payload, "a class declared with @event or @command")
    return found


def _declare(kind: Kind, name: str, version: int, key: str | None) -> Callable[[type[T]], type[T]]:
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - the bare decorator, in untyped code
        raise InvalidArgumentError("name", name, f"text: write @{kind}('shop.order.placed') above the class")
    if not _NAME.fullmatch(name) or len(name) > _NAME_LENGTH_MAX:
        allowed = f"lower-case words joined by dots, such as 'shop.order.placed', at most {_NAME_LENGTH_MAX} characters"
        raise InvalidArgumentError("name", name, allowed)
    if version < 1:
        raise InvalidArgumentError("version", version, "1 or more")

    def mark(payload: type[T]) -> type[T]:
        if not any(hasattr(payload, mark) for mark in _KINDS_OF_CLASS):
            allowed = "a dataclass, a msgspec.Struct, a pydantic model, an attrs class or a NamedTuple"
            raise InvalidArgumentError("class", payload.__qualname__, allowed)
        if key is not None and not any(key in vars(base).get("__annotations__", {}) for base in payload.__mro__):
            raise InvalidArgumentError("key", key, f"a field of {payload.__qualname__}")
        setattr(payload, _MARK, MessageType(name=name, kind=kind, version=version, key=key, payload=payload))
        return payload

    return mark
