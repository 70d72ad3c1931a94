"""Busframe: a hundred publishers, a handler with a concurrency of a hundred."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
from measure import TEXT, task

from busframe import Bus, event
from busframe_sqs import SqsBackend

job = task()
bus = Bus("bench")
done = anyio.Event()


@event("bench.happened")
@dataclass(frozen=True)
class Happened:
    number: int
    text: str


@bus.subscribe(Happened, group="all", concurrency=100)
async def handle(_: Happened) -> None:
    if job.handle():
        done.set()


async def main() -> None:
    url = f"sqs://us-east-1?wait_s=1&endpoint_url={job.endpoint}"
    async with bus.connect(url, recipients="memory://") as live:
        job.begin()
        async with live.running():
            numbers = iter(range(job.count))

            async def publish() -> None:
                for number in numbers:
                    await live.publish(Happened(number, TEXT))

            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(publish)
            await done.wait()
        job.end(live.backend_as(SqsBackend).ledger.calls)


anyio.run(main)
