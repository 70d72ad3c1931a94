"""memory:// keeps the backend contract."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from busframe.config import BackendUrl
from busframe.testing import BackendConformance, Trial
from busframe_memory import open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class TestMemoryConformance(BackendConformance):
    @asynccontextmanager
    async def open_trial(self) -> AsyncGenerator[Trial, None]:
        async with open_memory(BackendUrl.parse("memory://")) as backend:

            async def advance(seconds: float) -> None:
                backend.advance(seconds)

            yield Trial(backend=backend, advance=advance)
