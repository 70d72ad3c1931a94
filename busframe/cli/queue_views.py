"""How full queues are, as tables and as JSON; and how fast messages come and go, from two looks at them.

One look tells no rate. Two tell the change. How many came in between, and so how many went, can be told only where the
broker counts what comes (`QueueStats.arrived`): the change does not say whether a thousand came and a thousand went.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from busframe.cli.output import age, say_table
from busframe.queue_names import dead_queue, source_of_dead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe.backend import QueueStats
    from busframe.message import QueueName

COLUMNS: Final = ("queue", "visible", "in flight", "delayed", "oldest", "dead")
RATE_COLUMNS: Final = ("in/s", "out/s", "change/s", "empty in")


@dataclass(frozen=True, slots=True)
class Seen:
    """How full a queue was at some time.

    Attributes:
        at_s: on a clock that runs evenly.
        stats: None: the queue was not there.
    """

    at_s: float
    stats: QueueStats | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast messages came and went between two looks.

    Attributes:
        over_s: the time between the looks.
        in_per_s: came: sent, dead-lettered to here, sent anew. None: the broker does not count them.
        out_per_s: went, for whatever reason: handled, dead-lettered, too old, purged. None: as before.
        change_per_s: the difference of the two.
        empty_in_s: when nothing is left if it goes on like this; None: it is empty, or does not shrink.
    """

    over_s: float
    in_per_s: float | None
    out_per_s: float | None
    change_per_s: float
    empty_in_s: float | None


def rates_between(earlier: Seen | None, later: Seen) -> Rates | None:
    """The rates between two looks at a queue; None if it was not there at both, or they are one."""
    if earlier is None or earlier.stats is None or later.stats is None or later.at_s <= earlier.at_s:
        return None
    before, after, over_s = earlier.stats, later.stats, later.at_s - earlier.at_s
    left = after.total
    change = left - before.total
    came: int | None = None
    # A count that has fallen is another's: the queue was removed and made again.
    if before.arrived is not None and after.arrived is not None and after.arrived >= before.arrived:
        came = after.arrived - before.arrived
    return Rates(
        over_s=over_s,
        in_per_s=None if came is None else came / over_s,
        out_per_s=None if came is None else (came - change) / over_s,
        change_per_s=change / over_s,
        empty_in_s=left / -change * over_s if left and change < 0 else None,
    )


def as_json(seen: Mapping[QueueName, Seen], rates: Mapping[QueueName, Rates | None] | None) -> dict[str, Any]:
    """Each queue by name, null if it is missing; with its rates if any were asked for."""
    told: dict[str, Any] = {}
    for name, look in seen.items():
        told[name] = None if look.stats is None else asdict(look.stats)
        if rates is not None and look.stats is not None:
            between = rates.get(name)
            told[name]["rates"] = None if between is None else asdict(between)
    return told


def say_queues(seen: Mapping[QueueName, Seen], rates: Mapping[QueueName, Rates | None] | None, *, exact: bool) -> None:
    """Write a table. A dead-letter queue is a column of its queue's row, and a row only if its queue is not shown."""
    say_table(
        COLUMNS if rates is None else (*COLUMNS, *RATE_COLUMNS),
        [
            (
                name,
                *_numbers(seen[name].stats),
                _letters(seen, name),
                *(() if rates is None else _speeds(rates.get(name), exact=exact)),
            )
            for name in seen
            if source_of_dead(name) not in seen
        ],
    )


def _numbers(of: QueueStats | None) -> tuple[object, ...]:
    return ("missing", None, None, None) if of is None else (of.visible, of.in_flight, of.delayed, age(of.oldest_age_s))


def _letters(seen: Mapping[QueueName, Seen], name: QueueName) -> int | None:
    dead = seen.get(dead_queue(name)) if source_of_dead(name) is None else None
    return None if dead is None or dead.stats is None else dead.stats.total


def _speeds(rates: Rates | None, *, exact: bool) -> tuple[object, ...]:
    if rates is None:
        return (None, None, None, None)
    change: float | str = round(rates.change_per_s, 1)
    when = "growing" if rates.change_per_s > 0 else age(rates.empty_in_s)
    if not exact:
        change, when = f"~{change:g}", f"~{when}" if rates.empty_in_s is not None else when
    return (_speed(rates.in_per_s), _speed(rates.out_per_s), change, when)


def _speed(per_s: float | None) -> float | None:
    return None if per_s is None else round(per_s, 1)
