"""Programs in virtual time, against everything a broker is allowed to do: every step follows from a seed.

simulate, sim, verdicts          what a test uses: many runs; what a scenario is handed; checks
hazards, unread                  what is dangerous although nothing has gone wrong
trying, shrinking, reporting     one run; the smallest script that fails; the report
replaying, options               a failure once more; what a test run says of all simulations
world, nodes, edge, record       the shared broker; programs that die; lost calls; what happened
running                          one program in virtual time
asyncio_loop, trio_schedule      the two event loops
greenlets, boto                  code that blocks; boto3
schedule, places, sealing        who goes first; where a task waits; what is exchanged and refused meanwhile
errors                           what can go wrong with the simulation itself
"""

from busframe.simulation.configured import simulated
from busframe.simulation.errors import (
    DeadlockError,
    LivelockError,
    NondeterminismError,
    SimulationError,
    SimulationEscapeError,
)
from busframe.simulation.replaying import replay
from busframe.simulation.sim import Sim
from busframe.simulation.simulate import SimulationFailedError, Summary, simulate
from busframe.simulation.verdicts import (
    DEFAULT_CHECKS,
    Check,
    Outcome,
    Violation,
    at_least_once,
    convergence,
    exactly_once,
    no_phantom,
    nothing_left,
    per_key_order,
)

__all__ = [
    "DEFAULT_CHECKS",
    "Check",
    "DeadlockError",
    "LivelockError",
    "NondeterminismError",
    "Outcome",
    "Sim",
    "SimulationError",
    "SimulationEscapeError",
    "SimulationFailedError",
    "Summary",
    "Violation",
    "at_least_once",
    "convergence",
    "exactly_once",
    "no_phantom",
    "nothing_left",
    "per_key_order",
    "replay",
    "simulate",
    "simulated",
]
