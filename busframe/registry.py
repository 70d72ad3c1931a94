"""The registry: which groups there are, and what each does with which message. No I/O, no URL, no event loop."""

from __future__ import annotations

import inspect
import re
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack, overload

from busframe.delivery import enter_delivery
from busframe.errors import ConfigurationError, InvalidArgumentError
from busframe.filters import Filter
from busframe.foreign import FOREIGN
from busframe.inbox import WINDOW_S
from busframe.message import ORDERED_SUFFIX, QueueName, queue_name
from busframe.message_type import message_type
from busframe.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from busframe.cloudevents import CloudEvents
    from busframe.delivery import Delivery
    from busframe.filters import FilterOn
    from busframe.foreign import ForeignMessage
    from busframe.message_type import Command, Event, Kind, MessageType
    from busframe.observing import Observer
    from busframe.refusals import CommandsAreHandled, EventsAreSubscribedTo
    from busframe.registering import HandleOptions, Registers, SubscribeOptions

T = TypeVar("T")

_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
DEFAULT_CONCURRENCY: Final = 10
DEFAULT_LEASE_S: Final = 30.0
LEASE_S_MIN: Final = 2.0
"""A lease is extended at half its time; much shorter ones would be lost to one slow call."""

DEAD_SUFFIX: Final = "-dead"


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
    """

    queue: QueueName
    dead_queue: QueueName
    name: str = ""
    concurrency: int = DEFAULT_CONCURRENCY
    lease_s: float = DEFAULT_LEASE_S
    bytes_in_hand_max: int | None = None
    handlers: dict[str, Handler] = field(default_factory=dict[str, Handler])
    foreign: Handler | None = None

    @property
    def all_handlers(self) -> Sequence[Handler]:
        """Its handlers, those of foreign messages included; one with aliases more than once."""
        return [*self.handlers.values(), *([self.foreign] if self.foreign else [])]

    @property
    def attempts_max(self) -> int:
        """The most attempts any of its handlers gets."""
        return max(handler.retry.attempts_max for handler in self.all_handlers)


@dataclass(frozen=True, slots=True)
class _Terms:
    """How one handler is to be called; see `Handler`."""

    retry: Retry
    timeout_s: float | None
    once_window_s: float | None
    filter: Filter | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.retry, Retry):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped code
            raise InvalidArgumentError("retry", self.retry, "a Retry, such as Retry(attempts=5), or None")
        if self.timeout_s is not None and not 0 < self.timeout_s < float("inf"):
            raise InvalidArgumentError("timeout_s", self.timeout_s, "more than 0 seconds, finite, or None for no bound")
        if self.once_window_s is not None and not 0 < self.once_window_s < float("inf"):
            raise InvalidArgumentError("once_window_s", self.once_window_s, "more than 0 seconds, finite")


class Registry:
    """Collects subscriptions. `busframe.Bus` is one that can connect.

    Args:
        name: of the application; the names of its groups' queues start with it. Letters, digits, `-` and `_`.
        envelope: have messages travel as CloudEvents; None has what the bus says of them travel beside the body.
            Consumers read both.
        check_schema: read each payload back before it is sent, so that a field of the wrong type is an error at the
            sender, not at every consumer. Costs about a microsecond for each message.
    """

    def __init__(self, name: str, *, envelope: CloudEvents | None = None, check_schema: bool = True) -> None:
        _check_part("name", name)
        self.name = name
        self.envelope = envelope
        self.check_schema = check_schema
        self._groups: dict[QueueName, Group] = {}
        self._observers: list[Observer] = []

    @property
    def groups(self) -> Mapping[QueueName, Group]:
        """The groups by queue."""
        return self._groups

    def regrouped(self, groups: Mapping[QueueName, Group]) -> Self:
        """A copy with other groups: for tools that put something around handlers."""
        twin = copy(self)
        twin._groups = dict(groups)  # noqa: SLF001 - of the same class
        return twin

    def select(self, names: Sequence[str] | None = None) -> Sequence[Group]:
        """Look groups up by name.

        Args:
            names: of each its name with or without the bus's (`shop/billing` or `billing`), its queue's, or the
                command's that it owns; None names all.

        Raises:
            InvalidArgumentError: one of them is not here; it says which are.
        """
        if names is None:
            return tuple(self._groups.values())
        found: dict[QueueName, Group] = {}
        for name in names:
            called = [group for group in self._groups.values() if name in names_of(group)]
            if not called:
                have = ", ".join(sorted(group.name or group.queue for group in self._groups.values()))
                raise InvalidArgumentError("group", name, f"one of {have}" if have else "none: the bus has no handlers")
            found.update((group.queue, group) for group in called)
        return tuple(found.values())

    @property
    def observers(self) -> Sequence[Observer]:
        """What `observe` was given."""
        return self._observers

    def observe(self, observer: Observer) -> None:
        """Have an observer told what happens on each connection made from now on; see `busframe.observing`."""
        self._observers.append(observer)

    @overload
    def subscribe(self, event: type[Command], **options: Unpack[SubscribeOptions]) -> CommandsAreHandled: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
    @overload
    def subscribe(self, event: type[T], **options: Unpack[SubscribeOptions]) -> Registers[T]: ...
    def subscribe(
        self,
        event: type[object],
        *,
        group: str,
        ordered: bool = False,
        concurrency: int | None = None,
        bytes_in_hand_max: int | None = None,
        lease_s: float | None = None,
        timeout_s: float | None = None,
        retry: Retry | None = None,
        once: bool = False,
        once_window_s: float = WINDOW_S,
        queue: str | None = None,
        filter: Mapping[str, object] | None = None,  # noqa: A002 - the word for it
        filter_on: FilterOn = "headers",
    ) -> Any:
        """Have a function handle an event, on behalf of a group.

        Every group gets its own copy of each event; within a group one member handles it. A group is one queue
        `<bus>-<group>` whatever number of events it subscribes to.

        Args:
            event: a class declared with `@event`.
            group: the subscription's name; it lasts as long as its queue, whether anybody runs or not.
            ordered: keep the order of messages with the same key: the queue is a FIFO queue. The event needs a key.
            concurrency: how many messages of the group one process handles at a time; 1 or more, 10 if nobody says.
            bytes_in_hand_max: fetch no more while the bodies of the group's messages in hand have more bytes together;
                exceeded by one receive at most. No bound if nobody says.
            lease_s: seconds the broker hides a message before it has to hear from us again; 2 to 43,200, 30 if
                nobody says. Leases of running handlers are extended, so it bounds how long a crash goes unnoticed,
                not how long a handler may take.
            timeout_s: seconds one call of the function may take; then it is cancelled and has failed with a
                `TimeoutError`. No bound if None.
            retry: what to do when the handler raises.
            once: handle no message again that was handled within the window; see `busframe.inbox` for what that
                amounts to. The connection needs an inbox.
            once_window_s: how long a handled message is remembered; more than 0, four days if nobody says, which is
                how long the bus's queues keep a message.
            queue: another name for the group's queue.
            filter: the events that publishers copy to the group, such as `{"tenant": ["acme"]}`; None: all of them.
                See `busframe.filters` for what may be said.
            filter_on: what the filter looks at: the message's headers (`type`, `version`, `source`, `key`, and the
                application's own), or its payload.

        Raises:
            InvalidArgumentError: the filter is wrong; it says where.
            ConfigurationError: the group has a handler for this event, or another concurrency, lease or bound; or the
                queue belongs to another group.
        """
        kind = _require_kind(event, "event", "subscribe")
        _check_part("group", group)
        if ordered and kind.key is None:
            raise InvalidArgumentError("ordered", ordered, f"False: {kind.name} declares no key to be in order by")
        name = queue_name((queue or f"{self.name}-{group}") + (ORDERED_SUFFIX if ordered else ""))
        bounds = _bounds(concurrency, bytes_in_hand_max, lease_s)
        member = Group(queue=name, dead_queue=dead_queue(name), name=f"{self.name}/{group}")
        chosen = None if filter is None else Filter.of(filter, filter_on)
        return self._register(
            kind,
            member,
            bounds,
            _Terms(Retry() if retry is None else retry, timeout_s, once_window_s if once else None, chosen),
        )

    @overload
    def handle(self, command: type[Event], **options: Unpack[HandleOptions]) -> EventsAreSubscribedTo: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
    @overload
    def handle(self, command: type[T], **options: Unpack[HandleOptions]) -> Registers[T]: ...
    def handle(
        self,
        command: type[object],
        *,
        ordered: bool = False,
        concurrency: int | None = None,
        bytes_in_hand_max: int | None = None,
        lease_s: float | None = None,
        timeout_s: float | None = None,
        retry: Retry | None = None,
        once: bool = False,
        once_window_s: float = WINDOW_S,
    ) -> Any:
        """Have a function handle a command, as its one owner. Its queue has the command's name, with `-` for dots.

        Arguments and errors as `subscribe`.
        """
        kind = _require_kind(command, "command", "handle")
        bounds = _bounds(concurrency, bytes_in_hand_max, lease_s)
        queue = command_queue(kind, ordered=ordered)
        owner = Group(queue=queue, dead_queue=dead_queue(queue))
        terms = _Terms(Retry() if retry is None else retry, timeout_s, once_window_s if once else None)
        return self._register(kind, owner, bounds, terms)

    def foreign(
        self,
        *,
        group: str | None = None,
        queue: str | None = None,
        concurrency: int | None = None,
        bytes_in_hand_max: int | None = None,
        lease_s: float | None = None,
        timeout_s: float | None = None,
        retry: Retry | None = None,
        once: bool = False,
        once_window_s: float = WINDOW_S,
    ) -> Registers[ForeignMessage]:
        """Have a function handle what no other handler of a queue does, instead of having it dead-lettered.

        These are messages that no bus has sent, such as raw JSON or notifications of S3 through SNS, and those of a
        type that nobody here handles, or that cannot be read as the type they claim to be.

        Args:
            group: the group whose queue it is; its handlers of events go first.
            queue: the queue itself, if it is not a group's.
            concurrency: as for `subscribe`, and so are the others.
            bytes_in_hand_max: the same.
            lease_s: the same.
            timeout_s: the same.
            retry: the same.
            once: the same; such a message is known by its broker's id, or SNS's.
            once_window_s: the same.

        Raises:
            InvalidArgumentError: not one of `group` and `queue` is given.
            ConfigurationError: the queue has a handler of foreign messages, or another concurrency, lease or bound.
        """
        if (group is None) == (queue is None):
            raise InvalidArgumentError("group", group, "a group's name, or None and a queue's: one of the two")
        if group is not None:
            _check_part("group", group)
        name = queue_name(queue or f"{self.name}-{group}")
        # Under the name the group of that queue has, if it has one.
        known = self._groups.get(name)
        own = f"{self.name}/{group}" if group is not None else known.name if known is not None else ""
        member = Group(queue=name, dead_queue=dead_queue(name), name=own)
        bounds = _bounds(concurrency, bytes_in_hand_max, lease_s)
        return self._register(
            FOREIGN,
            member,
            bounds,
            _Terms(Retry() if retry is None else retry, timeout_s, once_window_s if once else None),
        )

    def _register(self, kind: MessageType, group: Group, bounds: Mapping[str, float], terms: _Terms) -> Registers[Any]:
        group = self._joined(group, bounds)
        queue = group.queue
        if kind is FOREIGN and group.foreign is not None:
            raise ConfigurationError(f"queue {queue} has a handler for foreign messages already")
        names = () if kind is FOREIGN else (kind.name, *kind.aliases)
        for name in names:
            if name in group.handlers:
                raise ConfigurationError(f"queue {queue} has a handler for {name} already")

        def register(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
            wants_delivery = _wants_delivery(function)
            handler = Handler(
                kind=kind,
                function=function,
                retry=terms.retry,
                wants_delivery=wants_delivery,
                timeout_s=terms.timeout_s,
                filter=terms.filter,
                once_window_s=terms.once_window_s,
            )
            group.handlers.update(dict.fromkeys(names, handler))
            if kind is FOREIGN:
                group.foreign = handler
            self._groups[queue] = group
            return function

        return register

    def _joined(self, group: Group, bounds: Mapping[str, float]) -> Group:
        """The group that the registry has under this queue, or else `group`; with the bounds a handler asks for."""
        known = self._groups.get(group.queue)
        if known is not None and known.name != group.name:
            raise ConfigurationError(
                f"queue {group.queue} belongs to {known.name or 'a command'} already: two groups on one queue would "
                "compete for its messages instead of getting a copy each"
            )
        for parameter, value in bounds.items():
            if known is not None and value != (have := getattr(known, parameter)):
                raise ConfigurationError(
                    f"{parameter} of queue {group.queue} is {have} already, and cannot be {value} too"
                )
            setattr(known or group, parameter, value)
        return known or group


def names_of(group: Group) -> set[str]:
    """What people call it."""
    own = (
        {group.name, group.name.partition("/")[2]}
        if group.name
        else {handler.kind.name for handler in group.all_handlers}
    )
    return own | {group.queue}


def command_queue(kind: MessageType, *, ordered: bool = False) -> QueueName:
    """The queue of a command's owner."""
    return queue_name(kind.name.replace(".", "-") + (ORDERED_SUFFIX if ordered else ""))


