"""The reference page of the actions says what the emulator goes by."""

from __future__ import annotations

from pathlib import Path

import pytest

from busframe_emulator.api.actions import ALL_ACTIONS
from busframe_emulator.api.errors import CATALOGUE
from busframe_emulator.api.reference import render
from busframe_emulator.api.service import HANDLED

PAGE = Path(__file__).parents[2] / "docs" / "actions.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render(), "python -m busframe_emulator.api.reference > docs/actions.md"


@pytest.mark.parametrize("name", sorted(ALL_ACTIONS))
def test_every_action_is_handled_and_its_errors_are_known(name: str) -> None:
    assert set(HANDLED[name].takes.errors) <= set(CATALOGUE)
