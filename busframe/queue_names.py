"""How queues are named, so that nobody is surprised in the broker's console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe.checks import check_text
from busframe.errors import InvalidArgumentError
from busframe.message import ORDERED_SUFFIX, QueueName, queue_name

if TYPE_CHECKING:
    from busframe.message_type import MessageType

DEAD_SUFFIX: Final = "-dead"


def group_queue(bus: str, group: str | None, *, named: str | None = None, ordered: bool = False) -> QueueName:
    """The queue of a group of subscribers, unless it is named otherwise."""
    if named is not None:
        check_text("queue", named, "the name of a queue", or_none=True)
    return queue_name((named or f"{bus}-{group}") + (ORDERED_SUFFIX if ordered else ""))


def command_queue(kind: MessageType, *, ordered: bool = False) -> QueueName:
    """The queue of a command's owner."""
    return queue_name(kind.name.replace(".", "-") + (ORDERED_SUFFIX if ordered else ""))


def dead_queue(queue: QueueName) -> QueueName:
    """The dead-letter queue that belongs to a queue."""
    if queue.endswith(ORDERED_SUFFIX):
        return queue_name(queue.removesuffix(ORDERED_SUFFIX) + DEAD_SUFFIX + ORDERED_SUFFIX)
    return queue_name(queue + DEAD_SUFFIX)


def require_living(parameter: str, value: object, queue: QueueName) -> None:
    """Make sure that a name does not lead to what is another queue's dead-letter queue by its name."""
    if (source := source_of_dead(queue)) is not None:
        allowed = f"a name without {DEAD_SUFFIX!r} at its end: {queue} is where the dead letters of {source} go"
        raise InvalidArgumentError(parameter, value, allowed)


def source_of_dead(queue: QueueName) -> QueueName | None:
    """The queue that a dead-letter queue belongs to, by its name; None if it is not named like one."""
    ordered = ORDERED_SUFFIX if queue.endswith(ORDERED_SUFFIX) else ""
    plain = queue.removesuffix(ordered)
    return QueueName(plain.removesuffix(DEAD_SUFFIX) + ordered) if plain.endswith(DEAD_SUFFIX) else None
