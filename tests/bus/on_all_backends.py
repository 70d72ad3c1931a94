"""A bus on each of the three brokers in turn, in real time, for what has to hold on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from busframe import Bus, Live

Connect = "Callable[[Bus], AbstractAsyncContextManager[Live]]"


@pytest.fixture(params=["memory", "sqlite", "sqs"])
def connect(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[Callable[[Bus], AbstractAsyncContextManager[Live]], None, None]:
    """Connect a bus to it; for `memory`, each connection is a broker of its own."""
    file = f"sqlite:///{tmp_path}/bus.db"
    if request.param == "memory":
        yield lambda bus: bus.connect("memory://")
    elif request.param == "sqlite":
        yield lambda bus: bus.connect(file)
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with run_in_thread() as server:
            url = f"sqs://eu-west-1?endpoint_url={server.url}&wait_s=1"
            yield lambda bus: bus.connect(url, recipients=file)
