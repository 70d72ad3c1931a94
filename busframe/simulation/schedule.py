"""The order in which tasks that are ready take their steps, and the trace of the steps that were taken.

The canonical order is that of the tasks' birth. A schedule deviates from it where its chooser says so: whenever a
task's turn comes while others are ready behind it, the chooser is asked at the site `sched` under the key (birth of the
task, how often it was asked about so) and may answer how far behind the one is that goes first instead. So a schedule
is sparse, like every script: what is not named keeps its canonical order, on every event loop, Python and hash seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[str, tuple[str | int, ...]], int | None]

T = TypeVar("T")

SITE: Final = "sched"


class Schedule:
    """Decides who goes first.

    Args:
        ask: a chooser's `ask`; None keeps the canonical order.
    """

    __slots__ = ("_ask", "_contested")

    def __init__(self, ask: Ask | None = None) -> None:
        self._ask = ask
        self._contested: dict[int, int] = {}

    def arrange(self, ready: list[T], birth: Callable[[T], int]) -> None:
        """Put tasks that are ready into the order in which they go.

        Args:
            ready: in canonical order.
            birth: a task's number.
        """
        if self._ask is None:
            return
        for place in range(len(ready) - 1):
            label = birth(ready[place])
            nth = self._contested[label] = self._contested.get(label, 0) + 1
            behind = self._ask(SITE, (label, nth))
            if behind is not None and behind > 0:
                ready.insert(place, ready.pop(min(place + behind, len(ready) - 1)))


class Trace:
    """What happened, step by step, as a number that two equal runs share; and the steps themselves where asked for.

    Args:
        keep: keep the steps, to say where two runs first differ.
    """

    __slots__ = ("_crc", "count", "steps")

    def __init__(self, *, keep: bool = False) -> None:
        self._crc = 0
        self.count = 0
        self.steps: list[tuple[int, str]] | None = [] if keep else None

    def note(self, at_us: int, what: str) -> None:
        """Add a step."""
        self.count += 1
        self._crc = crc32(b"%d %s" % (at_us, what.encode()), self._crc)
        if self.steps is not None:
            self.steps.append((at_us, what))

    @property
    def digest(self) -> int:
        """The number."""
        return self._crc

    def difference(self, other: Trace) -> str | None:
        """Where this run and another first differ; None if they do not, or the steps were not kept."""
        mine, theirs = self.steps or [], other.steps or []
        for index, (one, two) in enumerate(zip(mine, theirs, strict=False)):
            if one != two:
                return f"step {index + 1}: {_say(one)} in one run, {_say(two)} in the other"
        if len(mine) != len(theirs):
            longer = mine if len(mine) > len(theirs) else theirs
            index = min(len(mine), len(theirs))
            return f"step {index + 1}: {_say(longer[index])} in one run, the end in the other"
        return None


def _say(step: tuple[int, str]) -> str:
    at_us, what = step
    return f"t={at_us / 1e6:.6f} {what}"
