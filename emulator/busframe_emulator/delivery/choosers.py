"""Choosers: what answers, and what is put around it.

    Calm                            None, always (`chooser`)
    Scripted(script)                exactly what the script says
    Random(odds, seed)              by chance, each answer a function of seed, site and key alone
    Layered(first, second)          the first's answer, or else the second's
    Guarded(inner)                  the inner's, within the budgets that let a correct program make progress
    Recording(inner)                the inner's, and a script of all that were not calm
    Adversary(odds, seed, script)   all of it in one: what simulations ask many times in each run

Chance is keyed: an answer depends on no other, so leaving one out of the recording leaves all others as they were.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import ON_EVENTS, SITES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from busframe_emulator.delivery.chooser import Chooser, Key
    from busframe_emulator.delivery.triggers import Happening

_ALL: Final = 1 << 64

_RECEIVE_SITES: Final = frozenset({"recv.overlimit", "recv.empty", "recv.fewer", "recv.pick"})
"""Their keys begin with a queue and a receive, and one of them is asked before anything else is for that receive."""

_SAME_KEYS: Final = (
    ("node.pause", "net.request", "net.outage", "net", "net.answer"),
    ("recv.overlimit", "recv.empty", "recv.fewer"),
    ("delete.stale", "delete.zombie"),
    ("node.crash", "node.stop", "node.restart"),
)
"""Sites that are asked under one key, one after another: 64 bytes are drawn for all, and each has eight of its own."""

_PARTS: Final[Mapping[str, tuple[str, slice]]] = {site: (site, slice(8)) for site in SITES} | {
    site: (sites[0], slice(8 * nth, 8 * nth + 8)) for sites in _SAME_KEYS for nth, site in enumerate(sites)
}
"""What is drawn for each site, and which of its bytes."""


class _Odds(NamedTuple):
    """What chance says at one site.

    Attributes:
        below: there is an answer where what is drawn is less: both as bytes, which compare as numbers do.
        chances: as a number, of 2 ** 64.
        kind, part: see `_PARTS`.
        low, width, squared: of the answers; see `Site`.
    """

    below: bytes
    chances: int
    kind: str
    part: slice
    low: int
    width: int
    squared: bool

    @classmethod
    @lru_cache(maxsize=100)  # most runs have the same odds
    def of(cls, site: str, odds: float) -> _Odds:
        chances, about = int(odds * _ALL), SITES[site]
        below = b"\xff" * 9 if chances >= _ALL else chances.to_bytes(8, "big")
        return cls(below, chances, *_PARTS[site], about.low, about.high - about.low + 1, about.squared)


class Scripted:
    """Does what a script says, and nothing else."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._asked: set[tuple[str, Key]] = set()
        # Those not bound yet: how often what they wait for has happened, and those that wait for nothing any more.
        self._waiting: list[list[Any]] = [[late, 0] for late in script.late if late.when is not None]
        self._late = [late for late in script.late if late.when is None]
        # What the others answer, and which receive each queue is asked for.
        self._bound: dict[tuple[str, Key], int] = {}
        self._receives: dict[str | int, str | int] = {}

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        answer = self._script.answer(site, key)
        if answer is not None:
            self._asked.add((site, key))
        elif self._script.late:
            answer = self._ask_late(site, key)
        return answer

    @property
    def unused(self) -> Script:
        """What nobody has asked for yet: faults that never came up."""
        waiting = [late for late, _ in self._waiting]
        return Script((entry for entry in self._script if entry[:2] not in self._asked), self._late + waiting)

    @property
    def listens(self) -> bool:
        """Whether it wants to be told what happens, and asked what that does to nodes."""
        return bool(self._waiting) or any(site in ON_EVENTS for site, *_ in (*self._script, *self._script.late))

    def happened(self, happening: Happening) -> None:
        """Something happened that an entry may wait for."""
        for waiting in list(self._waiting):
            late, count = waiting
            if late.when.fits(happening):
                waiting[1] = count + 1
                if count + 1 == late.when.nth:
                    self._waiting.remove(waiting)
                    self._late.append(late)

    def _ask_late(self, site: str, key: Key) -> int | None:
        if site in _RECEIVE_SITES:
            self._receives[key[0]] = key[1]
        for late in self._late:
            if late.fits(site, key) and late.receive in {None, self._receives.get(key[0])}:
                self._late.remove(late)
                self._bound[site, key] = late.answer
                break
        return self._bound.get((site, key))


