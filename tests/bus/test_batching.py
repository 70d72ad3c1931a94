"""Submissions share calls, and each hears of its own fate."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from trio.testing import MockClock

from busframe import runtime
from busframe.batching import FULL_CALLS_MAX, Batcher
from busframe.errors import ThrottledError
from busframe.simulation.running import Conditions, run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from anyio.abc import TaskGroup

pytestmark = pytest.mark.anyio


class Line:
    """A call that waits until it is let through."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.gate = anyio.Semaphore(0)

    async def __call__(self, batch: Sequence[str]) -> list[str]:
        self.calls.append(list(batch))
        await self.gate.acquire()
        if "bad call" in batch:
            raise ThrottledError("slow down")
        return [f"{entry} done" for entry in batch]


@asynccontextmanager
async def batching(
    line: Line, *, entries_max: int, **bounds: Any
) -> AsyncGenerator[tuple[Batcher[str, str], TaskGroup]]:
    """A batcher, and a task group for those who submit to it."""
    async with runtime.background_tasks() as callers, anyio.create_task_group() as tasks:
        yield Batcher[str, str](callers, line, entries_max=entries_max, **bounds), tasks


async def submit(batcher: Batcher[str, str], entry: str, fates: dict[str, str]) -> None:
    try:
        fates[entry] = await batcher.submit(entry)
    except ThrottledError as error:
        fates[entry] = str(error)


async def test_an_idle_line_sends_at_once_and_a_busy_one_gathers() -> None:
    line = Line()
    fates: dict[str, str] = {}
    async with batching(line, entries_max=3) as (batcher, tasks):
        for n in range(6):
            tasks.start_soon(submit, batcher, str(n), fates)
            await anyio.wait_all_tasks_blocked()
        assert line.calls == [["0"]]
        for _ in range(3):
            line.gate.release()
            await anyio.wait_all_tasks_blocked()
        assert line.calls == [["0"], ["1", "2", "3"], ["4", "5"]]
    assert fates == {str(n): f"{n} done" for n in range(6)}


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock()})])  # time stands still
async def test_a_second_call_starts_only_for_a_full_batch() -> None:
    line = Line()
    fates: dict[str, str] = {}
    async with batching(line, entries_max=2, calls_max=2) as (batcher, tasks):
        for n in range(4):
            tasks.start_soon(submit, batcher, str(n), fates)
            await anyio.wait_all_tasks_blocked()
        assert line.calls == [["0"], ["1", "2"]]
        for _ in range(4):
            line.gate.release()
    assert len(fates) == 4


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])
async def test_no_entry_waits_longer_than_five_milliseconds_for_others_to_join_it() -> None:
    line = Line()
    fates: dict[str, str] = {}
    async with batching(line, entries_max=10, calls_max=3) as (batcher, tasks):
        tasks.start_soon(submit, batcher, "under way", fates)
        await anyio.sleep(1)
        began_s = anyio.current_time()
        tasks.start_soon(submit, batcher, "first", fates)
        await anyio.sleep(0.001)
        tasks.start_soon(submit, batcher, "second", fates)
        while len(line.calls) < 2:  # noqa: ASYNC110 - it looks from outside
            await anyio.sleep(0.0001)
        assert anyio.current_time() - began_s <= 0.0051
        assert line.calls == [["under way"], ["first", "second"]]
        line.gate.release()
        line.gate.release()
    assert len(fates) == 3


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock()})])
async def test_calls_are_made_for_as_many_full_batches_as_there_are() -> None:
    line = Line()
    fates: dict[str, str] = {}
    async with batching(line, entries_max=10, calls_max=4) as (batcher, tasks):
        tasks.start_soon(submit, batcher, "alone", fates)
        await anyio.wait_all_tasks_blocked()
        for n in range(25):
            tasks.start_soon(submit, batcher, str(n), fates)
        await anyio.wait_all_tasks_blocked()
        assert [len(call) for call in line.calls] == [1, 10, 10]
        for _ in range(4):
            line.gate.release()
    assert [len(call) for call in line.calls] == [1, 10, 10, 5]
    assert len(fates) == 26


async def test_a_failed_call_fails_its_own_entries_and_no_others() -> None:
    line = Line()
    fates: dict[str, str] = {}
    async with batching(line, entries_max=2) as (batcher, tasks):
        for entry in ("first", "bad call", "beside it", "after"):
            tasks.start_soon(submit, batcher, entry, fates)
            await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            line.gate.release()
    assert fates == {
        "first": "first done",
        "bad call": "slow down",
        "beside it": "slow down",
        "after": "after done",
    }


