"""From a registry to what must be there: queues, their dead-letter queues, and lines of the recipient list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe.backend import DeadLetters, Plan, QueueSpec
from busframe.recipients import Recipient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busframe.backend import Capabilities, ProvisionMode
    from busframe.registry import Group, Registry

SPARE_RECEIVES: Final = 5
"""How far the broker's own limit stands above the bus's. The bus gives up on purpose, with a reason; the broker's limit
is for consumers that die before they can, and for answers that get lost, which count as receives too."""

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


def recipients_for(groups: Iterable[Group]) -> list[Recipient]:
    """Name the lines that route each subscribed event to its group's queue. Commands need none."""
    return [
        Recipient(topic=name, queue=group.queue)
        for group in groups
        for name, handler in group.handlers.items()
        if handler.kind.kind == "event"
    ]


def _safety_net(group: Group) -> DeadLetters:
    return DeadLetters(queue=group.dead_queue, max_receive_count=min(group.attempts_max + SPARE_RECEIVES, 1000))
