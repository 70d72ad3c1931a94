"""A bus on memory://, running, for tests of what an application sees."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from busframe.message import QueueName
from busframe_memory import MemoryBackend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    import pytest

    from busframe import Bus, Live
    from busframe.message import Received


@asynccontextmanager
async def running(bus: Bus) -> AsyncGenerator[Live, None]:
    with anyio.fail_after(20):
        async with bus.connect("memory://") as live, live.running():
            yield live


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - there is no event to wait for: it looks from outside
        await anyio.sleep(0.001)


async def dead_letters(live: Live, queue: str) -> list[Received]:
    backend = live.backend_as(MemoryBackend)
    return list(await backend.receive(QueueName(queue), limit=10, wait_s=5, lease_s=30))


def reason_of(dead: Received) -> str:
    return str(json.loads(dead.attributes["busframe-dead"])["reason"])


def fail_next(live: Live, method: str, errors: Sequence[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next calls of a method of a connection's backend fail, in whichever form they are made."""
    backend = live.backend_as(MemoryBackend)
    working, left = getattr(backend, method), list(errors)
    at_once = getattr(backend, f"{method}_now")

    async def call(*arguments: object, **options: object) -> object:
        if left:
            raise left.pop(0)
        return await working(*arguments, **options)

    def call_now(*arguments: object, **options: object) -> object:
        if left:
            raise left.pop(0)
        return at_once(*arguments, **options)

    monkeypatch.setattr(backend, method, call)
    monkeypatch.setattr(backend, f"{method}_now", call_now)