async def test_a_batch_stays_within_its_bytes_and_a_large_entry_goes_alone() -> None:
    line = Line()
    fates: dict[str, str] = {}
    async with batching(line, entries_max=10, bytes_max=5, size=len) as (batcher, tasks):
        for entry in ("first", "aa", "bb", "cc", "larger than all"):
            tasks.start_soon(submit, batcher, entry, fates)
            await anyio.wait_all_tasks_blocked()
        for _ in range(4):
            line.gate.release()
    assert line.calls == [["first"], ["aa", "bb"], ["cc"], ["larger than all"]]


async def test_a_cancelled_submission_is_withdrawn_if_its_call_has_not_begun() -> None:
    line = Line()
    fates: dict[str, str] = {}
    async with batching(line, entries_max=10) as (batcher, tasks):
        tasks.start_soon(submit, batcher, "first", fates)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0):
            await batcher.submit("withdrawn")
        tasks.start_soon(submit, batcher, "second", fates)
        await anyio.wait_all_tasks_blocked()
        line.gate.release()
        line.gate.release()
    assert line.calls == [["first"], ["second"]]


async def test_a_submission_cancelled_during_its_call_does_not_disturb_the_others() -> None:
    line = Line()
    fates: dict[str, str] = {}
    async with batching(line, entries_max=10) as (batcher, tasks):
        tasks.start_soon(submit, batcher, "first", fates)
        await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as scope:
            tasks.start_soon(submit, batcher, "beside", fates)

            async def leave() -> None:
                await anyio.wait_all_tasks_blocked()
                line.gate.release()
                await anyio.wait_all_tasks_blocked()
                scope.cancel()

            tasks.start_soon(leave)
            await batcher.submit("leaves")
        line.gate.release()
    assert [sorted(call) for call in line.calls] == [["first"], ["beside", "leaves"]]
    assert fates == {"first": "first done", "beside": "beside done"}


class Distance:
    """A broker that is so far off, and counts calls under way."""

    def __init__(self, round_trip_s: float) -> None:
        self._round_trip_s = round_trip_s
        self.under_way = self.under_way_max = 0
        self.sizes: list[int] = []
        self.fails = False

    async def __call__(self, batch: Sequence[str]) -> list[str]:
        self.sizes.append(len(batch))
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        await anyio.sleep(self._round_trip_s)
        self.under_way -= 1
        if self.fails:
            raise ThrottledError("slow down")
        return list(batch)


ENTRIES = 1_000
TRIP_S = 0.02


def flood(broker: Distance, *, calls_max: int, every_s: float = 0.0) -> float:
    """Post entries, all at once or one by one, and return how many seconds that took on a virtual clock."""

    took_s: list[float] = []

    async def story() -> None:
        begun_s = runtime.now_s()
        async with runtime.background_tasks() as callers:
            batcher = Batcher[str, str](callers, broker, entries_max=10, calls_max=calls_max)
            for n in range(ENTRIES):
                batcher.post(str(n))
                if every_s:
                    await anyio.sleep(every_s)
            while not batcher.idle:  # noqa: ASYNC110 - looks from outside
                await anyio.sleep(0.001)
            took_s.append(runtime.now_s() - begun_s)

    run_in_virtual_time(story, Conditions(backend="asyncio"))
    assert sum(broker.sizes) == ENTRIES
    return took_s[0]


def test_full_batches_for_a_distant_broker_are_under_way_ten_at_a_time_and_cost_no_more_calls() -> None:
    far = Distance(TRIP_S)
    took_s = flood(far, calls_max=4)
    assert far.under_way_max == FULL_CALLS_MAX
    assert len(far.sizes) <= ENTRIES / 10 + 1
    four_at_a_time_s = ENTRIES / 10 / 4 * TRIP_S
    assert took_s < four_at_a_time_s / 2


def test_a_broker_nearby_gets_no_more_calls_at_once_than_it_was_meant_to() -> None:
    near = Distance(0.001)
    flood(near, calls_max=4)
    assert near.under_way_max == 4


def test_what_has_to_be_in_order_goes_one_call_after_the_other_however_far_the_broker_is() -> None:
    far = Distance(TRIP_S)
    flood(far, calls_max=1)
    assert far.under_way_max == 1


def test_batches_that_are_not_full_get_no_further_calls() -> None:
    far = Distance(TRIP_S)
    flood(far, calls_max=4, every_s=0.001)  # a thousand a second: five gather in the time that one may wait
    assert far.under_way_max == 4


def test_a_broker_that_refuses_gets_no_more_calls_at_once() -> None:
    far = Distance(TRIP_S)
    far.fails = True
    flood(far, calls_max=4)
    assert far.under_way_max == 4
