"""What a handler's annotation says it takes, held against what it would get.

A function that is written for one event and registered for another fails at its first message, or, worse, works with
fields that happen to have the same names. Only what surely contradicts is refused: an annotation that cannot be
resolved here, such as a name imported for type checkers alone, says nothing, and neither does one that is no class.
"""

from __future__ import annotations

from types import SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from inspect import Parameter

    from busframe.message_type import MessageType


def require_fitting(
    function: Callable[..., Any], called: Callable[..., Any], first: Parameter, of: MessageType
) -> None:
    """Make sure that a handler's first parameter is not annotated with the class of something else.

    Args:
        function: the handler.
        called: what has its code: itself, or the `__call__` of its class.
        first: its first parameter.
        of: what it would handle.
    """
    if first.annotation is first.empty or hasattr(function, "__wrapped__"):
        return  # What a decorator hands to the function it wraps is that decorator's business.
    hint = _resolved(called, first.annotation)
    if _may_be(hint, of.payload) or (isinstance(first.annotation, str) and _is_shadowed(called, hint, of.payload)):
        return
    said = hint.__qualname__ if isinstance(hint, type) else str(hint)
    raise InvalidArgumentError(
        "handler",
        getattr(function, "__qualname__", function),
        f"a function of {of.payload.__qualname__}, the class of {of.name}: `{first.name}` is annotated with {said}, "
        "and would not get one",
    )


def _resolved(called: Callable[..., Any], annotation: Any) -> Any:
    """What an annotation stands for; Any, which fits everything, where that cannot be told."""
    own = {parameter.__name__: parameter for parameter in getattr(called, "__type_params__", ())}
    try:
        holder = SimpleNamespace(__annotations__={"first": annotation})
        return get_type_hints(holder, getattr(called, "__globals__", {}), own)["first"]
    except Exception:  # noqa: BLE001 - an annotation is any expression, and may need names that only checkers see
        return Any


def _may_be(hint: Any, payload: type) -> bool:
    if hint is Any:  # which is a class
        return True
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        return any(_may_be(one, payload) for one in get_args(hint))
    wanted = hint if origin is None else origin
    if not isinstance(wanted, type) or getattr(wanted, "_is_protocol", False):
        return True  # A type variable, a literal, a NewType; and what has a protocol's methods need not derive from it.
    try:
        return issubclass(payload, wanted)
    except TypeError:
        return True


def _is_shadowed(called: Callable[..., Any], hint: Any, payload: type) -> bool:
    """Whether a name was looked up in the module that stands for a class of the function around the handler."""
    inside = "<locals>" in getattr(called, "__qualname__", "")
    return inside and getattr(hint, "__name__", None) == payload.__name__
