from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Try on each broken backend only the checks that have to find its defect; on the sound one, all."""
    kept: list[pytest.Item] = []
    for item in items:
        found_by = getattr(getattr(item, "cls", None), "found_by", None)
        if found_by is None or getattr(item, "originalname", "").removeprefix("test_") in found_by:
            kept.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
