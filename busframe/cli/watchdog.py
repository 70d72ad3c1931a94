"""Ends a process that was told to stop and does not, because of what its handlers do.

A drain cancels handlers whose time is over. That is of no use against one in a shielded scope, and one that blocks the
event loop lets nothing else run at all. So the time is kept by a thread. It learns of the signals from handlers of its
own, set before the event loop's: Python runs those even while a function such as `time.sleep` blocks the main thread.
What it cannot help against is code that keeps Python itself from running.

Messages in hand when it ends the process are not given back: they come again when their leases end.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from busframe.cli.running import STUCK

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

GRACE_S = 8.0
"""What handlers may take beyond their drain time: a cancelled one has five seconds for its last words."""

LEAVING_S: Final = 30.0
"""What the process may take then if no handler runs: a broker may have to answer a receive under way, 20 seconds."""

_SIGNALLED: Final = b"s"
_OVER: Final = b"o"


class Watchdog:
    """Watches over the end of this process, from `watch` until its context is left.

    Args:
        drain_s: how long handlers may go on when told to stop.
    """

    def __init__(self, drain_s: float) -> None:
        self._drain_s = drain_s
        self._thread: threading.Thread | None = None
        self._running: Callable[[], str] = str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._tell(_OVER)
            self._thread.join()
            os.close(self._read)
            os.close(self._write)

    def watch(self, running: Callable[[], str]) -> None:
        """Begin. In the main thread, when the event loop has set its handlers of the signals.

        Args:
            running: names the handlers that run; empty if none does. Called in another thread.
        """
        self._running = running
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        for number in SIGNALS:
            self._hear(number)
        self._thread = threading.Thread(target=self._wait, name="busframe watchdog", daemon=True)
        self._thread.start()

    def _hear(self, number: signal.Signals) -> None:
        before = signal.getsignal(number)
        if not callable(before):
            return  # nobody is to be told to stop by it

        def heard(given: int, frame: FrameType | None) -> None:
            self._tell(_SIGNALLED)
            before(given, frame)

        signal.signal(number, heard)

    def _tell(self, what: bytes) -> None:
        # An Event of threading's would not do: a second signal could come while the first sets it, and wait for it.
        with suppress(BlockingIOError):
            os.write(self._write, what)

    def _wait(self) -> None:
        """Wait for a signal, then for the end, which a second signal brings nearer."""
        if self._heard(None) == _OVER:
            return
        said = self._heard(self._drain_s + GRACE_S)
        if said == _SIGNALLED:
            said = self._heard(GRACE_S)
        while said == _SIGNALLED:
            said = self._heard(0)
        if said == _OVER or (not self._running() and self._heard(LEAVING_S) == _OVER):
            return
        self._end()

    def _heard(self, within_s: float | None) -> bytes | None:
        ready, _, _ = select.select([self._read], [], [], within_s)
        return os.read(self._read, 1) if ready else None

    def _end(self) -> None:
        running = self._running() or "no handler, though"
        # There is no public way to ask where another thread is.
        frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        frame = frames.get(threading.main_thread().ident or 0)
        where = "" if frame is None else f" The main thread is in {frame.f_code.co_filename}, line {frame.f_lineno}."
        text = (
            f"busframe run: told to stop, and not at an end {self._drain_s + GRACE_S:g} s later. Still running: "
            f"{running}. Their messages come again when their leases end.{where}\n"
        )
        # Not through the log or sys.stderr: the main thread may hold their locks.
        os.write(2, text.encode(errors="replace"))
        os._exit(STUCK)
