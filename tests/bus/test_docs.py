"""The program of docs/bus.md runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "bus.md"


def test_the_examples_are_one_program_that_does_what_the_page_says() -> None:
    names: dict[str, Any] = {}
    for source in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        exec(source, names)  # noqa: S102 - the project's own page
    assert sorted((order, attempt) for order, attempt, _ in names["printed"]) == [("o1", 1), ("o2", 1)]
    assert all(cause for _, _, cause in names["printed"])
    assert sorted(names["audited"]) == ["o1", "o2"]
    assert names["uploads"] == ["a.csv"]
