"""Every async test runs on asyncio and on trio."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("busframe.testing.conformance")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
