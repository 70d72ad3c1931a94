"""From a script that breaks something to the smallest one found that breaks the same thing.

First it is tried whether one fault is enough. Then all faults of a kind are left out, then halves, quarters and so on
down to single entries (ddmin: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).
Since a site that is not named is calm, no entry depends on another's presence for its meaning.

Leaving out comes to an end where several entries only together bring about the one moment that matters: a call that is
late, so that another node is first, so that a crash falls into the right place. Then plain faults are tried in place of
all of them: what could come up in a calm world (`plain_faults`). Last the answers that are left are made simple.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Final

from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import SITES, NetFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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
_FEW: Final = 2
"""So many are told in as many lines, unless one of them only shifts what comes first."""

_INSTEAD_MAX: Final = 200
_INSTEAD_OF_FEW_MAX: Final = 60
_NEAR_MAX: Final = 16


class Shrinker:
    """Shrinks one script.

    Args:
        fails: whether a script still breaks the same thing: what of it came up; None if it does not.
        instead: faults that may be tried in place of those that are left, the likeliest first.
        runs_max: how many scripts are tried at most.

    Attributes:
        runs: how many were tried.
    """

    def __init__(
        self,
        fails: Callable[[Script], Script | None],
        *,
        instead: Callable[[Sequence[Entry]], Iterable[Entry]] = lambda _: (),
        runs_max: int = RUNS_MAX,
    ) -> None:
        self._fails = fails
        self._instead = instead
        self._runs_max = runs_max
        self._known: dict[Script, Script | None] = {}
        self.runs = 0

    def shrink(self, script: Script) -> Script:
        """Find a smaller one; the script itself if there is none."""
        entries = self._alone(list(script))
        if len(entries) > 1:
            entries = self._without_groups(entries)
            entries = self._without_parts(entries)
            entries = self._replaced(entries)
        entries = self._with_simple_answers(entries)
        if len(entries) > 1:
            entries = self._without_parts(entries)
        return Script(entries)

    def _alone(self, entries: list[Entry]) -> list[Entry]:
        """Find one fault that does it alone; all of them if there is none, or it is none of those that can."""
        if self._breaks([]) is not None:
            return []
        for entry in entries:
            if entry[0] in STRONG and (left := self._breaks([entry])) is not None:
                return left
        return entries

    def _without_groups(self, entries: list[Entry]) -> list[Entry]:
        """Leave out all of one kind, largest first: families, sites, sites at one place."""
        for kind_of in _KINDS:
            kinds = Counter(map(kind_of, entries))
            for kind in sorted(kinds, key=lambda kind: (-kinds[kind], kind)):
                rest = [entry for entry in entries if kind_of(entry) != kind]
                if len(rest) < len(entries) - 1 and (left := self._breaks(rest)) is not None:
                    entries = left
        return entries

    def _without_parts(self, entries: list[Entry]) -> list[Entry]:
        """Leave out neighbours, then fewer of them, then single ones; and once more as long as that helps."""
        size = len(entries) // 2
        while size:
            before, start = len(entries), 0
            while start < len(entries):
                left = self._breaks(entries[:start] + entries[start + size :])
                if left is not None:
                    entries = left
                else:
                    start += size
            if size > 1 or len(entries) == before:
                size //= 2
        return entries

    def _replaced(self, entries: list[Entry]) -> list[Entry]:
        """Say with one fault what several say that must meet at one moment."""
        if len(entries) <= _FEW and all(site in STRONG for site, *_ in entries):
            return entries
        most = _INSTEAD_MAX if len(entries) > _FEW else _INSTEAD_OF_FEW_MAX
        for entry in islice(self._instead(entries), most):
            left = self._breaks([entry])
            if left is not None:
                return left
        return entries

    def _with_simple_answers(self, entries: list[Entry]) -> list[Entry]:
        for index, (site, key, answer) in enumerate(entries):
            about = SITES[site]
            for simpler in (about.simple, about.low, answer // 2):
                if simpler < about.low or simpler == answer:
                    continue
                changed = [*entries[:index], (site, key, simpler), *entries[index + 1 :]]
                if self._breaks(changed) is not None:
                    entries = changed
                    break
        return entries

    def _breaks(self, entries: list[Entry]) -> list[Entry] | None:
        """Which of some entries come up, if what they do breaks the same thing; None if not."""
        script = Script(entries)
        if script not in self._known:
            if self.runs >= self._runs_max:
                return None
            self.runs += 1
            self._known[script] = self._fails(script)
        fired = self._known[script]
        return None if fired is None else [entry for entry in entries if fired.answer(*entry[:2]) is not None]


def plain_faults(asked: Iterable[tuple[str, Key]], like: Iterable[Entry] = ()) -> Iterator[Entry]:
    """Faults that are easily understood, at sites and keys that come up in a calm world, the likeliest to matter first.

    First those of the kind and at the place of a fault that is known to matter: without all the others, its moment may
    be another. Then one of each kind at each place, and only then a second: a program does the same again and again.
    """
    places: dict[tuple[str | int, ...], list[Entry]] = {}
    known = list(asked)
    for site, answer in _PLAIN:
        for one, key in known:
            if one == site:
                places.setdefault((site, answer, *_place(site, key)), []).append((site, key, answer))
    for site, key, answer in like:
        place = _place(site, key)
        plain = answer if (site, answer) in _PLAIN else SITES[site].simple
        alike = places.get((site, plain, *place), ())
        yield from sorted(alike, key=lambda fault: _distance(fault[1], key, len(place)))[:_NEAR_MAX]
    spread = [[faults[index] for index in _spread(len(faults))] for faults in places.values()]
    for faults in zip_longest(*spread):
        yield from filter(None, faults)


def _place(site: str, key: Key) -> Key:
    """Where it is: a queue; or a node and what it calls, or what happens there. Numbers follow in the key."""
    return key[: 1 if SITES[site].family == "engine" else 2]


def _distance(one: Key, other: Key, begin: int) -> int:
    return abs(int(one[begin]) - int(other[begin]))


_PLAIN: Final = (
    ("recv.dup", 1),
    ("node.crash_on", 0),
    ("net", NetFault.LOST_ANSWER),
    ("net", NetFault.LOST_REQUEST),
    ("node.pause", SITES["node.pause"].simple),
    ("net", NetFault.TIMEOUT),
    ("net.outage", SITES["net.outage"].simple),
    ("delete.zombie", SITES["delete.zombie"].simple),
    ("send.lag", SITES["send.lag"].simple),
)


def _spread(count: int) -> Iterator[int]:
    """All indices below a count: the first, the one in the middle, those in the middle between these, and so on."""
    yield from range(min(count, 1))
    step = 1 << count.bit_length()
    while step > 1:
        yield from range(step // 2, count, step)
        step //= 2
