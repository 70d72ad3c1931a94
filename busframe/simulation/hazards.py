"""What is dangerous although nothing has gone wrong: seen in a calm world, before any adversary.

| hazard             | seen when                                                                               |
|--------------------|-----------------------------------------------------------------------------------------|
| ack_before_effect  | a delivery was acknowledged, and its effect came after that: a crash in between loses it |
| effect_after_lease | an effect came when the lease of its delivery was over: somebody else may be at it       |
| overlap            | a delivery was still being worked on when its message was delivered again                |
| no_heartbeat       | a delivery was held for more than half its lease, and the lease was not extended         |
| unchecked_batch    | entries were sent, or several settled, and nobody looked at what came of each of them    |

Warnings, not failures: each may be meant so. An effect is taken to belong to the newest delivery of its node whose body
names its key, or else to the only one that its node has in hand; where neither is to be found nothing is said of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from busframe.simulation.verdicts import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from busframe.simulation.record import Entry

_SECOND_US: Final = 1_000_000
_LOOK_BACK: Final = 100
"""How many of a node's last deliveries an effect may belong to."""


@dataclass(slots=True, eq=False)
class _Held:
    """A delivery in somebody's hands.

    Attributes:
        until_us: when its lease ends.
        given_back: the broker has it again, although its holder has not heard that yet.
        settled: how it was given up: its entry.
        again: the delivery that came after it.
    """

    received: Entry
    body: str
    until_us: int
    extended: bool = False
    given_back: bool = False
    settled: Entry | None = None
    again: Entry | None = None
    blamed: bool = False


def find_hazards(
    entries: Iterable[Entry], bodies: Mapping[tuple[str, int], str], unread: Iterable[Entry] = ()
) -> tuple[Violation, ...]:
    """Look at a calm run: the first of each kind of hazard, which says how many there are.

    Args:
        entries: the record.
        bodies: of all messages, by queue and ordinal.
        unread: batch calls whose outcomes nobody has looked at.
    """
    fold = _Fold(bodies)
    for entry in entries:
        fold.look(entry)
    for call in unread:
        fold.blame_unread(call)
    return fold.hazards()


class _Fold:
    def __init__(self, bodies: Mapping[tuple[str, int], str]) -> None:
        self._bodies = bodies
        self._until: dict[tuple[str, int, int], int] = {}
        self._newest: dict[tuple[str, int], _Held] = {}
        self._held: dict[tuple[str, int, int], _Held] = {}
        self._by_node: dict[str, list[_Held]] = {}
        self._found: dict[str, list[Violation]] = {}

    def look(self, entry: Entry) -> None:
        place = (entry.queue, entry.message, entry.delivery)
        match entry.kind:
            case "delivered":
                self._until[place] = entry.until_us
            case "received":
                self._receive(entry, place)
            case "visibility_changed" if place in self._held and entry.until_us > entry.at_us:
                self._held[place].until_us = entry.until_us
                self._held[place].extended = True
            case "visibility_changed" if place in self._held:
                self._held[place].given_back = True
            case "acknowledged" | "released" if place in self._held:
                self._settle(entry, self._held[place])
            case "effect":
                self._effect(entry)
            case _:
                pass

    def hazards(self) -> tuple[Violation, ...]:
        return tuple(
            Violation(check=first.check, text=first.text + _others(len(rest)), key=first.key, entries=first.entries)
            for first, *rest in self._found.values()
        )

    def _receive(self, entry: Entry, place: tuple[str, int, int]) -> None:
        body = self._bodies.get((entry.queue, entry.message), "")
        held = _Held(received=entry, body=body, until_us=self._until.get(place, entry.at_us))
        before = self._newest.get(place[:2])
        if before is not None and before.settled is None and not before.given_back:
            before.again = entry
        self._newest[place[:2]] = self._held[place] = held
        mine = self._by_node.setdefault(entry.node, [])
        mine.append(held)
        if len(mine) > 2 * _LOOK_BACK:
            del mine[:-_LOOK_BACK]

    def _settle(self, entry: Entry, held: _Held) -> None:
        self._blame_overlap(entry, held)
        lease_us = held.until_us - held.received.at_us
        held_us = entry.at_us - held.received.at_us
        if held.settled is None and not held.extended and held_us * 2 > lease_us > 0:
            text = (
                f"{_name(held)} was held for {_s(held_us)} of a lease of {_s(lease_us)}, and the lease was not extended"
            )
            self._find("no_heartbeat", text, entry, held)
        held.settled = entry

    def _effect(self, entry: Entry) -> None:
        held = self._delivery_of(entry)
        if held is None:
            return
        self._blame_overlap(entry, held)
        if held.settled is not None and held.settled.kind == "acknowledged":
            text = f"{_name(held)} was acknowledged at t={_s(held.settled.at_us)}, and its effect came after that"
            self._find("ack_before_effect", text, entry, held)
        elif entry.at_us >= held.until_us:
            text = f"the lease of {_name(held)} was over at t={_s(held.until_us)}, and its effect came after that"
            self._find("effect_after_lease", text, entry, held)

    def _blame_overlap(self, entry: Entry, held: _Held) -> None:
        if held.again is not None and not held.blamed:
            held.blamed = True
            text = f"{_name(held)} was still being worked on when it was delivered again, to {held.again.node}"
            self._find("overlap", text, entry, held)

    def blame_unread(self, call: Entry) -> None:
        """Entries of a batch fail one by one, and the call as a whole succeeds."""
        text = (
            f"nobody looked at what came of the {call.text} to {call.queue} (t={_s(call.at_us)}, {call.node}): an "
            "entry may fail although the call succeeds"
        )
        self._found.setdefault("unchecked_batch", []).append(
            Violation(check="unchecked_batch", text=text, entries=(call,))
        )

    def _delivery_of(self, effect: Entry) -> _Held | None:
        mine = self._by_node.get(effect.node, [])[-_LOOK_BACK:]
        word = str(effect.key)
        for held in reversed(mine):
            if word and word in held.body:
                return held
        in_hand = [held for held in mine if held.settled is None]
        return in_hand[0] if len(in_hand) == 1 else None

    def _find(self, hazard: str, text: str, entry: Entry, held: _Held) -> None:
        found = Violation(check=hazard, text=text, key=entry.key, entries=(held.received, entry))
        self._found.setdefault(hazard, []).append(found)


def _name(held: _Held) -> str:
    entry = held.received
    return f"delivery {entry.delivery} of {entry.queue}#{entry.message} (t={_s(entry.at_us)}, {entry.node})"


def _others(count: int) -> str:
    return f"; {count} more like this" if count else ""


def _s(microseconds: int) -> str:
    return f"{microseconds / _SECOND_US:g} s" if microseconds else "0 s"
