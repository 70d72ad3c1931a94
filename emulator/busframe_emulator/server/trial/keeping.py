"""What a trial keeps: the adversary, how often each caller did what, and the history with its checkers."""

from __future__ import annotations

from collections import Counter, deque
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from busframe_emulator.delivery.checkers import EngineChecks
from busframe_emulator.delivery.checkers.telling import as_data
from busframe_emulator.delivery.history import write_engine_history
from busframe_emulator.delivery.triggers import Happenings
from busframe_emulator.engine.settings import Limits

if TYPE_CHECKING:
    from collections.abc import Collection

    from busframe_emulator.delivery.adversary import Adversary
    from busframe_emulator.delivery.chooser import Key
    from busframe_emulator.delivery.scripts import Script
    from busframe_emulator.engine.events import Event

EVENTS_MAX: Final = 200_000
"""Kept for whoever asks for the history; the checkers have seen the others too."""


class Trial:
    """A chooser and a sink for the engine.

    Args:
        adversary: decides.
        limits: of the engine.

    Attributes:
        node: whose request is being handled.
    """

    def __init__(self, adversary: Adversary, limits: Limits | None) -> None:
        self.adversary = adversary
        self.node = ""
        self._limits = limits or Limits()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._now_us = 0
        self.reset()

    def reset(self) -> None:
        """Begin anew, with the same script."""
        self._checks = EngineChecks(limits=self._limits)
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._forgotten = 0
        self._happenings = Happenings()
        self.use(self.adversary.script)

    def use(self, script: Script) -> None:
        """Do as this script says from now on. Calls are counted from here; what the engine counts goes on."""
        self.adversary.begin_anew(script)
        self._counts.clear()

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        return self.adversary.ask_for(site, key)

    def note(self, event: Event) -> None:
        """Listen to the engine."""
        self._now_us = event.at_us
        if len(self._events) == EVENTS_MAX:
            self._forgotten += 1
        self._events.append(event)
        self._checks.event(event)
        for happening in self._happenings.of(event) if self.adversary.listens else ():
            self.adversary.happened(happening)

    def count(self, what: str) -> int:
        """Count an occasion of the node whose request is being handled, from 1."""
        self._counts[self.node, what] += 1
        return self._counts[self.node, what]

    def show_script(self) -> dict[str, Any]:
        """The script, what came up and what did not."""
        adversary = self.adversary
        return {
            "profile": adversary.profile.name,
            "seed": adversary.seed,
            **adversary.script.to_data(),
            "fired": adversary.fired.to_data()["script"],
            "unused": adversary.unused.to_data()["script"],
        }

    def history(self) -> str:
        """All events that are kept, as lines of JSON: the last `EVENTS_MAX`.

        A history without its beginning cannot be judged: of queues that were made before it says nothing.
        """
        lines = write_engine_history(self._events, self._limits)
        return "".join(f"{line}\n" for line in lines)

    def check(self, allow: Collection[str]) -> dict[str, Any]:
        """What the checkers say so far.

        Raises:
            ValueError: there is no such check.
        """
        checks = deepcopy(self._checks)  # it goes on with what it has seen
        checks.allow(allow)
        return {**as_data(checks.finish(self._now_us)), "forgotten": self._forgotten}
