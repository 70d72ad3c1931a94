"""Queues named on a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busframe.errors import ConfigurationError, InvalidArgumentError
from busframe.message import queue_name

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from busframe.message import QueueName
    from busframe.session import Live


def add_queue(parser: ArgumentParser, *, text: str = "the queue") -> None:
    """Give a command the argument that names a queue."""
    parser.add_argument("queue", metavar="QUEUE", help=f"{text}: its name, or BUS/GROUP such as shop/billing")


async def queue_of(live: Live, name: str) -> QueueName:
    """The queue that a name stands for.

    Args:
        live: where to look up a group.
        name: of a queue, or a group as `bus/group`, which the recipient list knows.

    Raises:
        InvalidArgumentError: it is neither.
    """
    if "/" not in name:
        return queue_name(name)
    try:
        rows = await live.topology.subscriptions()
    except ConfigurationError as error:
        raise InvalidArgumentError(
            "queue", name, "a queue's name: groups are in a recipient list, and none is named"
        ) from error
    queues = {row.group: row.queue for row in rows}
    if name not in queues:
        have = ", ".join(sorted(queues)) or "none"
        raise InvalidArgumentError("queue", name, f"a group of the recipient list, which has {have}")
    return queues[name]
