"""What the wrong calls return, as far as type checkers are concerned. Nothing here exists when a program runs.

Python cannot say "anything but a command" of a parameter. But an overload can take the command and return what is of no
use: `await live.publish(PrintInvoice(...))` is an error then, and the name in its message says what to write instead.
When the program runs, such calls raise `InvalidArgumentError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet


class CommandsAreSent:
    """Not awaitable: a command goes to its one owner, `await live.send(command)`."""


class EventsArePublished:
    """Not awaitable: an event goes to whoever subscribed, `await live.publish(event)`."""


class NotAMessage:
    """Not awaitable: this is no instance of a class declared with `@event` or `@command`."""


class CommandsAreHandled:
    """No decorator: a command has one owner, `@bus.handle(PrintInvoice)`."""


class EventsAreSubscribedTo:
    """No decorator: an event has groups that subscribe, `@bus.subscribe(OrderPlaced, group="billing")`."""


if TYPE_CHECKING:
    NoMessage = (
        str | bytes | float | bool | list[object] | Mapping[str, object] | AbstractSet[object] | type[object] | None
    )
    """What people hand in by mistake: the parts of a message, or its class."""
