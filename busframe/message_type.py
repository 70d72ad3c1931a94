"""Message types: what a class is called on the wire.

    @event("shop.order.placed", version=2, key="customer")
    @dataclass(frozen=True)
    class OrderPlaced(Event):
        order: str
        customer: str

The name is what travels and what picks the handler; the class, its module and its language are nobody else's business.

The base class is for type checkers: a decorator cannot tell them what a class has become. With it, publishing a command
or sending an event is an error before the program runs; without it, when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from busframe.checks import check_names, check_text, check_whole
from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

T = TypeVar("T")

Kind = Literal["event", "command"]
Form = Literal["json", "text", "bytes"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*")
_NAME_LENGTH_MAX: Final = 75
"""A command's name is its queue's name, and a queue's name has 80 characters with `-dead` at the end."""

# Whatever other systems call their events (CloudEvents, "type") has to be possible here.
_ALIAS: Final = re.compile(r"[!-~]{1,256}")

_MARK: Final = "__busframe_type__"
_NOTHING: Final[Mapping[str, Any]] = {}

# What shows that a class is one whose instances JSON can be made of, and back.
_KINDS_OF_CLASS: Final = (
    "__dataclass_fields__",
    "__struct_fields__",  # msgspec
    "model_validate_json",  # pydantic
    "__attrs_attrs__",
    "_fields",  # NamedTuple
)


class Event:
    """An optional base class that lets type checkers know an event when they see one. It has no members.

    It goes with dataclasses and attrs classes, and beside `msgspec.Struct`, pydantic's BaseModel, `str` and `bytes`; a
    NamedTuple can have no second base.
    """

    __slots__ = ()


class Command:
    """An optional base class that lets type checkers know a command when they see one. As `Event`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MessageType:
    """What the bus knows of a payload class.

    Attributes:
        kind: an event goes to every subscribed group, a command to its one owner.
        version: 1 or more; travels with the message.
        key: the field whose value tells which messages belong together, in order on an ordered subscription.
        aliases: older names; messages that bear one are still handled.
        upgrade: by version, what makes a body of the next version out of one of this version.
        form: how a payload becomes a body: as JSON, or, of a subclass of `str` or `bytes`, as it is.
    """

    name: str
    kind: Kind
    version: int
    key: str | None
    payload: type
    aliases: tuple[str, ...] = ()
    upgrade: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict[int, "Callable[[Any], Any]"])
    form: Form = "json"


def event(
    name: str,
    *,
    version: int = 1,
    key: str | None = None,
    aliases: Collection[str] = (),
    upgrade: Mapping[int, Callable[[Any], Any]] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Declare a class to be an event: something that happened, told to every group that wants to know.

    The class is a dataclass, a `msgspec.Struct`, a pydantic model, an attrs class or a NamedTuple, whose instances
    travel as JSON; or a class of one's own derived from `str` or `bytes`, whose instances travel as they are.

    Args:
        name: on the wire; lower-case words joined by dots, at most 75 characters.
        version: 1 or more.
        key: a field or property of the class, or None.
        aliases: names it had before, or has elsewhere. Subscribers get what is published under them too.
        upgrade: for messages of older versions: `upgrade[1]` is handed the body of version 1, as JSON decodes it
            (of a `str` or `bytes`: as it is), and returns that of version 2, and so on. A message of an older version
            without an entry here, or of a newer version, is read as it is.

    Raises:
        InvalidArgumentError: one of them is not so, or the class has no such field.
    """
    return _declare("event", name, version, key, aliases=aliases, upgrade=upgrade)


def command(
    name: str,
    *,
    version: int = 1,
    key: str | None = None,
    upgrade: Mapping[int, Callable[[Any], Any]] | None = None,
) -> Callable[[type[T]], type[T]]:
    """Declare a class to be a command: something to be done, by exactly one owner. Arguments as `event`."""
    return _declare("command", name, version, key, aliases=(), upgrade=upgrade)


