"""The program of docs/testing.md runs, and its tests pass."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"

NAMES: dict[str, Any] = {}
for source in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
    exec(source, NAMES)  # noqa: S102 - the project's own page


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("test_")])
def test_an_example(name: str) -> None:
    NAMES[name]()


def test_the_state_machine() -> None:
    NAMES["TestShop"]("runTest").runTest()
