"""The engine agrees with the reference on random histories: every reply, every waiter's answer, every count."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest
from engine.duel import DifferenceError, run
from engine.histories import (
    QUEUES,
    Cancel,
    History,
    Manage,
    Move,
    Pass,
    Put,
    QueuePlan,
    Settle,
    Stop,
    Take,
    random_history,
)
from engine.solo import Keyed
from engine.world import us
from hypothesis import given, settings
from hypothesis import strategies as st

from busframe_emulator.delivery import CALM

if TYPE_CHECKING:
    from collections.abc import Sequence


SITES: Final = (
    "send.lag",
    "recv.overlimit",
    "recv.empty",
    "recv.fewer",
    "recv.pick",
    "recv.dup",
    "delete.zombie",
    "delete.stale",
)
"""Where what is decided about a message; the sites that concern whole queues are tried elsewhere."""


class AtSites:
    """Answers at random at some sites, and calmly at all others."""

    def __init__(self, seed: int, sites: Sequence[str]) -> None:
        # It is seldom that somebody deletes by an outdated receipt.
        self._keyed = Keyed(seed, always=["delete.stale"])
        self._sites = sites
        self.answered: Counter[str] = Counter()

    def ask(self, site: str, key: tuple[str | int, ...]) -> int | None:
        answer = self._keyed.ask(site, key) if site in self._sites else None
        if answer is not None:
            self.answered[site] += 1
        return answer


def check(seed: int, length: int, sites: Sequence[str] = ()) -> Counter[str]:
    """Run one history. To see a failure again, call this with what the failure names.

    Returns:
        How often the chooser gave an answer at each site, to either of the two.
    """
    chooser = AtSites(seed, sites)
    call = f"check(seed={seed}, length={length}, sites={sites})"
    try:
        run(random_history(seed, length), chooser if sites else CALM)
    except DifferenceError as error:
        raise AssertionError(f"{call}\n{error}") from None
    except Exception as error:
        raise AssertionError(f"{call} broke the engine") from error
    return chooser.answered


def test_the_engine_and_the_reference_agree_on_random_histories() -> None:
    for seed in range(250):
        check(seed, 250)


@pytest.mark.parametrize("site", SITES)
def test_they_agree_on_what_comes_of_each_choice(site: str) -> None:
    answered = sum(check(seed, 250, [site])[site] for seed in range(25))
    assert answered


def test_they_agree_on_what_comes_of_all_choices_at_once() -> None:
    for seed in range(100, 200):
        check(seed, 200, SITES)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_the_engine_and_the_reference_agree_on_many_random_histories() -> None:
    for seed in range(10_000, 10_300):
        check(seed, 300)
    for seed in range(20_000, 20_020):
        check(seed, 3000)
    for seed in range(30_000, 30_001):
        check(seed, 30_000)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_they_agree_on_what_comes_of_choices_in_many_histories() -> None:
    for seed in range(40_000, 40_300):
        check(seed, 300, SITES)
    for seed in range(50_000, 50_010):
        check(seed, 3000, SITES)


# --- drawn by Hypothesis, which makes a failing history small -------------------------------------------------------

queues = st.integers(0, len(QUEUES) - 1)
seconds = st.sampled_from((0, 1, 2, 5))
maybe_seconds = st.none() | seconds
entries = st.tuples(st.integers(0, 20), st.none() | st.integers(0, 2), st.none() | st.integers(0, 2), maybe_seconds)
plans = st.builds(
    QueuePlan,
    delay_s=st.sampled_from((0, 3)),
    retention_s=st.sampled_from((60, 400)),
    wait_s=seconds,
    visibility_s=seconds,
    max_receives=st.none() | st.integers(1, 3),
    to_itself=st.booleans(),
    by_group=st.booleans(),
)
steps = st.one_of(
    st.builds(Pass, st.none() | st.sampled_from((1, us(1), us(20)))),
    st.builds(Put, queues, st.lists(entries, min_size=1, max_size=3).map(tuple)),
    st.builds(Take, queues, st.sampled_from((1, 2, 10)), maybe_seconds, maybe_seconds, st.none() | st.integers(0, 1)),
    st.builds(Settle, st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple), maybe_seconds, st.booleans()),
    st.builds(Cancel, st.integers(0, 2)),
    st.builds(Move, queues, st.none() | queues, st.sampled_from((None, 1, 7))),
    st.builds(Stop, queues),
    st.builds(
        Manage, queues, st.sampled_from(("purge", "remove", "create", "visibility_us", "wait_us", "delay_us")), seconds
    ),
    st.builds(Manage, queues, st.just("retention_us"), st.sampled_from((60, 120))),
)
histories = st.builds(
    History, st.lists(plans, min_size=len(QUEUES), max_size=len(QUEUES)).map(tuple), st.lists(steps).map(tuple)
)


@given(histories)
@settings(max_examples=200, deadline=None)
def test_the_engine_and_the_reference_agree_on_any_history(history: History) -> None:
    run(history)
