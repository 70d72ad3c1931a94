"""Tools for tests.

lab                     the handlers of a bus, in virtual time (docs/testing.md)
BackendConformance      the backend contract as a test suite. Needs pytest. Call
                        `pytest.register_assert_rewrite("busframe.testing.conformance")` before the first use, so that a
                        failing check shows its values
LosingCalls             makes calls of any backend fail, for the kit
Recorder                writes down what the bus asks of its broker and is told, for `busframe check`

Each is imported when it is asked for: who tests handlers needs no pytest, and who tests a backend no emulator.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from busframe.simulation.calls import Call
    from busframe.simulation.lab import DeadLetter, Lab, NotSettledError
    from busframe.simulation.lab_runs import lab
    from busframe.testing.conformance import BackendConformance, Trial
    from busframe.testing.losing import LosingCalls
    from busframe.testing.recording import Recorder

__all__ = [
    "BackendConformance",
    "Call",
    "DeadLetter",
    "Lab",
    "LosingCalls",
    "NotSettledError",
    "Recorder",
    "Trial",
    "lab",
]

_FROM: Final = {
    "BackendConformance": "busframe.testing.conformance",
    "Call": "busframe.simulation.calls",
    "DeadLetter": "busframe.simulation.lab",
    "Lab": "busframe.simulation.lab",
    "LosingCalls": "busframe.testing.losing",
    "Recorder": "busframe.testing.recording",
    "NotSettledError": "busframe.simulation.lab",
    "Trial": "busframe.testing.conformance",
    "lab": "busframe.simulation.lab_runs",
}


def __getattr__(name: str) -> object:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_FROM[name]), name)
