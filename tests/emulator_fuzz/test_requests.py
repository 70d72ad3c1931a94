"""Requests in both protocols, most of them bent: each is answered, none with a 500, and nothing is left behind."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from emulator_fuzz.asked import Asked, Asking
from emulator_fuzz.asking import ask_at_random
from emulator_fuzz.conftest import MODES
from emulator_fuzz.wire import Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator_fuzz.conftest import Watched


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(2))
def test_every_request_is_answered(watch: Callable[[str], Any], mode: str, seed: int) -> None:
    with watch(mode) as watched:
        ask_at_random(watched, seed, requests=400)


def test_what_was_asked_at_random_is_there_after_a_restart(watch: Callable[[str], Any]) -> None:
    for seed in range(20, 23):
        with watch("data") as watched:
            ask_at_random(watched, seed, requests=300)
            before = held(watched)
        with watch("data") as watched:
            assert held(watched) == before, f"seed {seed}"


def held(watched: Watched) -> tuple[list[str], int]:
    """The queues, and how many messages they have in whatever state. All together: a task may be moving some."""
    line = Line(watched.port)
    line.send(Asked("GET", "/_busframe/queues", {}, b"").encode())
    answer = line.read()
    line.close()
    assert answer is not None
    queues: list[dict[str, Any]] = json.loads(answer.body)["queues"]
    counts = ("visible", "in_flight", "delayed")
    total = sum(queue[count] for queue in queues for count in counts)
    return [f"{queue['account']}/{queue['name']}" for queue in queues], total


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_every_one_of_many_requests_is_answered(watch: Callable[[str], Any], mode: str) -> None:
    for seed in range(100, 120):
        with watch(mode) as watched:
            ask_at_random(watched, seed, requests=1000)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_requests_leave_no_memory_behind(watch: Callable[[str], Any]) -> None:
    with watch("policies") as watched:

        def held_after(seeds: range) -> int:
            for seed in seeds:
                ask_at_random(watched, seed, requests=500)
            line = Line(watched.port)
            line.send(Asked("POST", "/_busframe/reset", {}, b"").encode())
            answer = line.read()
            assert answer is not None
            assert answer.status == 200
            line.close()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = held_after(range(200, 206))
            after = held_after(range(206, 224))
        finally:
            tracemalloc.stop()
    assert after - before < 1_000_000


def test_a_seed_makes_the_same_requests_again() -> None:
    one, two = Asking(7), Asking(7)
    assert [one.next() for _ in range(500)] == [two.next() for _ in range(500)]
