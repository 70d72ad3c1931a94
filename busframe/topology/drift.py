"""Whether program, recipient list and queues agree, and what would make them.

Three parties can differ: what the program declares, what the list says, and what the broker has. Nothing here changes
anything; `busframe.topology.applying` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from busframe.backend import Plan
from busframe.errors import QueueMismatchError, QueueNotFoundError
from busframe.message import ORDERED_SUFFIX, QueueName, is_ordered
from busframe.queue_names import DEAD_SUFFIX, dead_queue
from busframe.topology.leaving import is_empty
from busframe.topology.plan import plan_for
from busframe.topology.registration import subscriptions_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from busframe.backend import Backend, QueueSpec
    from busframe.group import Group
    from busframe.recipients import RecipientList, Subscription
    from busframe.registry import Registry

Kind = Literal[
    "queue missing",
    "queue differs",
    "row missing",
    "row differs",
    "row elsewhere",
    "row without queue",
    "row without handler",
    "row drained",
    "queue without row",
]

REPAIRS: Final[Mapping[Kind, str]] = {
    "queue missing": "make the queue",
    "queue differs": "change the queue",
    "row missing": "enter the row",
    "row differs": "change the row",
    "row drained": "remove the row, and the queue if it has no other",
}
"""What `apply` does about it."""

REMOVALS: Final[Mapping[Kind, str]] = {
    "row without queue": "remove the row",
    "row without handler": "unsubscribe the group",
    "queue without row": "remove the queue, if it is empty",
}
"""What `apply` does about it if it is told to remove things too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One point in which they differ.

    Attributes:
        queue: concerned.
        topic: concerned; empty if the queue as a whole is.
        group: concerned; empty if none is, or none is known.
        detail: in words, for people.
    """

    kind: Kind
    queue: QueueName
    topic: str = ""
    group: str = ""
    detail: str

    @property
    def repair(self) -> str | None:
        """What `apply` does about it, None: nothing, somebody has to decide."""
        return REPAIRS.get(self.kind)

    @property
    def removal(self) -> str | None:
        """What `apply` does about it when it may remove things."""
        return REMOVALS.get(self.kind)


async def find_drift(
    registry: Registry, backend: Backend, recipients: RecipientList | None, *, prefix: str | None = None
) -> list[Finding]:
    """Compare the three.

    Args:
        registry: the program.
        backend: has the queues.
        recipients: None: there is no list, and rows are not looked at.
        prefix: queues whose names start so must belong to somebody; None takes `<bus>-`.
    """
    plan = plan_for(registry, backend.capabilities, mode="check")
    rows = () if recipients is None else (await recipients.load()).subscriptions
    findings = [found for spec in plan.queues if (found := await _compare_queue(backend, spec)) is not None]
    if recipients is not None:
        findings += _compare_rows(registry, rows)
        planned = {spec.name for spec in plan.queues}
        findings += await _find_rows_adrift(backend, rows, planned)
    known = {spec.name for spec in plan.queues} | {name for row in rows for name in (row.queue, dead_queue(row.queue))}
    named = {finding.queue for finding in findings} | known
    findings += [
        Finding(kind="queue without row", queue=queue, detail=f"the owner reads {owner}, and `send` refuses to choose")
        for owner, queue in await left_by_owners(backend, registry.groups.values())
        if queue not in named
    ]
    known |= {finding.queue for finding in findings}
    findings += await _find_orphans(backend, f"{registry.name}-" if prefix is None else prefix, known)
    return findings


async def _compare_queue(backend: Backend, spec: QueueSpec) -> Finding | None:
    if await backend.describe(spec.name) is None:
        return Finding(kind="queue missing", queue=spec.name, detail="the program needs it")
    try:
        await backend.provision(Plan(queues=(spec,), mode="check"))
    except (QueueMismatchError, QueueNotFoundError) as error:
        # Not found: its dead-letter queue, since it was there itself a moment ago.
        return Finding(kind="queue differs", queue=spec.name, detail=str(error))
    return None


def _compare_rows(registry: Registry, rows: Sequence[Subscription]) -> list[Finding]:
    listed = {row.name: row for row in rows}
    findings: list[Finding] = []
    wanted = subscriptions_of(registry.groups.values())
    for row in wanted:
        old = listed.get(row.name)
        others = [r for r in rows if (r.topic, r.group) == (row.topic, row.group) and r.state != "draining"]
        if old is not None:
            if (old.group, old.filter, old.filter_on) != (row.group, row.filter, row.filter_on):
                had = f"listed for {old.group or 'an unknown group'} with {_filter(old)}"
                detail = f"{had}, declared for {row.group} with {_filter(row)}"
                findings.append(_about(row, "row differs", detail))
        elif others:
            there = others[0].queue
            move = f"busframe topology move {row.group} {row.queue}"
            detail = f'listed with queue {there}: {move}, or write queue="{there}" in the program'
            findings.append(_about(row, "row elsewhere", detail))
        else:
            findings.append(_about(row, "row missing", "the program subscribes and the list does not say so"))
    ours = {(row.topic, row.group) for row in wanted}
    findings += [
        _about(row, "row without handler", "the group gets copies, and the program has no handler for them")
        for row in rows
        if row.group.startswith(f"{registry.name}/") and (row.topic, row.group) not in ours and row.state != "draining"
    ]
    return findings


async def _find_rows_adrift(backend: Backend, rows: Sequence[Subscription], planned: set[QueueName]) -> list[Finding]:
    """Rows whose queue is not there, unless that was found already; and drained ones that nobody has taken down."""
    findings: list[Finding] = []
    for queue in dict.fromkeys(row.queue for row in rows):
        its = [row for row in rows if row.queue == queue]
        draining = [row for row in its if row.state == "draining"]
        try:
            stats = await backend.stats(queue)
        except QueueNotFoundError:
            if queue not in planned:
                detail = "publishing to it fails; the program that has the group makes it when it connects"
                findings += [_about(row, "row without queue", detail) for row in its]
            else:
                findings += [_about(row, "row drained", "its queue is gone") for row in draining]
            continue
        if draining and is_empty(stats):
            findings += [_about(row, "row drained", "nothing is left on its queue") for row in draining]
    return findings


async def left_by_owners(backend: Backend, groups: Iterable[Group]) -> list[tuple[QueueName, QueueName]]:
    """The queues that owners of commands had before they became ordered, behind those they have now."""
    left: list[tuple[QueueName, QueueName]] = []
    for group in groups:
        if not group.name and group.handlers and is_ordered(group.queue):
            before = QueueName(group.queue.removesuffix(ORDERED_SUFFIX))
            if await backend.describe(before) is not None:
                left.append((group.queue, before))
    return left


async def _find_orphans(backend: Backend, prefix: str, known: set[QueueName]) -> list[Finding]:
    findings: list[Finding] = []
    for queue in await backend.list_queues(prefix):
        if queue in known:
            continue
        count = (await backend.stats(queue)).total
        detail = f"neither the program nor the list knows it; it holds {count} messages"
        if _is_dead_queue(queue) and count:
            detail = f"{count} dead letters of a queue that is gone: look at them, then remove them"
        findings.append(Finding(kind="queue without row", queue=queue, detail=detail))
    return findings


def _is_dead_queue(queue: QueueName) -> bool:
    return queue.removesuffix(".fifo").endswith(DEAD_SUFFIX)


def _about(row: Subscription, kind: Kind, detail: str) -> Finding:
    return Finding(kind=kind, queue=row.queue, topic=row.topic, group=row.group, detail=detail)


def _filter(row: Subscription) -> str:
    return f"the filter {row.filter} on {row.filter_on}" if row.filter else "no filter"
