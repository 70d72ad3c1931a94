"""Nine applications with a bug each, and one without: what is found, how small it gets, and what is left alone.

They stand in `examples/delivery_bugs`, with the mended version of each beside it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from delivery_bugs.table import BUGS

from busframe.simulation import SimulationFailedError, simulate
from busframe_emulator.delivery.profiles import CALM_PROFILE

if TYPE_CHECKING:
    from busframe.simulation.reporting import Failure
    from busframe.simulation.running import Backend

NEEDS_NO_ADVERSARY = {"slow_handler"}
SEEDS_MAX = 400
DEVIATIONS_MAX = 5


def application(name: str) -> Any:
    return import_module(f"delivery_bugs.{name}")


def failure_of(name: str, backend: Backend = "asyncio") -> Failure:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(application(name).trial, seeds=SEEDS_MAX, backend=backend)
    return caught.value.failure


@pytest.mark.parametrize("name", BUGS)
def test_the_bug_is_found_and_shrunk_to_few_deviations(name: str) -> None:
    failure = failure_of(name)
    assert failure.is_calm == (name in NEEDS_NO_ADVERSARY)
    assert len(failure.smallest.fired) <= DEVIATIONS_MAX


@pytest.mark.parametrize("name", ["check_then_act", "delete_before_work", "one_receive"])
def test_the_bug_is_found_on_trio_as_well(name: str) -> None:
    assert len(failure_of(name, "trio").smallest.fired) <= DEVIATIONS_MAX


@pytest.mark.parametrize("name", sorted(set(BUGS) - NEEDS_NO_ADVERSARY))
def test_a_calm_world_does_not_show_it(name: str) -> None:
    assert simulate(application(name).trial, seeds=1, profile=CALM_PROFILE).deviations == 0


@pytest.mark.parametrize("name", BUGS)
def test_what_is_mended_passes(name: str) -> None:
    assert simulate(application(name).trial_mended, seeds=30).seeds == 30


@pytest.mark.parametrize("profile", ["hostile", "swarm"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_correct_application_passes(profile: str, backend: Backend) -> None:
    assert simulate(application("correct").trial, seeds=60, profile=profile, backend=backend).seeds == 60


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("profile", ["hostile", "swarm"])
def test_the_correct_application_passes_ten_thousand_times(profile: str) -> None:
    assert simulate(application("correct").trial, seeds=5_000, profile=profile).seeds == 5_000


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", BUGS)
def test_what_is_mended_passes_hundreds_of_times(name: str) -> None:
    assert simulate(application(name).trial_mended, seeds=300).seeds == 300


def test_the_table_beside_the_applications_names_all_of_them() -> None:
    # Not what it says: any change of the bus shifts the seeds. That the bugs are found, and how small, is tested above.
    table = import_module("delivery_bugs.table")
    _, _, rest = table.README.read_text(encoding="utf-8").partition(table.BEGIN)
    shown, _, _ = rest.partition(table.END)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.strip().splitlines()[2:]]
    assert [row[0].strip("`") for row in rows] == [*BUGS, "correct"]
    assert all(int(row[4]) <= DEVIATIONS_MAX for row in rows if row[4])
