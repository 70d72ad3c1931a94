"""One history on two engines: one runs through, the other is ended and put back from its records now and then."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from emulator_data.shelf import Shelf
from engine.asking import time_after
from engine.histories import Pass, random_history
from engine.solo import Solo
from engine.world import us

from busframe_emulator.engine import Engine, Ids
from busframe_emulator.engine.changes import Changes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random  # noqa: TID251 - seeded, and the seed stands in the failure

    from engine.histories import History, Step

    from busframe_emulator.engine.events import Event
    from busframe_emulator.engine.records import Saved

_WAITER: Final = re.compile(r"Parked\(waiter=\d+\)")


class Kept(Solo):
    """An engine whose changes are put on a shelf, as seldom as the test likes."""

    def __init__(self, history: History) -> None:
        self.changes = Changes()
        self.shelf = Shelf()
        self._limits = history.limits
        super().__init__(history.plans, changes=self.changes, limits=history.limits)

    def keep(self) -> None:
        """Put on the shelf what changed since the last time."""
        self.shelf.apply(self.changes.take())

    def put_back(self) -> None:
        """Go on with a new engine, made of what is on the shelf."""
        self.changes = Changes()
        self.engine = self.make_engine(self.shelf.saved())
        self.engine.advance(self.now_us)

    def make_engine(self, saved: Saved) -> Engine:
        return Engine(ids=Ids(1), limits=self._limits, sink=self.events.append, changes=self.changes, saved=saved)


class Twins:
    """The two, and what they said since it was last compared."""

    def __init__(self, history: History, kept: Kept) -> None:
        self.whole = Solo(history.plans, limits=history.limits)
        self.kept = kept

    def take(self, step: Step) -> None:
        if isinstance(step, Pass):
            # Both to the same time: what an engine looks at next may be something that is gone by then.
            to_us = time_after(self.whole.now_us, step.for_us, self.whole.engine.next_due())
            step = Pass(to_us - self.whole.now_us)
        self.whole.take(step)
        self.kept.take(step)
        self.compare(step)

    def end_and_put_back(self) -> None:
        self.whole.leave()
        self.kept.leave()
        self.kept.keep()
        self.kept.put_back()

    def compare(self, what: object) -> None:
        assert self._said(self.kept) == self._said(self.whole), what
        assert _told(self.kept.events) == _told(self.whole.events), what
        assert self.kept.counts() == self.whole.counts(), what
        for solo in (self.kept, self.whole):
            solo.replies.clear()
            solo.events.clear()

    @staticmethod
    def _said(solo: Solo) -> list[str]:
        return [_WAITER.sub("Parked", reply) for reply in solo.replies]


def _told(events: Sequence[Event]) -> list[Event]:
    """Events in an order of ours: of two things that are due at one instant nobody says which comes first.

    So a message that grows too old as it becomes visible may have become visible, or not. And receives that wait are
    numbered anew in an engine that was put back.
    """
    expired = {(event.queue, event.message, event.at_us) for event in events if event.kind == "expired"}
    told = [
        event._replace(delivery=0) if event.kind in {"waiting", "wait_ended"} else event
        for event in events
        if event.kind != "visible" or (event.queue, event.message, event.at_us) not in expired
    ]
    return sorted(told, key=repr)


def run_twins(seed: int, length: int, chance: Random, make: Callable[[History], Kept] = Kept) -> None:
    """Run a random history with random ends in it, then let a day go by."""
    history = random_history(seed, length)
    twins = Twins(history, make(history))
    twins.compare("setting up")
    for number, step in enumerate(history.steps):
        twins.take(step)
        if chance.random() < 0.3:
            twins.kept.keep()
        if chance.random() < 0.05:
            twins.end_and_put_back()
            twins.compare(f"put back after step {number} of {seed}: {step}")
    for solo in (twins.whole, twins.kept):
        solo.now_us += us(86_400)
        solo.engine.advance(solo.now_us)
    twins.compare("a day later")
