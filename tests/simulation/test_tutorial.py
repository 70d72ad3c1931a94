"""docs/simulation.md shows what its program prints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tutorial_shows_what_its_program_prints() -> None:
    spec = importlib.util.spec_from_file_location("docs_render", DOCS / "render.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = (DOCS / "simulation.md").read_text()
    assert tool.render(page) == page, "make docs"
