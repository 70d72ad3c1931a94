"""Submissions share calls, and each hears of its own fate."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from trio.testing import MockClock

from busframe import runtime
from busframe.batching import Batcher
from busframe.errors import ThrottledError

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