def dead_queue(queue: QueueName) -> QueueName:
    """The dead-letter queue that belongs to a queue."""
    if queue.endswith(ORDERED_SUFFIX):
        return queue_name(queue.removesuffix(ORDERED_SUFFIX) + DEAD_SUFFIX + ORDERED_SUFFIX)
    return queue_name(queue + DEAD_SUFFIX)


def source_of_dead(queue: QueueName) -> QueueName | None:
    """The queue that a dead-letter queue belongs to, by its name; None if it is not named like one."""
    ordered = ORDERED_SUFFIX if queue.endswith(ORDERED_SUFFIX) else ""
    plain = queue.removesuffix(ordered)
    return QueueName(plain.removesuffix(DEAD_SUFFIX) + ordered) if plain.endswith(DEAD_SUFFIX) else None


def _bounds(concurrency: int | None, bytes_in_hand_max: int | None, lease_s: float | None) -> dict[str, float]:
    """Check what a subscription says about its group, and leave out what it does not say."""
    if concurrency is not None and concurrency < 1:
        raise InvalidArgumentError("concurrency", concurrency, "1 or more")
    if bytes_in_hand_max is not None and bytes_in_hand_max < 1:
        raise InvalidArgumentError("bytes_in_hand_max", bytes_in_hand_max, "1 or more")
    if lease_s is not None and not LEASE_S_MIN <= lease_s <= 43_200:  # noqa: PLR2004 - twelve hours, as SQS
        raise InvalidArgumentError("lease_s", lease_s, f"{LEASE_S_MIN:g} to 43200 seconds")
    said = {"concurrency": concurrency, "bytes_in_hand_max": bytes_in_hand_max, "lease_s": lease_s}
    return {parameter: value for parameter, value in said.items() if value is not None}


def _check_part(parameter: str, value: str) -> None:
    if not _PART.fullmatch(value):
        raise InvalidArgumentError(parameter, value, "letters, digits, '-' and '_', the first a letter or digit")


def _require_kind(payload: type, wanted: Kind, method: str) -> MessageType:
    kind = message_type(payload)
    if kind.kind != wanted:
        instead = (
            "an event; a command has a handler by handle()"
            if wanted == "event"
            else ("a command; an event is subscribed to, with subscribe()")
        )
        raise InvalidArgumentError(method, kind.name, instead)
    return kind


def _wants_delivery(function: Callable[..., Awaitable[None]]) -> bool:
    # An object with an async __call__ is fine too.
    called = function if inspect.isroutine(function) else type(function).__call__
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)):
        raise InvalidArgumentError("handler", function, "an 'async def' function")
    parameters = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} and p.default is p.empty
    ]
    if len(parameters) not in {1, 2}:
        raise InvalidArgumentError("handler", function, "a function of the message, or of the message and its Delivery")
    return len(parameters) == 2  # noqa: PLR2004 - message and delivery
