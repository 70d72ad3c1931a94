"""What a search under the hostile profile comes to, application by application: the table of README.md.

    python examples/delivery_bugs/table.py            # prints it
    python examples/delivery_bugs/table.py --write    # and writes it into README.md

Everything but the seconds is the same on every machine.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from busframe.simulation import SimulationFailedError, simulate
from busframe.simulation.running import many_runs
from busframe.simulation.trying import Setting, try_calmly, try_seed
from busframe_emulator.delivery.profiles import HOSTILE

if TYPE_CHECKING:
    from busframe.simulation.reporting import Failure
    from busframe.simulation.trying import Scenario

BUGS = (
    "non_idempotent_handler",
    "delete_before_work",
    "check_then_act",
    "slow_handler",
    "short_memory",
    "assumed_order",
    "retry_without_key",
    "swallowed_error",
    "one_receive",
)
SEEDS = 200
"""Of how many it is told how many fail."""

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"
HEAD = f"""\
| application | first seed that fails | of {SEEDS} seeds fail | deviations found | left | runs to shrink | seconds |
|---|---|---|---|---|---|---|
"""


def table() -> str:
    """All of it, as Markdown."""
    rows = [row_of(name) for name in BUGS]
    failing = failing_seeds(scenario_of("correct"))
    return f"{HEAD}{''.join(rows)}| `correct` | none | {len(failing)} | | | | |\n"


def row_of(name: str) -> str:
    """One application."""
    scenario = scenario_of(name)
    failing = failing_seeds(scenario)
    failure, seconds = shrunk(scenario, failing)
    if failure.is_calm:
        return f"| `{name}` | none is needed: fails in a calm world | {len(failing)} | 0 | 0 | 0 | |\n"
    found, left = len(failure.found.fired), len(failure.smallest.fired)
    return (
        f"| `{name}` | {failure.found.seed} | {len(failing)} | {found} | {left} | {failure.shrink_runs} "
        f"| {seconds:.2f} |\n"
    )


def scenario_of(name: str) -> Scenario:
    """The trial of an application."""
    scenario: Scenario = import_module(f"delivery_bugs.{name}").trial
    return scenario


def failing_seeds(scenario: Scenario) -> list[int]:
    """Which of the first seeds break something."""
    setting = Setting(scenario=scenario)
    with many_runs():
        calm = try_calmly(setting).outcome
        return [seed for seed in range(SEEDS) if try_seed(setting, HOSTILE, seed, calm=calm).violations]


def shrunk(scenario: Scenario, failing: list[int]) -> tuple[Failure, float]:
    """What the first of them comes to, and processor seconds for running and shrinking it."""
    begun_s = time.process_time()
    try:
        # Beyond those that were tried where none of them fails.
        simulate(scenario, seeds=failing[:1] or range(SEEDS, 10 * SEEDS), profile=HOSTILE, determinism="off")
    except SimulationFailedError as error:
        return error.failure, time.process_time() - begun_s
    raise LookupError(f"{scenario.__name__}: no seed fails")


def main() -> None:
    """Print, and write where that is asked for."""
    made = table()
    print(made, end="")
    if "--write" in sys.argv[1:]:
        before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        README.write_text(f"{before}{BEGIN}{made}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
