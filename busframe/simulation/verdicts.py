"""What is asked of a run at its end: checks of the application, and what they found.

A check looks at what the application recorded (`Sim.accepted`, `Sim.effect`) and at what is left in the queues.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from busframe.simulation.record import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something that must not be.

    Attributes:
        check: which check found it; what shrinking keeps the same.
        text: what was found, in one line.
        key: what it is about, if that is one thing.
        entries: where it can be seen in the record.
    """

    check: str
    text: str
    key: Hashable = None
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message in a dead-letter queue.

    Attributes:
        arrived: its arrival there, in the record.
        key: of what was accepted, the first that its body names; None if it names none.
        reason: why it is there.
    """

    arrived: Entry
    key: Hashable
    reason: str


@dataclass(slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        accepted: keys of which a producer was told that they are accepted, in order.
        effects: by key, in order.
        dead: keys in dead-letter queues.
        dead_letters: how many messages are there.
        moved_unrefused: of these, by key, those that the broker moved there although no receiver ever gave them back.
        unexpected: of the dead letters, those that the scenario does not expect.
        left: messages left in queues that are no dead-letter queues.
        unrest: what else `Sim.quiesce` waited for in vain; empty if nothing.
        waiting: where the programs' tasks were when it gave up.
        states: what `Sim.state` was told.
        finished: how many nodes of a name came to the end of their programs by themselves.
        received_from: the queues that nodes asked for messages.
    """

    accepted: dict[Hashable, Entry] = field(default_factory=dict["Hashable", "Entry"])
    effects: dict[Hashable, list[Entry]] = field(default_factory=dict["Hashable", "list[Entry]"])
    dead: Counter[Hashable] = field(default_factory=Counter["Hashable"])
    dead_letters: int = 0
    moved_unrefused: Mapping[Hashable, Entry] = field(default_factory=dict["Hashable", "Entry"])
    unexpected: Sequence[DeadLetter] = ()
    left: Mapping[str, int] = field(default_factory=dict[str, int])
    unrest: str = ""
    waiting: Sequence[str] = ()
    states: dict[str, object] = field(default_factory=dict[str, object])
    finished: Counter[str] = field(default_factory=Counter[str])
    received_from: set[str] = field(default_factory=set[str])

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Outcome:
        """Gather what the application recorded."""
        outcome = cls()
        for entry in entries:
            if entry.level == "app":
                if entry.kind == "accepted":
                    outcome.accepted.setdefault(entry.key, entry)
                elif entry.kind == "effect":
                    outcome.effects.setdefault(entry.key, []).append(entry)
        return outcome


