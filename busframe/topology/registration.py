"""Entering a program's groups in the recipient list.

The order is the guarantee: first the queue, then the row. Whatever dies in between leaves a queue that nobody sends to
yet, and connecting again goes on from there. A row that is new is followed by a second look at its queue, because
somebody may just have been removing it (see `busframe.topology.leaving`).
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from busframe import runtime
from busframe.errors import ConfigurationError
from busframe.recipients import Subscription, revise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from busframe.backend import Backend, Plan
    from busframe.group import Group
    from busframe.recipients import Change, Edit, RecipientList

_log = logging.getLogger("busframe")

_NO_NAMES: Final = frozenset({"", "localhost"})


def subscriptions_of(groups: Iterable[Group]) -> list[Subscription]:
    """Name the rows that route each subscribed event to its group's queue. Commands need none."""
    return [
        Subscription(
            topic=name,
            queue=group.queue,
            group=group.name,
            filter=handler.filter.text if handler.filter else None,
            filter_on=handler.filter.on if handler.filter else "headers",
        )
        for group in groups
        for name, handler in group.handlers.items()
        if handler.kind.kind == "event"
    ]


async def require_own_queues(recipients: RecipientList, groups: Iterable[Group]) -> None:
    """Make sure that no queue of these groups, owners of commands among them, is listed for another group.

    Raises:
        ConfigurationError: one is: both would take messages that the other is to have.
    """
    owners = {group.queue: group for group in groups}
    for row in (await recipients.load()).subscriptions if owners else ():
        group = owners.get(row.queue)
        if group is not None and row.group and row.group != group.name and row.state != "draining":
            owner = group.name or f"the command {', '.join(sorted(group.handlers))}"
            raise ConfigurationError(
                f"queue {row.queue} is listed for group {row.group}, which gets {row.topic} on it, and is that of "
                f"{owner} by its name too: rename one of them, or give the group another queue (queue=)"
            )


async def register(
    backend: Backend, recipients: RecipientList, plan: Plan, wanted: Sequence[Subscription], *, by: str
) -> Sequence[Change]:
    """Make the queues of a plan and enter the rows, as far as they are not there. Safe to repeat and to run at once.

    With the plan's mode "check" nothing is made or entered, and what is missing is an error; with "assume" nothing is
    looked at.

    Returns:
        What was changed in the list.

    Raises:
        ConfigurationError: a group is listed with another queue, or a queue with another group; or, in mode "check",
            the list lacks something. The list is as it was.
        BackendError: from either store. What was done stays done; repeat to go on.
    """
    await backend.provision(plan)
    if not wanted or plan.mode == "assume":
        return ()
    topics = {row.topic for row in wanted}
    edit = registering(wanted)
    rows = (await recipients.load(topics)).subscriptions
    _remark(rows, wanted)
    differing = revise(rows, edit(rows), version=0, at_s=0, by="").changes
    if not differing:
        return ()  # As nearly always: without a write that other processes would have to wait for.
    if plan.mode == "check":
        points = "; ".join(
            f"{change.topic} on {change.queue} for {change.group}: {change.what}" for change in differing
        )
        raise ConfigurationError(f"the recipient list lacks: {points}. busframe topology apply enters it")
    changes = await recipients.change(edit, by=by, topics=topics)
    if any(change.what.startswith("subscribed") for change in changes):
        await backend.provision(plan)
    return changes


def registering(wanted: Sequence[Subscription]) -> Edit:
    """Enter rows. One that is there keeps its state: an operator who paused a group meant it."""

    def edit(rows: Sequence[Subscription], /) -> Sequence[Subscription]:
        listed = {row.name: row for row in rows}
        for row in wanted:
            old = listed.get(row.name)
            if old is None:
                _require_only_queue(row, listed.values())
                _require_no_other_group(row, listed.values())
                listed[row.name] = row
            elif old.group and old.group != row.group:
                raise ConfigurationError(
                    f"queue {row.queue} gets {row.topic} for group {old.group}; group {row.group} needs a queue of "
                    "its own, or the two compete for one copy"
                )
            else:
                listed[row.name] = replace(old, group=row.group, filter=row.filter, filter_on=row.filter_on)
        return list(listed.values())

    return edit


