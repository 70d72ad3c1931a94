"""The types of the calls that register handlers: what may be said of one, and which functions may be one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Required, TypedDict, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from busframe.delivery import Delivery
    from busframe.filters import FilterOn
    from busframe.retry import Retry

T = TypeVar("T")


class Registers(Protocol[T]):
    """A decorator that takes a handler of `T`, with or without its `Delivery`, and gives it back unchanged."""

    @overload
    def __call__(self, function: Callable[[T], Awaitable[None]], /) -> Callable[[T], Awaitable[None]]: ...
    @overload
    def __call__(
        self, function: Callable[[T, Delivery[T]], Awaitable[None]], /
    ) -> Callable[[T, Delivery[T]], Awaitable[None]]: ...


class HandleOptions(TypedDict, total=False):
    """What may be said of a command's handler, for type checkers; see `Registry.subscribe`."""

    ordered: bool
    concurrency: int | None
    bytes_in_hand_max: int | None
    lease_s: float | None
    timeout_s: float | None
    retry: Retry | None
    once: bool
    once_window_s: float | None


class SubscribeOptions(HandleOptions, total=False):
    """What may be said of a subscription."""

    group: Required[str]
    queue: str | None
    filter: Mapping[str, object] | None
    filter_on: FilterOn
