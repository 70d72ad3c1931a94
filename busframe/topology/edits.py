"""What pausing, moving, renaming and leaving mean for the rows of the recipient list. Pure: each gives an `Edit`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from busframe.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from busframe.message import QueueName
    from busframe.recipients import Edit, State, Subscription


def is_of(row: Subscription, group: str, topic: str | None) -> bool:
    """Whether a row is one of the group's, for this topic or, if None, for any."""
    return row.group == group and topic in {None, row.topic}


def with_state(group: str, topic: str | None, state: State, *, unless: Collection[State] = ()) -> Edit:
    """Give a group's rows a state, save those that are in one of `unless`."""

    def change(row: Subscription) -> Subscription:
        return row if row.state in unless else replace(row, state=state)

    return _each(group, topic, change)


def renamed(group: str, new: str) -> Edit:
    """Give a group's rows to a group of another name, queues and all."""

    def edit(rows: Sequence[Subscription], /) -> Sequence[Subscription]:
        if any(row.group == new for row in rows):
            raise InvalidArgumentError("new name", new, "a name that no group in the list has")
        return _each(group, None, lambda row: replace(row, group=new))(rows)

    return edit


def moved(group: str, topic: str | None, queue: QueueName) -> Edit:
    """Let a group's copies go to another queue from now on; what is on the old one is left to be drained."""

    def edit(rows: Sequence[Subscription], /) -> Sequence[Subscription]:
        moving = [row for row in rows if is_of(row, group, topic) and row.state != "draining" and row.queue != queue]
        if not moving and not any(is_of(row, group, topic) and row.queue == queue for row in rows):
            raise _not_listed(group, topic)
        if taken := [row for row in rows if row.queue == queue and row.group != group]:
            raise InvalidArgumentError("queue", queue, f"a queue of its own: this one belongs to {taken[0].group}")
        after = {row.name: row for row in rows}
        for row in moving:
            after[row.name] = replace(row, state="draining")
            # Moved back before it was drained: the row is there already.
            after[row.topic, queue] = replace(row, queue=queue)
        return list(after.values())

    return edit


def without_rows(names: Collection[tuple[str, QueueName]]) -> Edit:
    """Take out rows, whatever their state."""
    return lambda rows: [row for row in rows if row.name not in names]


def without(names: Collection[tuple[str, QueueName]]) -> Edit:
    """Take out rows that have been drained, but not one that somebody has woken up in the meantime."""

    def edit(rows: Sequence[Subscription], /) -> Sequence[Subscription]:
        return [row for row in rows if row.name not in names or row.state != "draining"]

    return edit


def _each(group: str, topic: str | None, change: Callable[[Subscription], Subscription]) -> Edit:
    def edit(rows: Sequence[Subscription], /) -> Sequence[Subscription]:
        if not any(is_of(row, group, topic) for row in rows):
            raise _not_listed(group, topic)
        return [change(row) if is_of(row, group, topic) else row for row in rows]

    return edit


def _not_listed(group: str, topic: str | None) -> ConfigurationError:
    what = f" for {topic}" if topic else ""
    return ConfigurationError(f"the recipient list has no group {group}{what}; busframe topology show lists them")
