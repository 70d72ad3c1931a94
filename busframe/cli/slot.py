"""A place for one worker process after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping

    from anyio.abc import Process

    from busframe.cli.link import Link
    from busframe.samples import Family


class Slot:
    """A place for one worker after the other.

    Attributes:
        process: the worker there now; None between two.
        told: it has been told to stop.
        ready: set when the worker has begun to handle messages; another event for each worker.
        renewed: set when the next worker takes the place; the same.
        report: what it last said of itself.
        died_with: the exit code of the last, if it died and no other has begun to work yet.
        tired: why it wants to be replaced.
        ended: what it said when it ended; None if it did not.
        link: the line to it; None between two.
        samples: its metrics, when it last told; nothing if it was not asked to.
        queues: those of the queues, when it was last asked.
        answered: set when it has answered that.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: Process | None = None
        self.state = "starting"
        self.restarts = 0
        self.failures = 0
        self.died_with: int | None = None
        self.renewed = anyio.Event()
        self.link: Link | None = None
        self.samples: tuple[Family, ...] = ()
        self.queues: tuple[Family, ...] = ()
        self.answered = anyio.Event()
        self.clear()

    def clear(self) -> None:
        """Forget the last worker."""
        self.renewed.set()
        self.renewed = anyio.Event()
        self.told = False
        self.ready = anyio.Event()
        self.report: Mapping[str, Any] | None = None
        self.tired: str | None = None
        self.ended: Mapping[str, Any] | None = None

    def tell(self, number: signal.Signals) -> None:
        """Send the worker a signal, if there is one."""
        self.told = True
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
