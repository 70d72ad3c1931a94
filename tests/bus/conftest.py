"""Shared by the tests of the bus."""

from __future__ import annotations

import pytest
from bus import virtual
from bus.faulty import FaultyAtOnce, FaultyBackend


@pytest.fixture(params=[FaultyBackend, FaultyAtOnce], ids=["awaited", "at once"])
def either_form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test on a backend whose calls are awaited, and on one that answers at once."""
    monkeypatch.setattr(virtual, "wrapping", request.param)
