"""The checkers at the engine's level: silent with the engine as it is, and loud with each of its mutants."""

from __future__ import annotations

import pytest
from delivery.mutants import MUTANTS
from delivery.trials import judge, run_trial

from busframe_emulator.delivery.checkers import ENGINE_CHECKS, EngineChecks
from busframe_emulator.delivery.profiles import PROFILES, REALISTIC

SEEDS_MAX = 100


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("hundred", range(2))
def test_the_engine_keeps_the_contract(profile: str, hundred: int) -> None:
    _expect_nothing(profile, range(hundred * 40, hundred * 40 + 40))


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("profile", ["realistic", "hostile", "swarm"])
@pytest.mark.parametrize("thousand", range(10))
def test_the_engine_keeps_the_contract_over_ten_thousand_seeds(profile: str, thousand: int) -> None:
    _expect_nothing(profile, range(thousand * 1_000, thousand * 1_000 + 1_000))


def _expect_nothing(profile: str, seeds: range) -> None:
    for seed in seeds:
        report = judge(run_trial(seed, PROFILES[profile]))
        assert report.findings == [], f"seed {seed}"
        assert report.events > 20


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutant_of_the_engine_is_found_within_a_hundred_seeds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, found_by = MUTANTS[name]
    patch(monkeypatch)
    for seed in range(SEEDS_MAX):
        if judge(run_trial(seed, REALISTIC)).verdicts[found_by].state == "violation":
            return
    pytest.fail(f"{found_by} was not violated in {SEEDS_MAX} seeds")


def test_there_is_a_mutant_for_every_check() -> None:
    assert {found_by for _, found_by in MUTANTS.values()} == set(ENGINE_CHECKS)
    assert len(MUTANTS) >= 15


def test_what_is_allowed_is_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS["leases_last_half_as_long"][0](monkeypatch)
    checks = EngineChecks(allow={"while_invisible"})
    for event in run_trial(0, REALISTIC).events:
        checks.event(event)
    verdict = checks.finish(0).verdicts["while_invisible"]
    assert verdict.violations > 0
    assert verdict.state == "ok"


def test_an_unknown_name_cannot_be_allowed() -> None:
    with pytest.raises(ValueError, match="there is no check 'duplicates'; there are invented, corrupted"):
        EngineChecks(allow={"duplicates"})


def test_the_report_tells_why_messages_came_again() -> None:
    notes = judge(run_trial(3, PROFILES["hostile"])).notes
    assert notes["delivered again: timed out"] > 0


def test_only_the_first_findings_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS["receives_are_counted_twice"][0](monkeypatch)
    verdict = judge(run_trial(0, REALISTIC, length=600)).verdicts["receive_count"]
    assert verdict.violations > len(verdict.findings) == 20
