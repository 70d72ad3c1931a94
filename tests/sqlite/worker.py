"""A program that is made to be killed: `worker.py path name`. It sends and consumes, and writes down what it knows.

Each line is `time what queue body`. `sending` and `acknowledging` come before the call, `sent` and `acknowledged` after
its promise; `received` when a message is first seen. A line is one write, so what was written survives the kill. The
time is the machine's, the same for all processes.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from busframe.message import Acknowledge, Outgoing, QueueName, Sent, Settled, is_ordered
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busframe_sqlite.backend import SqliteBackend

QUEUES = (QueueName("work"), QueueName("work.fifo"))
LEASE_S = 2.0
"""Short, so that what a killed worker held is worked on again while the others still run."""


def _say(what: str, queue: QueueName, bodies: Iterable[str]) -> None:
    now_ns = time.monotonic_ns()  # noqa: TID251 - orders what several processes say
    os.write(1, "".join(f"{now_ns} {what} {queue} {body}\n" for body in bodies).encode())


async def _send(backend: SqliteBackend, queue: QueueName, group: str) -> None:
    number = 0
    while True:
        count = 1 + number % 7
        bodies = [f"{group}:{number + place}" for place in range(count)]
        number += count
        _say("sending", queue, bodies)
        outcomes = await backend.send(
            queue, [Outgoing(body=body, group=group if is_ordered(queue) else None) for body in bodies]
        )
        _say("sent", queue, [body for body, outcome in zip(bodies, outcomes, strict=True) if isinstance(outcome, Sent)])


async def _consume(backend: SqliteBackend, queue: QueueName) -> None:
    while True:
        received = await backend.receive(queue, limit=8, wait_s=1, lease_s=LEASE_S)
        _say("received", queue, [message.body for message in received])
        bodies = [message.body for message in received]
        _say("acknowledging", queue, bodies)
        if not received:
            continue
        outcomes = await backend.settle(queue, [Acknowledge(receipt=message.receipt) for message in received])
        done = [body for body, outcome in zip(bodies, outcomes, strict=True) if isinstance(outcome, Settled)]
        _say("acknowledged", queue, done)


async def main(path: Path, name: str) -> None:
    async with open_backend(Settings(path=path)) as backend, anyio.create_task_group() as tasks:
        for queue in QUEUES:
            for place in range(3):
                tasks.start_soon(_send, backend, queue, f"{name}-{place}")
                tasks.start_soon(_consume, backend, queue)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2])
