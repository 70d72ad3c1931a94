"""docs/simulation.md shows what its programs come to."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tutorial_shows_what_its_program_prints() -> None:
    spec = importlib.util.spec_from_file_location("docs_render", DOCS / "render.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = (DOCS / "simulation.md").read_text()
    assert outcomes(tool.render(page)) == outcomes(page), "make docs"


def outcomes(page: str) -> list[str]:
    """What each program on it came to; without numbers, since any change of the bus shifts the seeds."""
    printed = re.findall(r"^```text\n(.*?)\n", page, re.MULTILINE)
    assert len(printed) == 5
    return [re.sub(r"\d+", "#", line) for line in printed]
