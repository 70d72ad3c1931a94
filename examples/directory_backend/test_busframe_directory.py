"""The conformance kit on the directory backend: all that its author had to write of tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from busframe_directory import open_path

from busframe.testing import BackendConformance, LosingCalls, Trial

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


class TestDirectory(BackendConformance):
    """Each test gets a directory of its own, and a clock that it moves."""

    @pytest.fixture(autouse=True)
    def _fresh_directory(self, tmp_path: Path) -> None:
        self.root = tmp_path

    @asynccontextmanager
    async def open_trial(self) -> AsyncGenerator[Trial, None]:
        """Hand the kit a backend and its clock."""
        now_s = 1_000_000.0

        async def advance(seconds: float) -> None:
            nonlocal now_s
            now_s += seconds

        async with open_path(self.root, lambda: now_s) as backend:
            yield Trial(backend=backend, advance=advance, fail_call=LosingCalls(backend).lose)
