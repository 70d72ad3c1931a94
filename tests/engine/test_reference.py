"""The engine agrees with the reference on random histories: every reply, every waiter's answer, every count."""

from __future__ import annotations

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
from engine.world import us
from hypothesis import given, settings
from hypothesis import strategies as st


def check(seed: int, length: int) -> None:
    """Run one history. To see a failure again, call this with the numbers the failure names."""
    try:
        run(random_history(seed, length))
    except DifferenceError as error:
        raise AssertionError(f"check(seed={seed}, length={length})\n{error}") from None
    except Exception as error:
        raise AssertionError(f"check(seed={seed}, length={length}) broke the engine") from error


def test_the_engine_and_the_reference_agree_on_random_histories() -> None:
    for seed in range(250):
        check(seed, 250)


@pytest.mark.slow
def test_the_engine_and_the_reference_agree_on_many_random_histories() -> None:
    for seed in range(10_000, 11_000):
        check(seed, 300)
    for seed in range(20_000, 20_100):
        check(seed, 3000)


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
