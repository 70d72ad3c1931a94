"""The same requests at the same times bring about the same events, however often and however driven."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine.solo import Keyed, fingerprint, run_alone

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("seed", range(10))
def test_two_runs_tell_the_same_events_and_give_the_same_replies(seed: int) -> None:
    first, second = (run_alone(seed, 300, chooser=Keyed(seed)) for _ in range(2))
    assert first.events == second.events
    assert first.replies == second.replies


def test_another_hash_seed_changes_nothing() -> None:
    def run(hash_seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "engine.solo", "3", "300"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=TESTS,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert run("0") == run("12345") == fingerprint(run_alone(3, 300, chooser=Keyed(3)))


@pytest.mark.parametrize("seed", range(10))
def test_a_driver_that_comes_late_and_one_that_comes_at_each_instant_see_the_same(seed: int) -> None:
    late = run_alone(seed, 300, chooser=Keyed(seed))
    punctual = run_alone(seed, 300, chooser=Keyed(seed), tick_by_tick=True)
    assert late.events == punctual.events
    assert late.replies == punctual.replies


@pytest.mark.parametrize("seed", range(20))
def test_events_are_told_in_the_order_of_their_times(seed: int) -> None:
    times = [event.at_us for event in run_alone(seed, 300, chooser=Keyed(seed)).events]
    assert times == sorted(times)
