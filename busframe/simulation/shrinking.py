"""From a script that breaks something to the smallest one found that breaks the same thing.

First it is tried whether one fault is enough. Then all faults of a kind are left out, then halves, quarters and so on
down to single entries (ddmin: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).
Where some are left that must meet at one moment, a plain fault of one of their calls is tried in place of all. Last the
answers that are left are made simple. Since a site that is not named is calm, no entry depends on another's presence
for its meaning.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import SITES, NetFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from busframe_emulator.delivery.chooser import Key

    Entry = tuple[str, Key, int]

RUNS_MAX: Final = 600

STRONG: Final = frozenset(
    {
        *("recv.dup", "delete.zombie", "delete.stale", "purge.reach", "net", "net.outage", "batch.partial"),
        *("node.crash", "node.crash_on", "node.stop", "node.stop_on", "node.pause", "app"),
    }
)
"""Sites whose answers lose something, double it or hold it up, and so can break a program without any other."""


_KINDS: Final[Sequence[Callable[[Entry], tuple[str, ...]]]] = (
    lambda entry: (SITES[entry[0]].family,),
    lambda entry: (entry[0],),
    lambda entry: (entry[0], str(entry[1][0])),
    lambda entry: (entry[0], *map(str, entry[1][:2])),
)
_OF_CALLS: Final = frozenset(("net.request", "net.answer", "node.pause"))


class Shrinker:
    """Shrinks one script.

    Args:
        fails: whether a script still breaks the same thing.
        runs_max: how many scripts are tried at most.

    Attributes:
        runs: how many were tried.
    """

    def __init__(self, fails: Callable[[Script], bool], *, runs_max: int = RUNS_MAX) -> None:
        self._fails = fails
        self._runs_max = runs_max
        self._known: dict[Script, bool] = {}
        self.runs = 0

    def shrink(self, script: Script) -> Script:
        """Find a smaller one; the script itself if there is none."""
        entries = self._alone(list(script))
        if len(entries) > 1:
            entries = self._without_groups(entries)
            entries = self._without_parts(entries)
            entries = self._instead(entries, script)
        entries = self._with_simple_answers(entries)
        return Script(entries)

    def _alone(self, entries: list[Entry]) -> list[Entry]:
        """Find one fault that does it alone; all of them if there is none, or it is none of those that can."""
        if self._breaks([]):
            return []
        for entry in entries:
            if entry[0] in STRONG and self._breaks([entry]):
                return [entry]
        return entries

    def _without_groups(self, entries: list[Entry]) -> list[Entry]:
        """Leave out all of one kind, largest first: families, sites, sites at one place."""
        for kind_of in _KINDS:
            kinds = Counter(map(kind_of, entries))
            for kind in sorted(kinds, key=lambda kind: (-kinds[kind], kind)):
                rest = [entry for entry in entries if kind_of(entry) != kind]
                if len(rest) < len(entries) - 1 and self._breaks(rest):
                    entries = rest
        return entries

    def _without_parts(self, entries: list[Entry]) -> list[Entry]:
        """Leave out neighbours, then fewer of them, then single ones; and once more as long as that helps."""
        size = len(entries) // 2
        while size:
            before, start = len(entries), 0
            while start < len(entries):
                rest = entries[:start] + entries[start + size :]
                if self._breaks(rest):
                    entries = rest
                else:
                    start += size
            if size > 1 or len(entries) == before:
                size //= 2
        return entries

    def _instead(self, entries: list[Entry], all_entries: Iterable[Entry]) -> list[Entry]:
        """Try to say with one lost answer what several say that must meet at one moment."""
        if len(entries) > 2:  # noqa: PLR2004 - two are told in two lines
            calls = dict.fromkeys(key for site, key, _ in (*entries, *all_entries) if site in _OF_CALLS)
            for key in calls:
                lost: Entry = ("net", key, NetFault.LOST_ANSWER)
                if self._breaks([lost]):
                    return [lost]
        return entries

    def _with_simple_answers(self, entries: list[Entry]) -> list[Entry]:
        for index, (site, key, answer) in enumerate(entries):
            about = SITES[site]
            for simpler in (about.simple, about.low, answer // 2):
                if simpler < about.low or simpler == answer:
                    continue
                changed = [*entries[:index], (site, key, simpler), *entries[index + 1 :]]
                if self._breaks(changed):
                    entries = changed
                    break
        return entries

    def _breaks(self, entries: list[Entry]) -> bool:
        script = Script(entries)
        if script not in self._known:
            if self.runs >= self._runs_max:
                return False
            self.runs += 1
            self._known[script] = self._fails(script)
        return self._known[script]
