"""What a program asked for that is not simulated: refused where it asks, and remembered, whatever becomes of the error.

A handler that sleeps without awaiting fails as any other handler that raises something, is tried again, and ends in a
dead-letter queue; a library wraps the error in one of its own. So what comes out does not tell, and whoever runs the
program asks here.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from busframe.simulation.errors import SimulationEscapeError
from busframe.simulation.places import is_library

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

_HERE: Final = str(Path(__file__).parent)

_heard: list[SimulationEscapeError] = []


def escape(what: str, instead: str) -> SimulationEscapeError:
    """The error to raise; it says where the program asked, and is remembered.

    Args:
        what: the call, as it is written.
        instead: what to do.
    """
    place, importing = _place(inspect.currentframe())
    if not importing:
        # Another one: that which is raised holds on to everything that is there.
        _heard.append(SimulationEscapeError(what, instead, place=place))
    return SimulationEscapeError(what, instead, place=place)


@contextmanager
def hearing() -> Generator[list[SimulationEscapeError], None, None]:
    """Gather the escapes of a run, in the order in which they were refused; only one run goes on at a time."""
    del _heard[:]
    try:
        yield _heard
    finally:
        del _heard[:]


def _place(frame: FrameType | None) -> tuple[str, bool]:
    """Where the program itself is: the innermost line that is neither a library's nor the simulation's.

    And whether a module of a library is being imported there: some try out what the machine can do, and go without.
    """
    importing = False
    while frame is not None:
        code = frame.f_code
        importing = importing or code.co_filename.startswith("<frozen importlib")
        if not is_library(code.co_filename) and not code.co_filename.startswith(_HERE):
            return f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})", importing
        frame = frame.f_back
    return "", importing