class Check(Protocol):
    """Judges a run."""

    def __call__(self, outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:
        """Find what must not be.

        Args:
            outcome: of the run.
            calm: of the same scenario in a calm world; None if this is that run.
        """
        ...


def at_least_once(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:
    """Every key that was accepted has an effect, or lies in a dead-letter queue for a reason.

    It is no reason if nobody ever gave the message back, and in a calm world it has an effect: then deliveries that
    came to nothing, by a lost answer or the death of a node, were as many as the queue allows.
    """
    for key, entry in outcome.accepted.items():
        if key in outcome.effects:
            continue
        text = f"{key!r} was accepted, and has no effect"
        entries: tuple[Entry, ...] = (entry,)
        if not outcome.effects and not (calm and calm.effects):
            text += " (nothing in this run has one: does the handler call sim.effect()?)"
        if key in outcome.dead:
            moved = outcome.moved_unrefused.get(key)
            if moved is None or calm is None or key not in calm.effects:
                continue
            text += f": it lies in a dead-letter queue, after as many deliveries as {moved.queue} allows, none refused"
            entries = (entry, moved)
        yield Violation(check="at_least_once", text=text, key=key, entries=entries)


def exactly_once(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:
    """Every key that was accepted has one effect, or lies in a dead-letter queue; no key has more than one."""
    for violation in at_least_once(outcome, calm):
        yield Violation(check="exactly_once", text=violation.text, key=violation.key, entries=violation.entries)
    for key, entries in outcome.effects.items():
        if len(entries) > 1:
            yield Violation(
                check="exactly_once",
                text=f"{key!r} has {len(entries)} effects: {_when(entries)}",
                key=key,
                entries=tuple(entries),
            )


def no_phantom(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:
    """No key has an effect that has none in a calm world: nothing is done that nobody asked for."""
    for key, entries in outcome.effects.items():
        if calm is not None and key not in calm.effects and key not in outcome.accepted:
            text = f"{key!r} has an effect, and nobody sent it"
            yield Violation(check="no_phantom", text=text, key=key, entries=tuple(entries))


def convergence(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:
    """What the scenario told by `Sim.state` is what it is in a calm world: no further specification is needed."""
    for name, state in outcome.states.items():
        if calm is not None and name in calm.states and calm.states[name] != state:
            text = f"{name} is {state!r}; in a calm world it is {calm.states[name]!r}"
            if outcome.dead_letters != calm.dead_letters:
                text += f" (dead letters: {outcome.dead_letters}; in a calm world {calm.dead_letters})"
            yield Violation(check="convergence", text=text, key=name)


def per_key_order(key_of: Callable[[Hashable], Hashable] = lambda key: key) -> Check:
    """The first effects of keys that belong together come in the order in which the keys were accepted.

    Args:
        key_of: what a key belongs to; for keys such as ("account", 3): `lambda key: key[0]`.
    """

    def check(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:  # noqa: ARG001 - a Check
        lanes: dict[Hashable, list[Hashable]] = {}
        for key in outcome.accepted:
            if key in outcome.effects:
                lanes.setdefault(key_of(key), []).append(key)
        for keys in lanes.values():
            for before, after in pairwise(keys):
                first, second = outcome.effects[before][0], outcome.effects[after][0]
                if first.at_us > second.at_us:
                    text = f"{after!r} was done before {before!r}, which was sent first"
                    yield Violation(check="per_key_order", text=text, key=before, entries=(second, first))

    return check


def nothing_left(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:  # noqa: ARG001 - a Check
    """All queues but dead-letter queues are empty once the world has been calm for long enough."""
    for queue, count in outcome.left.items():
        if count:
            text = f"{count} messages are left in {queue}"
            if outcome.waiting:
                text += "\nwhen they were given up, the programs' tasks were here:\n" + "\n".join(outcome.waiting)
            yield Violation(check="nothing_left", text=text, key=queue)
    if outcome.unrest:
        yield Violation(check="nothing_left", text=outcome.unrest)


def no_dead_letters(outcome: Outcome, calm: Outcome | None) -> Iterable[Violation]:
    """In a calm world nothing ends in a dead-letter queue unless the scenario expects it (`Sim.expect_dead_letters`).

    In any other a program may give up, as long as somebody refused the message: see `at_least_once`.
    """
    if calm is not None or not outcome.unexpected:
        return
    first, *others = outcome.unexpected
    name = f"{first.arrived.queue}#{first.arrived.message}" if first.key is None else repr(first.key)
    text = f"{name} ends in {first.arrived.queue}, in a calm world: {first.reason}"
    if others:
        text += f"; {len(others)} more"
    text += "\nif that is what should become of it, say so: sim.expect_dead_letters()"
    yield Violation(check="no_dead_letters", text=text, key=first.key, entries=(first.arrived,))


DEFAULT_CHECKS: Sequence[Check] = (nothing_left, no_dead_letters, at_least_once, no_phantom, convergence)
"""What every scenario is asked unless it says otherwise. Effects may be repeated: delivery is at least once."""


def raised_text(error: Exception) -> str:
    """What to say of a scenario that raised something."""
    return f"the scenario raised {type(error).__name__}: {error}"


def _when(entries: Sequence[Entry]) -> str:
    return ", ".join(f"t={entry.at_us / 1e6:.3f} by {entry.node or 'the scenario'}" for entry in entries)