class Random:
    """By chance.

    Args:
        odds: by site; see `Profile.for_seed`.
        seed: of all answers.
    """

    def __init__(self, odds: Mapping[str, float], seed: int) -> None:
        self._odds = {site: _Odds.of(site, odd) for site, odd in odds.items() if odd}
        self._hash = blake2b(salt=blake2b(str(seed).encode(), digest_size=blake2b.SALT_SIZE).digest())
        # What was drawn last, and for what: the sites of one call are asked one after another.
        self._drawn = b""
        self._drawn_for: tuple[str, Key] = ("", ())

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        odds = self._odds.get(site)
        return None if odds is None else self._draw(odds, key)

    def _draw(self, odds: _Odds, key: Key) -> int | None:
        """Its eight bytes decide whether, and by how much, what."""
        below, chances, kind, part, low, width, squared = odds
        drawn_for = self._drawn_for
        if key is not drawn_for[1] or kind is not drawn_for[0]:
            self._drawn_for = kind, key
            hashed = self._hash.copy()
            hashed.update(f"{kind} {key}".encode())
            self._drawn = hashed.digest()
        drawn = self._drawn[part]
        if drawn >= below:
            return None
        number = int.from_bytes(drawn, "big")
        if squared:
            number = number * number // chances
        return low + number * width // chances


class Layered:
    """One chooser before another."""

    def __init__(self, first: Chooser, second: Chooser) -> None:
        self._first = first
        self._second = second

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        answer = self._first.ask(site, key)
        return self._second.ask(site, key) if answer is None else answer


class Guarded:
    """Keeps a chooser from what no program could live with: the fairness without which nothing need ever arrive.

    At most two extra copies and one return from the dead for each message; no more than five false empties of a queue
    in a row, four failures of one node's calls of one kind, and two outages of them in all.
    """

    COPIES_MAX: Final = 2
    ZOMBIES_MAX: Final = 1
    EMPTIES_MAX: Final = 5
    FAILURES_MAX: Final = 4
    OUTAGES_MAX: Final = 2

    def __init__(self, inner: Chooser) -> None:
        self._inner = inner
        self._spent: Counter[tuple[str | int, ...]] = Counter()

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        answer = self._inner.ask(site, key)
        if site in _BUDGETS:
            budget, parts, in_a_row = _BUDGETS[site]
            account = (site, *key[:parts])
            if answer is None:
                if in_a_row:
                    self._spent[account] = 0
            elif self._spent[account] >= budget:
                if in_a_row:
                    self._spent[account] = 0
                return None
            else:
                self._spent[account] += 1
        return answer


# Site: most answers, for how many first parts of the key, and whether only those in a row count.
_BUDGETS: Final[Mapping[str, tuple[int, int, bool]]] = {
    "recv.dup": (Guarded.COPIES_MAX, 2, False),
    "delete.zombie": (Guarded.ZOMBIES_MAX, 2, False),
    "recv.empty": (Guarded.EMPTIES_MAX, 1, True),
    "recv.overlimit": (Guarded.EMPTIES_MAX, 1, True),
    "net": (Guarded.FAILURES_MAX, 2, True),
    "net.outage": (Guarded.OUTAGES_MAX, 2, False),
    "batch.partial": (Guarded.FAILURES_MAX, 1, True),
}


class Recording:
    """Writes down every answer that was not calm."""

    def __init__(self, inner: Chooser) -> None:
        self._inner = inner
        self._fired: dict[tuple[str, Key], int] = {}

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        answer = self._inner.ask(site, key)
        if answer is not None:
            self._fired[site, key] = answer
        return answer

    @property
    def fired(self) -> Script:
        """All of them so far, in the order in which they were first given."""
        return Script((site, key, answer) for (site, key), answer in self._fired.items())


class Adversary(Random):
    """By a script, or else by chance, within budgets, recorded.

    The same as `Recording(Guarded(Layered(Scripted(script), Random(odds, seed))))`, but asked directly: a simulated
    call asks half a dozen times.

    Args:
        odds: by site; see `Profile.for_seed`.
        seed: of all answers.
        script: goes before chance.

    Attributes:
        scripted: what does as the script says; None if it says nothing.
    """

    def __init__(self, odds: Mapping[str, float], seed: int, script: Script) -> None:
        super().__init__(odds, seed)
        self.scripted = Scripted(script) if script else None
        self._spent: dict[tuple[str | int, ...], int] = {}
        self._fired: dict[tuple[str, Key], int] = {}

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        answer = None if self.scripted is None else self.scripted.ask(site, key)
        if answer is None:
            odds = self._odds.get(site)
            if odds is not None:
                answer = self._draw(odds, key)
        if answer is None:
            if self._spent and (budget := _BUDGETS.get(site)) is not None and budget[2]:
                self._spent.pop((site, *key[: budget[1]]), None)
        elif site in _BUDGETS and not self._spend(site, key):
            return None
        else:
            self._fired[site, key] = answer
        return answer

    def _spend(self, site: str, key: Key) -> bool:
        """Whether there was something left to spend."""
        most, parts, in_a_row = _BUDGETS[site]
        account = (site, *key[:parts])
        spent = self._spent.get(account, 0)
        if spent < most:
            self._spent[account] = spent + 1
        elif in_a_row:
            del self._spent[account]
        return spent < most

    @property
    def fired(self) -> Script:
        """See `Recording`."""
        return Script((site, key, answer) for (site, key), answer in self._fired.items())

    @property
    def unused(self) -> Script:
        """See `Scripted`."""
        return Script() if self.scripted is None else self.scripted.unused
