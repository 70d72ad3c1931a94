"""What can go wrong with a simulated run itself, as opposed to what the run finds.

SimulationError
├── SimulationEscapeError     the program asked for something that is not simulated: a socket, a thread, a process
├── DeadlockError             nothing can ever happen again, and the program has not ended
├── LivelockError             the program is busy without end at one instant
└── NondeterminismError       two runs of one seed differ: something outside the simulation decides
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from busframe.errors import BusframeError

if TYPE_CHECKING:
    from collections.abc import Sequence


class SimulationError(BusframeError):
    """The simulation cannot go on."""


class SimulationEscapeError(SimulationError):
    """The program asked for something that virtual time cannot reach.

    Args:
        what: the call, as it is written.
        instead: what to do.
        place: where the program asked for it, as `function (file:line)`; empty if nothing tells.
    """

    def __init__(self, what: str, instead: str, *, place: str = "") -> None:
        super().__init__(f"{what} is not simulated: {instead}{f'; asked for in {place}' if place else ''}")
        self.what = what
        self.place = place


class DeadlockError(SimulationError):
    """Every task waits for another.

    Attributes:
        at_s: when, in virtual seconds since the start.
        waiting: a line for each task: its name and where it waits.
    """

    def __init__(self, at_s: float, waiting: Sequence[str]) -> None:
        lines = "\n".join(f"  {line}" for line in waiting)
        super().__init__(f"at t={at_s:.6f} every task waits, and no timer is set:\n{lines}")
        self.at_s = at_s
        self.waiting = tuple(waiting)


class LivelockError(SimulationError):
    """Tasks go on and on without any time passing.

    Attributes:
        at_s: when, in virtual seconds since the start.
        waiting: a line for each task: its name and where it is.
    """

    def __init__(self, at_s: float, steps: int, waiting: Sequence[str]) -> None:
        lines = "\n".join(f"  {line}" for line in waiting)
        super().__init__(f"{steps} steps at t={at_s:.6f}, and no time passes:\n{lines}")
        self.at_s = at_s
        self.waiting = tuple(waiting)


class SeveredError(BaseException):
    """Ends a program on a node that was killed, wherever it reaches for the world. No `except Exception` sees it."""


class NondeterminismError(SimulationError):
    """The same seed, run twice, went two ways."""
