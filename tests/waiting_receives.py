"""Waiting until receives wait: over HTTP nothing says when a long poll has arrived."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from busframe_emulator.server.thread import ThreadedServer


def until_waiting(server: ThreadedServer, count: int) -> None:
    """Return when so many receives wait in the server."""
    reached = threading.Event()

    def look() -> None:
        driver = server._server._driver  # pyright: ignore[reportPrivateUsage]
        if len(driver._pending) == count:  # pyright: ignore[reportPrivateUsage]
            reached.set()
        else:
            server._loop.call_later(0.002, look)  # pyright: ignore[reportPrivateUsage]

    server._loop.call_soon_threadsafe(look)  # pyright: ignore[reportPrivateUsage]
    assert reached.wait(10)
