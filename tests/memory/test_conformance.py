"""memory:// keeps the backend contract."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from busframe.backend import Plan, TopicSpec
from busframe.config import BackendUrl
from busframe.errors import UnsupportedError
from busframe.testing import BackendConformance, LosingCalls, Trial
from busframe_memory import open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class TestMemoryConformance(BackendConformance):
    @asynccontextmanager
    async def open_trial(self) -> AsyncGenerator[Trial, None]:
        async with open_memory(BackendUrl.parse("memory://")) as backend:

            async def advance(seconds: float) -> None:
                backend.advance(seconds)

            yield Trial(backend=backend, advance=advance, fail_call=LosingCalls(backend).lose)

    async def test_a_topic_is_refused_by_name(self, trial: Trial) -> None:
        with pytest.raises(UnsupportedError, match="memory:// has no topics"):
            await trial.backend.provision(Plan(topics=(TopicSpec(name="orders"),)))
