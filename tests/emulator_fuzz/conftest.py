"""Servers to be asked at random, and what they complain of."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from busframe_emulator.engine.settings import Limits
from busframe_emulator.server.thread import ThreadedServer, run_in_thread
from busframe_emulator.wire.verified import Key, Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

KEY = Key(access_key="AKID", secret="s", account="0" * 12)  # noqa: S106 - nobody's
MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "policies": {"enforce_policies": True},
    "keys": {"keys": Keys(keys=[KEY]), "enforce_policies": True},
    "pages": {"cors": ["*"]},
    "data": {},  # and a folder to keep all in
}


class Watched:
    """A server, and what went wrong in its loop."""

    def __init__(self, server: ThreadedServer) -> None:
        self.server = server
        self.complaints: list[dict[str, Any]] = []
        server._loop.set_exception_handler(lambda _, complaint: self.complaints.append(complaint))  # pyright: ignore[reportPrivateUsage]

    @property
    def port(self) -> int:
        return self.server.port

    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.server._server._shared.connections)  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
def watch(tmp_path: Path) -> Callable[[str], Any]:
    """Run a server in one of `MODES`."""

    @contextmanager
    def run(mode: str) -> Generator[Watched]:
        # Names are free again at once, or there would soon be no queues.
        limits = Limits(recreate_after_us=0, purge_interval_us=0)
        data = tmp_path if mode == "data" else None
        with run_in_thread(limits=limits, data=data, **MODES[mode]) as server:
            yield Watched(server)

    return run
