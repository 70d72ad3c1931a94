"""The bus's own loop on trial: whatever broker and nodes do, nothing is lost, nothing out of order, once is once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from simulation.busy_shop import busy_shop

from busframe.simulation import simulate

if TYPE_CHECKING:
    from busframe.simulation.running import Backend

BACKENDS: tuple[Backend, ...] = ("asyncio", "trio")


@pytest.mark.parametrize("profile", ["hostile", "swarm"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_bus_keeps_its_promises_under_dozens_of_seeds(profile: str, backend: Backend) -> None:
    assert simulate(busy_shop, seeds=25, profile=profile, backend=backend).seeds == 25


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("profile", ["hostile", "swarm"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_bus_keeps_its_promises_under_hundreds_of_seeds(profile: str, backend: Backend) -> None:
    assert simulate(busy_shop, seeds=300, profile=profile, backend=backend).seeds == 300
