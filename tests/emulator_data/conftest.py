"""For all tests of what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from emulator_data.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "data")
    yield home
    home.stop()
