"""What ends a run from outside: the signals that ask a process to stop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskStatus

    from busframe._consume.consumer import Consumer


class SignalWatch:
    """Waits for the signals that end a run.

    Attributes:
        signal: the first that came; None if none has.
        first: set when it comes.
        second: set when the next comes.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.first, self.second = anyio.Event(), anyio.Event()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Watch for as long as signals may come, in the main thread. From the third on they have their usual effect."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            self.signal = await anext(signals)
            self.first.set()
            await anext(signals)
            self.second.set()

    async def hasten(self, consumers: Sequence[Consumer]) -> None:
        """End the drain at the second signal, or at the first if something else ended the run."""
        await (self.second if self.signal is not None else self.first).wait()
        for consumer in consumers:
            consumer.hasten()


async def first_of(*events: anyio.Event) -> None:
    """Wait until one of the events is set."""
    async with anyio.create_task_group() as tasks:

        async def wait(event: anyio.Event) -> None:
            await event.wait()
            tasks.cancel_scope.cancel()

        for event in events:
            tasks.start_soon(wait, event)