def _require_only_queue(new: Subscription, rows: Iterable[Subscription]) -> None:
    for row in rows:
        if (row.topic, row.group) == (new.topic, new.group) and row.state != "draining":
            raise ConfigurationError(
                f"group {new.group} gets {new.topic} on queue {row.queue}, and this program has it on {new.queue}: "
                f"it would get every message twice. Move it: busframe topology move {new.group} {new.queue}; or, if it "
                f'has been moved there, write queue="{row.queue}" in the program'
            )


def _require_no_other_group(new: Subscription, rows: Iterable[Subscription]) -> None:
    for row in rows:
        if row.queue == new.queue and row.group and row.group != new.group:
            raise ConfigurationError(
                f"queue {row.queue} gets {row.topic} for group {row.group}; group {new.group} needs a queue of its "
                "own, or the two compete for one copy"
            )


def remark_on_doubles(groups: Iterable[Group]) -> None:
    """Say in the log where one function gets every event twice: as a member of two groups."""
    seen: dict[tuple[str, object], str] = {}
    for group in groups:
        for name, handler in group.handlers.items():
            if handler.kind.kind != "event":
                continue
            other = seen.setdefault((name, handler.function), group.name)
            if other != group.name:
                _log.warning(
                    "%s handles %s for the groups %s and %s: it is called twice for each message",
                    *(getattr(handler.function, "__qualname__", handler.function), name, other, group.name),
                )


def _remark(rows: Sequence[Subscription], wanted: Sequence[Subscription]) -> None:
    """Say in the log what is allowed and probably not meant."""
    listed = {row.name: row for row in rows}
    for row in wanted:
        old = listed.get(row.name)
        if old is not None:
            if old.state != "active":
                _log.warning(
                    "group %s is %s for %s since %s changed it: it gets no new messages",
                    *(row.group, old.state, row.topic, old.changed_by),
                )
            continue
        for other in (*rows, *wanted):
            if other.topic == row.topic and other.group != row.group and _alike(other.group, row.group):
                _log.warning(
                    "group %s subscribes to %s beside %s: each gets a copy of every message. Instances that are to "
                    "share the work must have the same group",
                    *(row.group, row.topic, other.group),
                )


# Of containers and pods: a hash, a UUID. A word of letters from a to f is none, and neither is a year.
_CONTAINER_ID: Final = re.compile(r"(?<![a-z0-9])(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{8,64}(?![a-z0-9])")

_NUMBER_MIN: Final = 100
"""A smaller process number, as in a container, is too likely to be a number of something else."""


def remark_on_one_process(groups: Iterable[Group]) -> None:
    """Say in the log which groups are named after one process: each run of the program would make another."""
    host, process = runtime.machine()
    for group in groups:
        why = _sign_of_one_process(group.name.partition("/")[2].casefold(), host.casefold(), process)
        if why is not None and any(handler.kind.kind == "event" for handler in group.handlers.values()):
            _log.warning(
                "group %s has %s in its name: each process would be a group of its own and get a copy of every "
                "message, and its queue stays and fills up when the process is gone. Processes that are to share the "
                "work must have the same group",
                *(group.name, why),
            )


def _sign_of_one_process(group: str, host: str, process: int) -> str | None:
    parts = re.sub(r"[^a-z0-9]+", "-", group)
    short_host = re.sub(r"[^a-z0-9]+", "-", host.partition(".")[0]).strip("-")
    if short_host not in _NO_NAMES and f"-{short_host}-" in f"-{parts}-":
        return "the name of this machine"
    if process >= _NUMBER_MIN and str(process) in parts.split("-"):
        return "this process's number"
    return "an id such as containers have" if _CONTAINER_ID.search(parts) else None


def _alike(one: str, other: str) -> bool:
    """Whether two names look like one name with a number, a host or another spelling: "billing", "Billing-2"."""
    return _letters(one) == _letters(other)


def _letters(group: str) -> str:
    return re.sub(r"[^a-z/]", "", group.casefold())
