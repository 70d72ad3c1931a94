"""What the consumers of a queue have done so far, and what each of their handlers has.

Counted always, so at one addition for each thing that happens: what is told of a queue is added up when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe.group import Group

FOREIGN_HANDLER: Final = "(foreign)"
"""Stands for the handler of foreign messages where handlers are told apart by type; no type has such a name."""

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Those of the OpenTelemetry conventions for messaging, by and large, and further at both ends: handlers in memory take
less than a millisecond, and some take minutes."""


class Durations:
    """How long calls took.

    Attributes:
        buckets: how many took no longer than the bound of `BOUNDS_S` in the same place, and longer than the one before;
            the last, how many took longer than all of them.
        sum_s: all of them together.
    """

    __slots__ = ("buckets", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def note(self, duration_s: float) -> None:
        """Count one."""
        self.buckets[bisect_left(BOUNDS_S, duration_s)] += 1
        self.sum_s += duration_s

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)

    @property
    def mean_s(self) -> float | None:
        """On average; None if there were none."""
        count = self.count
        return self.sum_s / count if count else None

    def quantile_s(self, part: float) -> float | None:
        """The bound that `part` of them (0.5: half) did not exceed; None if there were none.

        As exact as the bounds are near each other; infinite if it is beyond the last of them.
        """
        count = self.count
        if not count:
            return None
        seen = 0
        for bucket, bound_s in zip(self.buckets, BOUNDS_S, strict=False):
            seen += bucket
            if seen >= part * count:
                return bound_s
        return float("inf")


@dataclass(slots=True)
class HandlerCounts:
    """What one handler in this process has done so far, and what became of its messages.

    Attributes:
        calls: begun.
        failed: of these, the ones that raised something other than `Later`, `Reject` and `Drop`, or took too long.
        handled: acknowledged after their handler returned, or raised `Drop`.
        retried: given back to come again, or kept in hand to be tried again.
        dead_lettered: moved to the dead-letter queue.
        lost: leases that ended before their message was settled.
        unsettled: the broker would not hear what became of them: they may come again.
        durations: of the calls that have ended. In a pull stream, from when the delivery could be taken.
    """

    calls: int = 0
    failed: int = 0
    handled: int = 0
    retried: int = 0
    dead_lettered: int = 0
    lost: int = 0
    unsettled: int = 0
    durations: Durations = field(default_factory=Durations)

    @property
    def running(self) -> int:
        """Calls that have not ended."""
        return self.calls - self.durations.count


class Counts:
    """What the consumers of one queue in this process have done so far.

    Attributes:
        group: `bus/group`; empty for the owner of a command.
        received: deliveries taken.
        redelivered: of these, the ones that were not the first of their message.
        handlers: the same by handler: by the name of the message type, "(foreign)" for that of foreign messages.
        unopened: the same for messages that reached no handler: of an unknown type, or not readable.
    """

    __slots__ = ("group", "handlers", "received", "redelivered", "unopened")

    def __init__(self, group: Group) -> None:
        self.group = group.name
        self.received = 0
        self.redelivered = 0
        self.handlers: dict[str, HandlerCounts] = {}
        self.unopened = HandlerCounts()
        self.by_type_on_wire(group)

    def by_type_on_wire(self, group: Group) -> Mapping[str, HandlerCounts]:
        """Those of a group's handlers, by each type they handle, aliases included; "" is for foreign messages."""
        counts = {
            name: self.handlers.setdefault(handler.kind.name, HandlerCounts())
            for name, handler in group.handlers.items()
        }
        if group.foreign is not None:
            counts[""] = self.handlers.setdefault(FOREIGN_HANDLER, HandlerCounts())
        return counts

    @property
    def handled(self) -> int:
        """Acknowledged after their handler returned, or raised `Drop`."""
        return self.unopened.handled + sum(handler.handled for handler in self.handlers.values())

    @property
    def retried(self) -> int:
        """Given back to come again."""
        return self.unopened.retried + sum(handler.retried for handler in self.handlers.values())

    @property
    def dead_lettered(self) -> int:
        """Moved to the dead-letter queue."""
        return self.unopened.dead_lettered + sum(handler.dead_lettered for handler in self.handlers.values())

    @property
    def lost(self) -> int:
        """Leases that ended before their message was settled."""
        return self.unopened.lost + sum(handler.lost for handler in self.handlers.values())

    @property
    def unsettled(self) -> int:
        """The broker would not hear what became of them: they may come again."""
        return self.unopened.unsettled + sum(handler.unsettled for handler in self.handlers.values())

    def __repr__(self) -> str:
        told = ("received", "redelivered", "handled", "retried", "dead_lettered", "lost", "unsettled")
        return f"Counts({', '.join(f'{name}={getattr(self, name)}' for name in told)})"
