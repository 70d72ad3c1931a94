"""The sites at which something may be chosen, with the range of answers and the odds that a profile gives.

What each of the engine's sites means stands in `chooser`. Besides these there are the sites of the client's edge and of
the simulation:

| site          | key                       | answer (None: calm)                                                    |
|---------------|---------------------------|------------------------------------------------------------------------|
| net           | node, operation, nth call | a `NetFault`: how the call fails                                       |
| net.outage    | node, operation, nth call | microseconds for which such calls of the broker fail, from this one on |
| net.request   | node, operation, nth call | microseconds until the request arrives                                 |
| net.answer    | node, operation, nth call | microseconds until the answer arrives                                  |
| batch.partial | node, nth batch, entry    | any: this entry of a batch fails, with nothing done                    |
| node.crash    | node, incarnation         | microseconds after its start at which a node is killed                 |
| node.stop     | node, incarnation         | microseconds after its start at which a node is stopped                |
| node.crash_on | node, event, nth          | microseconds after the nth event of this kind at which it is killed    |
| node.stop_on  | node, event, nth          | the same, and it is stopped                                            |
| node.restart  | node, incarnation         | microseconds until it is started again                                 |
| node.pause    | node, operation, nth call | microseconds for which the node's calls stand still, from this one on  |
| sched         | task, nth contested turn  | how far behind the task is that goes first instead                     |
| app           | label, nth                | any: the application's own choice (`buggify`) is taken                 |

Chance never kills a node on an event: only scripts do (`triggers`).

An answer is a whole number, so that a script is plain data and a shrinking answer gets smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MS: Final = 1_000
_S: Final = 1_000_000


class NetFault(IntEnum):
    """How a call fails on its way. The simplest to understand come first."""

    LOST_ANSWER = 1
    """The call takes effect, and the caller sees a broken connection."""
    LOST_REQUEST = 2
    """The caller sees a broken connection, and nothing happened."""
    THROTTLED = 3
    """Refused: too many requests."""
    UNAVAILABLE = 4
    """The service answers that it failed; nothing happened."""
    TIMEOUT = 5
    """The call takes effect, and the caller learns nothing for as long as it is ready to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site.

    Attributes:
        family: what is dropped or kept together when a script shrinks: "engine", "net", "nodes", "sched", "app".
        low, high: the range from which an answer is drawn. A script may hold any number: who asks clamps it.
        simple: the answer that is easiest to read; shrinking tries it first.
        squared: small answers are drawn more often.
    """

    family: str
    low: int = 1
    high: int = 1
    simple: int = 1
    squared: bool = False


SITES: Final[Mapping[str, Site]] = {
    "send.lag": Site(family="engine", high=2 * _S, simple=_S),
    "recv.overlimit": Site(family="engine"),
    "recv.empty": Site(family="engine"),
    "recv.fewer": Site(family="engine", high=9),
    "recv.pick": Site(family="engine", high=9, squared=True),
    "recv.dup": Site(family="engine"),
    "delete.zombie": Site(family="engine", high=60 * _S, simple=_S, squared=True),
    "delete.stale": Site(family="engine"),
    "counts.stale": Site(family="engine", high=60 * _S, simple=_S),
    "attr.lag": Site(family="engine", high=60 * _S, simple=_S),
    "purge.lag": Site(family="engine", high=60 * _S, simple=_S),
    "purge.reach": Site(family="engine"),
    "queue.lag": Site(family="engine", high=_S, simple=_S),
    "net": Site(family="net", high=max(NetFault)),
    "net.outage": Site(family="net", low=_S, high=10 * _S, simple=10 * _S),
    "net.request": Site(family="net", low=_MS, high=50 * _MS, simple=10 * _MS),
    "net.answer": Site(family="net", low=_MS, high=50 * _MS, simple=10 * _MS),
    "batch.partial": Site(family="net"),
    "node.crash": Site(family="nodes", high=10 * _S, simple=_S, squared=True),
    "node.stop": Site(family="nodes", high=10 * _S, simple=_S, squared=True),
    "node.crash_on": Site(family="nodes", low=0, high=10 * _S, simple=0),
    "node.stop_on": Site(family="nodes", low=0, high=10 * _S, simple=0),
    "node.restart": Site(family="nodes", low=_S // 2, high=5 * _S, simple=_S),
    "node.pause": Site(family="nodes", low=_S, high=90 * _S, simple=40 * _S),
    "sched": Site(family="sched", high=4, squared=True),
    "app": Site(family="app"),
}
"""By name. The longest lags are those of Amazon's documentation; the shares of short and long ones are plausible, not
measured on AWS."""

ON_EVENTS: Final = frozenset({"node.crash_on", "node.stop_on"})
"""Sites that are asked about events, as they happen."""
