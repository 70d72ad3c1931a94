"""From a registry to the queues that must be there, and their dead-letter queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe.backend import DeadLetters, Plan, QueueSpec
from busframe.message import is_ordered

if TYPE_CHECKING:
    from busframe.backend import Capabilities, ProvisionMode
    from busframe.group import Group
    from busframe.registry import Registry

SPARE_RECEIVES: Final = 5
"""How far the broker's own limit stands above the bus's. The bus gives up on purpose, with a reason; the broker's limit
is for consumers that die before they can, and for answers that get lost, which count as receives too."""

RECEIVED_TOGETHER: Final = 10
"""So many messages of a group SQS hands out at once. On an ordered queue, one that is given back between its attempts,
as when its consumer is told to stop, takes back with it those behind it, which nobody has begun on; that counts as a
receive all the same. None of them must be moved for it, or the next would overtake it."""

DEAD_RETENTION_S: Final = 1_209_600.0
"""Fourteen days, the longest SQS keeps a message: a person has to look at it."""


def plan_for(registry: Registry, capabilities: Capabilities, *, mode: ProvisionMode) -> Plan:
    """Name the queues that the registry's groups need."""
    queues: list[QueueSpec] = []
    for group in registry.groups.values():
        retention_s = min(DEAD_RETENTION_S, capabilities.retention_s_max)
        queues.append(QueueSpec(name=group.dead_queue, retention_s=retention_s))
        queues.append(QueueSpec(name=group.queue, lease_s=group.lease_s, dead_letters=_safety_net(group)))
    return Plan(queues=tuple(queues), mode=mode)


def _safety_net(group: Group) -> DeadLetters:
    receives = group.attempts_max * (RECEIVED_TOGETHER if is_ordered(group.queue) else 1)
    return DeadLetters(queue=group.dead_queue, max_receive_count=min(receives + SPARE_RECEIVES, 1000))
