"""The event that tasks of the bus wait for each other by."""

from __future__ import annotations

import anyio
import pytest

from busframe import runtime

pytestmark = pytest.mark.anyio


async def test_all_who_wait_go_on_save_those_who_were_cancelled() -> None:
    signal = runtime.signal()
    went_on: list[str] = []

    async def wait(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await signal.wait()
            went_on.append(name)

    async with anyio.create_task_group() as tasks:
        leaver = anyio.CancelScope()
        tasks.start_soon(wait, "ada", anyio.CancelScope())
        tasks.start_soon(wait, "leaver", leaver)
        tasks.start_soon(wait, "bob", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        leaver.cancel()
        await anyio.wait_all_tasks_blocked()
        assert not signal.is_set()
        signal.set()
    assert sorted(went_on) == ["ada", "bob"]


async def test_who_comes_after_it_was_set_need_not_wait() -> None:
    signal = runtime.signal()
    signal.set()
    with anyio.fail_after(5):
        await signal.wait()
    assert signal.is_set()
