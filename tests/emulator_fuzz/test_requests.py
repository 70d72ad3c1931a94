"""Requests in both protocols, most of them bent: each is answered, none with a 500, and nothing is left behind."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from emulator_fuzz.asked import Asked, Asking
from emulator_fuzz.asking import ask_at_random
from emulator_fuzz.conftest import MODES
from emulator_fuzz.wire import Line

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(2))
def test_every_request_is_answered(watch: Callable[[str], Any], mode: str, seed: int) -> None:
    with watch(mode) as watched:
        ask_at_random(watched, seed, requests=400)


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
