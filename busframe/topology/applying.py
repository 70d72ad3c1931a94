"""Making list and queues what the program and the list say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busframe.errors import QueueNotFoundError
from busframe.topology.edits import without_rows
from busframe.topology.leaving import is_empty
from busframe.topology.plan import plan_for
from busframe.topology.registration import register, subscriptions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Backend
    from busframe.recipients import RecipientList
    from busframe.registry import Registry
    from busframe.topology.drift import Finding
    from busframe.topology.operations import Topology


async def apply(
    registry: Registry,
    backend: Backend,
    recipients: RecipientList | None,
    topology: Topology | None,
    findings: Sequence[Finding],
    *,
    removals: bool = False,
    by: str,
) -> list[Finding]:
    """Do what the findings say (`Finding.repair`, with `removals` `Finding.removal` too). Safe to repeat.

    Returns:
        What was left alone: what somebody has to decide, and orphans that are not empty.
    """
    kinds = {finding.kind for finding in findings}
    if kinds & {"queue missing", "queue differs", "row missing", "row differs"}:
        plan = plan_for(registry, backend.capabilities, mode="create")
        if recipients is None:
            await backend.provision(plan)
        else:
            # Not the rows that are elsewhere: entering them would be refused.
            elsewhere = {(found.topic, found.group) for found in findings if found.kind == "row elsewhere"}
            wanted = [
                row for row in subscriptions_of(registry.groups.values()) if (row.topic, row.group) not in elsewhere
            ]
            await register(backend, recipients, plan, wanted, by=by)
    left: list[Finding] = []
    for finding in findings:
        if finding.repair is None and not (removals and finding.removal is not None):
            left.append(finding)
        elif finding.kind == "queue without row":
            if not await _remove_if_empty(backend, finding):
                left.append(finding)
        elif recipients is not None and topology is not None:
            await _settle(recipients, topology, finding, by=by)
    return left


async def _settle(recipients: RecipientList, topology: Topology, finding: Finding, *, by: str) -> None:
    if finding.kind == "row drained":
        rows = [
            row
            for row in (await recipients.load((finding.topic,))).subscriptions
            if row.name == (finding.topic, finding.queue) and row.state == "draining"
        ]
        if rows:
            await topology.finish(rows)
    elif finding.kind == "row without handler":
        await topology.unsubscribe(finding.group, finding.topic, wait=False)
    elif finding.kind == "row without queue":
        await recipients.change(without_rows([(finding.topic, finding.queue)]), by=by, topics=(finding.topic,))


async def _remove_if_empty(backend: Backend, finding: Finding) -> bool:
    try:
        if not is_empty(await backend.stats(finding.queue)):
            return False
    except QueueNotFoundError:
        return True
    await backend.remove(finding.queue)
    return True
