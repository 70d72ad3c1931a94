"""The registry: which groups there are, and what each does with which message. No I/O, no URL, no event loop."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from busframe.checks import check_flag, check_is, check_names
from busframe.cloudevents import CloudEvents
from busframe.errors import ConfigurationError, InvalidArgumentError
from busframe.filters import Filter
from busframe.foreign import FOREIGN
from busframe.group import Group, Handler, names_of
from busframe.observing import Observer
from busframe.queue_names import command_queue, dead_queue, group_queue, require_living
from busframe.retry import Retry
from busframe.terms import Terms, bounds_said, check_part, require_kind, wants_delivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from busframe.filters import FilterOn
    from busframe.foreign import ForeignMessage
    from busframe.message import QueueName
    from busframe.message_type import Command, Event, MessageType
    from busframe.refusals import CommandsAreHandled, EventsAreSubscribedTo
    from busframe.registering import HandleOptions, Registers, SubscribeOptions

T = TypeVar("T")


class Registry:
    """Collects subscriptions. `busframe.Bus` is one that can connect.

    Args:
        name: of the application; the names of its groups' queues start with it. Letters, digits, `-` and `_`.
        envelope: have messages travel as CloudEvents; None has what the bus says of them travel beside the body.
            Consumers read both.
        check_schema: read each payload back before it is sent, so that a field of the wrong type is an error at the
            sender, not at every consumer. Costs about a microsecond for each message.
        unknown_types: when a consumer tries again a message of a type that its group has no handler for; None
            dead-letters it at once. While a version of the program that handles a new event replaces one that does not,
            `Retry(attempts=20, first_s=5, cap_s=60)` leaves such messages to the new one.
    """

    def __init__(
        self,
        name: str,
        *,
        envelope: CloudEvents | None = None,
        check_schema: bool = True,
        unknown_types: Retry | None = None,
    ) -> None:
        check_part("name", name)
        if envelope is not None:
            check_is("envelope", envelope, CloudEvents, "a CloudEvents, such as CloudEvents(), or None")
        check_flag("check_schema", check_schema)
        if unknown_types is not None:
            check_is("unknown_types", unknown_types, Retry, "a Retry, such as Retry(attempts=20), or None")
        self.name = name
        self.envelope = envelope
        self.check_schema = check_schema
        self.unknown_types = unknown_types
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
        check_names("names", names, "a sequence of names, such as ['billing'], or None for all")
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
        check_is("observer", observer, Observer, "an instance of a class derived from Observer")
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
        once_window_s: float | None = None,
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
            ConfigurationError: the group has a handler for this event, or another concurrency, lease, bound or queue;
                or the queue belongs to another group.
        """
        kind = require_kind(event, "event", "subscribe")
        check_part("group", group)
        check_flag("ordered", ordered)
        if ordered and kind.key is None:
            allowed = f'only with a key: {kind.name} declares no key; declare one with @event("{kind.name}", key=...)'
            raise InvalidArgumentError("ordered", ordered, allowed)
        name = group_queue(self.name, group, named=queue, ordered=ordered)
        require_living("group" if queue is None else "queue", group if queue is None else queue, name)
        bounds = bounds_said(concurrency, bytes_in_hand_max, lease_s)
        member = Group(queue=name, dead_queue=dead_queue(name), name=f"{self.name}/{group}")
        chosen = None if filter is None else Filter.of(filter, filter_on)
        if chosen is None and filter_on != "headers":
            raise InvalidArgumentError("filter_on", filter_on, "'headers', unless there is a filter")
        terms = Terms.of(retry=retry, timeout_s=timeout_s, once=once, once_window_s=once_window_s, filter=chosen)
        return self._register(kind, member, bounds, terms)

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
        once_window_s: float | None = None,
    ) -> Any:
        """Have a function handle a command, as its one owner. Its queue has the command's name, with `-` for dots.

        Arguments and errors as `subscribe`.
        """
        kind = require_kind(command, "command", "handle")
        bounds = bounds_said(concurrency, bytes_in_hand_max, lease_s)
        check_flag("ordered", ordered)
        queue = command_queue(kind, ordered=ordered)
        require_living("command", kind.name, queue)
        owner = Group(queue=queue, dead_queue=dead_queue(queue))
        terms = Terms.of(retry=retry, timeout_s=timeout_s, once=once, once_window_s=once_window_s)
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
        once_window_s: float | None = None,
    ) -> Registers[ForeignMessage]:
        """Have a function handle what no other handler of a queue does, instead of having it dead-lettered.

        These are messages that no bus has sent, such as raw JSON or notifications of S3 through SNS, and those of a
        type that nobody here handles, or that cannot be read as the type they claim to be.

        Args:
            group: the group whose queue it is, wherever that is; its handlers of events go first.
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
            check_part("group", group)
        name = group_queue(self.name, group, named=queue)
        if group is not None:
            require_living("group", group, name)
            own = f"{self.name}/{group}"
            name = next((known.queue for known in self._groups.values() if known.name == own), name)
        else:
            # Under the name the group of that queue has, if it has one.
            own = self._groups[name].name if name in self._groups else ""
        member = Group(queue=name, dead_queue=dead_queue(name), name=own)
        bounds = bounds_said(concurrency, bytes_in_hand_max, lease_s)
        terms = Terms.of(retry=retry, timeout_s=timeout_s, once=once, once_window_s=once_window_s)
        return self._register(FOREIGN, member, bounds, terms)

    def _register(self, kind: MessageType, group: Group, bounds: Mapping[str, float], terms: Terms) -> Registers[Any]:
        group = self._joined(group, bounds, kind)
        queue = group.queue
        if kind is FOREIGN and group.foreign is not None:
            raise ConfigurationError(f"queue {queue} has a handler for foreign messages already")
        names = () if kind is FOREIGN else (kind.name, *kind.aliases)
        for name in names:
            if name in group.handlers:
                raise ConfigurationError(f"queue {queue} has a handler for {name} already")

        def register(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
            handler = Handler(
                kind=kind,
                function=function,
                retry=terms.retry,
                wants_delivery=wants_delivery(function, kind),
                timeout_s=terms.timeout_s,
                filter=terms.filter,
                once_window_s=terms.once_window_s,
            )
            group.handlers.update(dict.fromkeys(names, handler))
            if kind is FOREIGN:
                group.foreign = handler
            self._groups[group.queue] = group
            return function

        return register

    def _joined(self, group: Group, bounds: Mapping[str, float], kind: MessageType) -> Group:
        """The group that the registry has under this queue, or else `group`; with the bounds a handler asks for."""
        self._require_one_queue(group)
        group.unknown_types = self.unknown_types
        known = self._groups.get(group.queue)
        if known is not None and not group.name and kind is not FOREIGN:
            others = [handler.kind.name for handler in known.handlers.values() if handler.kind.name != kind.name]
            if others and not known.name:
                raise ConfigurationError(
                    f"queue {group.queue} belongs to the command {others[0]}, and {kind.name} comes to the same name: "
                    "rename one of them"
                )
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

    def _require_one_queue(self, group: Group) -> None:
        """See to it that all of a group is on one queue."""
        elsewhere = [known for known in self._groups.values() if group.name and known.name == group.name]
        for known in elsewhere:
            if known.queue == group.queue:
                continue
            if known.handlers:
                raise ConfigurationError(
                    f"group {group.name} is on queue {known.queue} already, and a group has one queue, not "
                    f"{group.queue} too: say ordered= and queue= alike on all of its subscriptions"
                )
            # Only its handler of foreign messages was there, which goes wherever the group does.
            del self._groups[known.queue]
            known.queue, known.dead_queue = group.queue, group.dead_queue
            self._groups[known.queue] = known
