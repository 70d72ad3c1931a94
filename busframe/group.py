"""A group and its handlers: what a registry collects, and what a consumer works by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from busframe.delivery import enter_delivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.delivery import Delivery
    from busframe.filters import Filter
    from busframe.message import QueueName
    from busframe.message_type import MessageType
    from busframe.retry import Retry

DEFAULT_CONCURRENCY: Final = 10
DEFAULT_LEASE_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """What to call for one type of message.

    Attributes:
        wants_delivery: the function takes the `Delivery` as its second argument.
        timeout_s: how long it may take; then it is cancelled and has failed. None is as long as it likes.
        filter: which events of the type publishers copy to the group; None: all.
        once_window_s: how long the inbox remembers a handled message; None: there is no inbox.
    """

    kind: MessageType
    function: Callable[..., Awaitable[None]]
    retry: Retry
    wants_delivery: bool
    timeout_s: float | None = None
    filter: Filter | None = None
    once_window_s: float | None = None

    def __call__(self, delivery: Delivery[Any]) -> Awaitable[None]:
        """Handle one delivery; to be awaited at once. What the function sends meanwhile names it as its cause."""
        enter_delivery(delivery)
        if self.wants_delivery:
            return self.function(delivery.payload, delivery)
        return self.function(delivery.payload)


@dataclass(slots=True, kw_only=True)
class Group:
    """One durable subscription, and so one queue: all members of the group compete for its messages.

    Attributes:
        name: `bus/group`, by which the recipient list knows it; empty for the owner of a command.
        dead_queue: where messages go that were given up.
        concurrency: how many messages one process handles at a time.
        lease_s: how long the broker hides a message before it has to hear from us again.
        bytes_in_hand_max: no more is fetched while the bodies in hand are larger together; None is no bound.
        handlers: by the name of the message type on the wire.
        foreign: gets what none of them does: unknown types, foreign messages, what cannot be read.
        unknown_types: when to try again a message of a type that none of them handles, if there is no `foreign`; None
            dead-letters it at once.
    """

    queue: QueueName
    dead_queue: QueueName
    name: str = ""
    concurrency: int = DEFAULT_CONCURRENCY
    lease_s: float = DEFAULT_LEASE_S
    bytes_in_hand_max: int | None = None
    handlers: dict[str, Handler] = field(default_factory=dict[str, Handler])
    foreign: Handler | None = None
    unknown_types: Retry | None = None

    @property
    def all_handlers(self) -> Sequence[Handler]:
        """Its handlers, those of foreign messages included; one with aliases more than once."""
        return [*self.handlers.values(), *([self.foreign] if self.foreign else [])]

    @property
    def attempts_max(self) -> int:
        """The most attempts any message of it gets."""
        policies = [handler.retry for handler in self.all_handlers]
        if self.unknown_types is not None:
            policies.append(self.unknown_types)
        return max(policy.attempts_max for policy in policies)


def names_of(group: Group) -> set[str]:
    """What people call it."""
    own = (
        {group.name, group.name.partition("/")[2]}
        if group.name
        else {handler.kind.name for handler in group.all_handlers}
    )
    return own | {group.queue}