def message_type(payload: type) -> MessageType:
    """Look up what a class was declared to be.

    Raises:
        InvalidArgumentError: it was not declared. A subclass of a declared class is not.
    """
    marked: MessageType | None = getattr(payload, _MARK, None)
    if marked is not None and marked.payload is payload:
        return marked
    # Untyped code may hand in a name or an instance in place of the class.
    attributes: Mapping[str, Any] = getattr(payload, "__dict__", _NOTHING)
    found: MessageType | None = attributes.get(_MARK)
    if found is None:
        allowed = "a class declared with @event or @command"
        if any(payload is many for many in (list, tuple, set, frozenset)):
            allowed += "; messages go one at a time, with a call for each"
        raise InvalidArgumentError("message type", payload, allowed)
    return found


def _declare(
    kind: Kind,
    name: str,
    version: int,
    key: str | None,
    *,
    aliases: Collection[str],
    upgrade: Mapping[int, Callable[[Any], Any]] | None,
) -> Callable[[type[T]], type[T]]:
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - the bare decorator, in untyped code
        raise InvalidArgumentError("name", name, f"text: write @{kind}('shop.order.placed') above the class")
    _check_name("name", name)
    check_text("key", key, "the name of a field", or_none=True)
    _check_versions(version, {} if upgrade is None else upgrade)
    _check_aliases(name, aliases)

    def mark(payload: type[T]) -> type[T]:
        if issubclass(payload, Command if kind == "event" else Event):
            other = "Command" if kind == "event" else "Event"
            raise InvalidArgumentError(
                "class", payload.__qualname__, f"not derived from {other}: it is declared @{kind}"
            )
        form = _form(payload)
        # A field is in the annotations of a class of its line, a property in its body.
        if key is not None and not any(
            key in vars(base).get("__annotations__", {}) or isinstance(vars(base).get(key), property)
            for base in payload.__mro__
        ):
            raise InvalidArgumentError("key", key, f"a field of {payload.__qualname__}")
        declared = MessageType(
            name=name,
            kind=kind,
            version=version,
            key=key,
            payload=payload,
            aliases=tuple(aliases),
            upgrade=dict(upgrade or {}),
            form=form,
        )
        setattr(payload, _MARK, declared)
        return payload

    return mark


def _check_name(parameter: str, name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _NAME_LENGTH_MAX:
        allowed = f"lower-case words joined by dots, such as 'shop.order.placed', at most {_NAME_LENGTH_MAX} characters"
        raise InvalidArgumentError(parameter, name, allowed)


def _check_versions(version: int, upgrade: Mapping[int, Callable[[Any], Any]]) -> None:
    check_whole("version", version, 1)
    if not isinstance(upgrade, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped code
        raise InvalidArgumentError("upgrade", upgrade, "functions by version, such as {1: from_version_1}, or None")
    for older, function in upgrade.items():
        check_whole("upgrade", older, 1)
        if older >= version:
            raise InvalidArgumentError("upgrade", older, f"versions from 1 to {version - 1}, those before version")
        if not callable(function):
            raise InvalidArgumentError(f"upgrade[{older}]", function, "a function of an older body")


def _check_aliases(name: str, aliases: Collection[str]) -> None:
    check_names("aliases", aliases, "a collection of other names")
    if name in aliases:
        raise InvalidArgumentError("aliases", aliases, "a collection of other names")
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            raise InvalidArgumentError("aliases", alias, "1 to 256 visible ASCII characters")


def _form(payload: type) -> Form:
    if any(hasattr(payload, mark) for mark in _KINDS_OF_CLASS):
        return "json"
    if issubclass(payload, str) and payload is not str:
        return "text"
    if issubclass(payload, bytes) and payload is not bytes:
        return "bytes"
    allowed = (
        "a dataclass, a msgspec.Struct, a pydantic model, an attrs class, a NamedTuple, "
        "or a class of your own derived from str or bytes"
    )
    raise InvalidArgumentError("class", payload.__qualname__, allowed)
