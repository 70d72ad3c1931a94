"""Choosers, scripts and profiles: keyed chance, replay, budgets, the written form."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busframe_emulator.delivery.chooser import CALM
from busframe_emulator.delivery.choosers import Guarded, Layered, Random, Recording, Scripted
from busframe_emulator.delivery.profiles import HOSTILE, PROFILES, REALISTIC, SWARM, Profile
from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import SITES

if TYPE_CHECKING:
    from busframe_emulator.delivery.chooser import Chooser, Key

QUESTIONS: list[tuple[str, Key]] = [(site, ("orders", nth, 1)) for site in SITES for nth in range(1, 60)]


def answers(chooser: Chooser) -> list[int | None]:
    return [chooser.ask(site, key) for site, key in QUESTIONS]


def always(answer: int | None) -> Chooser:
    class Always:
        def ask(self, site: str, key: Key) -> int | None:  # noqa: ARG002 - whatever is asked
            return answer

    return Always()


def test_the_same_seed_gives_the_same_answers_in_whatever_order_it_is_asked() -> None:
    first, second = Random(HOSTILE.odds, 7), Random(HOSTILE.odds, 7)
    forward = answers(first)
    backward = [second.ask(site, key) for site, key in reversed(QUESTIONS)]
    assert forward == backward[::-1]
    assert forward != answers(Random(HOSTILE.odds, 8))


def test_chance_keeps_the_odds_and_the_range_of_each_site() -> None:
    chooser = Random({"recv.fewer": 0.5, "recv.pick": 1.0}, 1)
    fewer = [chooser.ask("recv.fewer", ("orders", nth)) for nth in range(2_000)]
    given_fewer = [answer for answer in fewer if answer is not None]
    assert 900 < len(given_fewer) < 1_100
    assert set(given_fewer) == set(range(1, 10))
    picks = [chooser.ask("recv.pick", ("orders", nth, 0)) or 0 for nth in range(2_000)]
    assert sum(pick <= 3 for pick in picks) > sum(pick > 6 for pick in picks)
    assert chooser.ask("recv.dup", ("orders", 1, 1)) is None


def test_the_sites_of_one_call_are_decided_apart() -> None:
    sites = ("net", "net.request", "net.answer", "node.pause")
    chooser = Random(dict.fromkeys(sites, 0.5), 1)
    keys = [("worker", "send", nth) for nth in range(2_000)]
    drawn = [[chooser.ask(site, key) is not None for site in sites] for key in keys]
    for one, other in combinations(range(len(sites)), 2):
        assert 900 < sum(answers[one] == answers[other] for answers in drawn) < 1_100


def test_what_was_recorded_replays_to_the_same_answers() -> None:
    recording = Recording(Guarded(Random(HOSTILE.odds, 3)))
    first = answers(recording)
    assert first == answers(Scripted(recording.fired))
    assert len(recording.fired) == sum(answer is not None for answer in first)


def test_leaving_one_answer_out_leaves_all_others_as_they_were() -> None:
    recording = Recording(Random(HOSTILE.odds, 3))
    first = answers(recording)
    entry = list(recording.fired)[5]
    second = answers(Scripted(recording.fired.without([entry])))
    assert [(a, b) for a, b in zip(first, second, strict=True) if a != b] == [(entry[2], None)]


def test_a_script_goes_before_chance() -> None:
    chooser = Layered(Scripted(Script([("recv.dup", ("orders", 1, 1), 5)])), always(9))
    assert chooser.ask("recv.dup", ("orders", 1, 1)) == 5
    assert chooser.ask("recv.dup", ("orders", 2, 1)) == 9


def test_a_script_tells_what_never_came_up() -> None:
    entries: list[tuple[str, Key, int]] = [("recv.dup", ("orders", 1, 1), 1), ("net", ("api", "send", 9), 1)]
    scripted = Scripted(Script(entries))
    scripted.ask("recv.dup", ("orders", 1, 1))
    assert list(scripted.unused) == [entries[1]]


@pytest.mark.parametrize(
    ("site", "keys", "granted"),
    [
        ("recv.dup", [("q", 1, delivery) for delivery in range(9)], 2),
        ("delete.zombie", [("q", 1, delivery) for delivery in range(9)], 1),
        ("recv.dup", [("q", message, 1) for message in range(9)], 9),
    ],
)
def test_a_message_comes_again_a_bounded_number_of_times(site: str, keys: list[Key], granted: int) -> None:
    guarded = Guarded(always(1))
    assert sum(guarded.ask(site, key) is not None for key in keys) == granted


@pytest.mark.parametrize(("site", "parts", "in_a_row"), [("recv.empty", ("q",), 5), ("net", ("api", "send"), 4)])
def test_not_every_call_fails(site: str, parts: tuple[str, ...], in_a_row: int) -> None:
    guarded = Guarded(always(1))
    granted = [guarded.ask(site, (*parts, nth)) is not None for nth in range(3 * (in_a_row + 1))]
    assert granted == ([True] * in_a_row + [False]) * 3
    assert guarded.ask(site, ("other", "other", 1)) == 1


def test_a_profile_refuses_odds_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"recv\.dupe"):
        HOSTILE.but({"recv.dupe": 0.1})
    with pytest.raises(ValueError, match=r"1\.5"):
        HOSTILE.but({"recv.dup": 1.5})
    assert HOSTILE.but({"recv.dup": 0}).odds["recv.dup"] == 0
    assert HOSTILE.odds["recv.dup"] > 0


def test_a_swarm_leaves_about_half_of_the_sites_calm_and_other_ones_in_each_run() -> None:
    calm = [sum(not odds for odds in SWARM.for_seed(seed).values()) for seed in range(100)]
    assert 0.4 < sum(calm) / len(calm) / len(SWARM.odds) < 0.6
    assert SWARM.for_seed(1) != SWARM.for_seed(2)
    assert SWARM.for_seed(1) == SWARM.for_seed(1)


def test_the_profiles_grow_more_hostile() -> None:
    assert set(PROFILES) == {"calm", "realistic", "hostile", "swarm"}
    assert answers(Random(PROFILES["calm"].for_seed(1), 1)) == answers(CALM)
    asked = [sum(a is not None for a in answers(Random(p.odds, 1))) for p in (REALISTIC, HOSTILE)]
    assert asked[0] < asked[1]
    assert isinstance(REALISTIC, Profile)


keys = st.lists(st.one_of(st.text(max_size=5), st.integers(0, 99)), min_size=1, max_size=3).map(tuple)
entries_of_scripts = st.lists(st.tuples(st.sampled_from(sorted(SITES)), keys, st.integers(0, 10**7)), max_size=8)


@given(entries_of_scripts)
def test_a_script_survives_being_written(entries: list[tuple[str, Any, int]]) -> None:
    script = Script(entries)
    assert Script.from_data(json.loads(json.dumps(script.to_data()))) == script


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "object"),
        ({"format": 2, "script": []}, "format 2"),
        ({"format": 1, "script": [["recv.dup", "orders", 1]]}, "entry 0"),
        ({"format": 1, "script": [["recv.dup", ["orders", 1, 1], True]]}, "entry 0"),
        ({"format": 1, "script": [["recv.dup", ["orders", 1.5], 1]]}, "entry 0"),
        ({"format": 1, "script": [["recv.dupe", ["orders", 1, 1], 1]]}, "no such site"),
    ],
)
def test_what_is_no_script_is_refused(data: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Script.from_data(data)
