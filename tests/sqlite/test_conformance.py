"""The contract of `busframe.backend`, on one SQLite file."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from sqlite.faults import FailingStatements

from busframe.testing.conformance import BackendConformance, Trial
from busframe_sqlite.clock import ManualClock
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


class TestSqliteConformance(BackendConformance):
    @pytest.fixture(autouse=True)
    def _fresh_file(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def open_trial(self) -> AsyncGenerator[Trial]:
        clock = ManualClock()
        async with open_backend(Settings(path=self._path), clock) as backend:

            async def advance(seconds: float) -> None:
                clock.advance(seconds)
                await backend.look()

            yield Trial(backend=backend, advance=advance, fail_call=FailingStatements(backend).fail)
