"""The topology as it is: topics, the groups that subscribed to them, their queues and how full these are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from busframe.errors import QueueNotFoundError
from busframe.queue_names import dead_queue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe.backend import Backend, QueueStats
    from busframe.message import QueueName
    from busframe.recipients import RecipientList, Subscription
    from busframe.registry import Registry

_CALLS_MAX: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What there is.

    Attributes:
        version: of the recipient list; None: there is no list.
        subscriptions: the rows of the list, in the order they were added.
        commands: by the name of a command that this program handles, its queue.
        queues: how full each queue is, dead-letter queues included; None: it is not there.
    """

    version: int | None
    subscriptions: Sequence[Subscription]
    commands: Mapping[str, QueueName]
    queues: Mapping[QueueName, QueueStats | None]


async def look_at(
    registry: Registry, backend: Backend, recipients: RecipientList | None, *, depths: bool = True
) -> Graph:
    """Read it all.

    Args:
        registry: the program.
        backend: has the queues.
        recipients: None: there is no list.
        depths: ask how full the queues are; a call each.
    """
    listed = None if recipients is None else await recipients.load()
    subscriptions = () if listed is None else listed.subscriptions
    commands = {
        name: group.queue
        for group in registry.groups.values()
        for name, handler in group.handlers.items()
        if handler.kind.kind == "command"
    }
    names = dict.fromkeys([row.queue for row in subscriptions] + list(commands.values()))
    queues: dict[QueueName, QueueStats | None] = {}
    if depths:
        limiter = anyio.CapacityLimiter(_CALLS_MAX)

        async def ask(queue: QueueName) -> None:
            async with limiter:
                try:
                    queues[queue] = await backend.stats(queue)
                except QueueNotFoundError:
                    queues[queue] = None

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(ask, name)
                tasks.start_soon(ask, dead_queue(name))
    return Graph(
        version=None if listed is None else listed.version,
        subscriptions=subscriptions,
        commands=commands,
        queues=queues,
    )
