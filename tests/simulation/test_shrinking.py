"""What is left of a script that breaks something: as few faults as are found, and plain ones before tangled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation.apps import naive

from busframe.simulation.shrinking import Shrinker, plain_faults
from busframe.simulation.trying import Setting, asked_sites
from busframe_emulator.delivery.scripts import Script

if TYPE_CHECKING:
    from busframe_emulator.delivery.chooser import Key

    Entry = tuple[str, Key, int]

LATE: list[Entry] = [("net.answer", ("w", "get", nth), 9_000 + nth) for nth in range(1, 5)]
CRASH: Entry = ("node.crash", ("w", 1), 1_234_567)
CRASH_AT: Entry = ("node.crash_on", ("w", "sent", 1), 0)


def tangled(script: Script) -> Script | None:
    """Broken by five entries that must meet at one moment, and by a crash at that moment."""
    entries = list(script)
    return script if CRASH_AT in entries or {CRASH, *LATE} <= set(entries) else None


def test_what_only_several_bring_about_together_is_said_by_one_plain_fault() -> None:
    noise: list[Entry] = [("sched", (task, 1), 1) for task in range(30)]
    alone = Shrinker(tangled)
    assert set(alone.shrink(Script([*noise, CRASH, *LATE]))) == {CRASH, *LATE}
    tried: list[Entry] = [("recv.dup", ("q", 1, 1), 1), CRASH_AT]
    assert list(Shrinker(tangled, instead=lambda _: tried).shrink(Script([*noise, CRASH, *LATE]))) == [CRASH_AT]


def test_what_does_not_come_up_is_left_out() -> None:
    def fails(script: Script) -> Script | None:
        # Whoever is dead makes no calls.
        return Script([CRASH_AT]) if CRASH_AT in list(script) else None

    assert list(Shrinker(fails).shrink(Script([*LATE, CRASH_AT]))) == [CRASH_AT]


def test_no_more_scripts_are_tried_than_is_allowed() -> None:
    shrinker = Shrinker(tangled, instead=lambda _: LATE * 1_000, runs_max=40)
    assert CRASH in list(shrinker.shrink(Script([CRASH, *LATE])))
    assert shrinker.runs <= 40


def test_one_of_each_kind_of_fault_is_tried_before_a_second() -> None:
    asked: list[tuple[str, Key]] = [("recv.dup", ("q", nth, 1)) for nth in (1, 2)]
    asked += [("net", ("w", "get", nth)) for nth in (1, 2, 3)]
    order = list(plain_faults(asked))
    assert order[0] == ("recv.dup", ("q", 1, 1), 1)
    assert {(site, answer) for site, key, answer in order[:4] if key[-1] == 1} == {("recv.dup", 1)} | {
        ("net", fault) for fault in (1, 2, 5)
    }
    assert len(order) == len(set(order)) == 2 + 3 * 3


def test_faults_like_those_that_matter_are_tried_first_and_nearby_before_far_away() -> None:
    asked: list[tuple[str, Key]] = [("recv.dup", ("q", 1, 1))]
    asked += [("node.pause", ("w", "get", nth)) for nth in range(1, 100)]
    first, *others = list(plain_faults(asked, like=[("node.pause", ("w", "get", 50), 17_000_000)]))
    assert first == ("node.pause", ("w", "get", 50), 40_000_000)
    assert {key[2] for _, key, _ in others[:4]} == {48, 49, 51, 52}


def test_what_may_be_tried_is_what_comes_up_in_a_calm_world() -> None:
    sites = {(site, *key[:2]) for site, key in asked_sites(Setting(scenario=naive))}
    assert ("recv.dup", "orders", 1) in sites
    assert ("node.crash_on", "worker[0]", "effect") in sites
    assert ("net", "test", "send") in sites
