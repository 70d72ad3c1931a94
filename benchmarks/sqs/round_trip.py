"""What several polls at a time are worth where a call to SQS takes a while.

    python -m benchmarks.sqs.round_trip [--trip-ms 20] [--count 4000] [--concurrency 200] [--rounds 3]

Each call waits so long before it is sent to an emulator. The messages are there before the consumer starts. With one
poll at most, and with as many as the bus would have, in turns; medians are shown.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

import anyio

from busframe import Bus, event
from busframe._consume import polls
from busframe_emulator.server.thread import run_in_thread
from busframe_sqs import SqsBackend


@event("bench.happened")
@dataclass(frozen=True)
class Happened:
    number: int


@dataclass(frozen=True, slots=True)
class Figures:
    per_second: float
    cpu_ms: float
    """Of the client and the emulator, which runs in a thread."""
    receives: float
    """Calls per message."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trip-ms", type=float, default=20.0)
    parser.add_argument("--count", type=int, default=4000, help="messages (default: %(default)s)")
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x")  # noqa: S106 - the emulator believes anybody
    bounds = (1, polls.POLLS_MAX)
    figures: dict[int, list[Figures]] = {bound: [] for bound in bounds}
    for _ in range(options.rounds):
        for bound in bounds:
            polls.POLLS_MAX = bound  # type: ignore[misc]  # pyright: ignore[reportConstantRedefinition, reportAttributeAccessIssue]
            figures[bound].append(anyio.run(consume, options.trip_ms / 1000, options.count, options.concurrency))
    print(f"{'polls at most':<16}{'messages/s':>12}{'CPU ms/message':>16}{'receives/message':>18}")
    for bound, runs in figures.items():
        rate = statistics.median(run.per_second for run in runs)
        cpu_ms = statistics.median(run.cpu_ms for run in runs)
        receives = statistics.median(run.receives for run in runs)
        print(f"{bound:<16}{rate:>12,.0f}{cpu_ms:>16.3f}{receives:>18.3f}")
    return 0


async def consume(trip_s: float, count: int, concurrency: int) -> Figures:
    bus = Bus("bench")
    handled = 0
    done = anyio.Event()

    @bus.subscribe(Happened, group="all", concurrency=concurrency)
    async def handle(_: Happened) -> None:
        nonlocal handled
        handled += 1
        if handled == count:
            done.set()

    def delay(**_: object) -> None:
        time.sleep(trip_s)  # in the thread of the call

    with run_in_thread() as server:
        url = f"sqs://us-east-1?wait_s=1&endpoint_url={server.url}"
        async with bus.connect(url, recipients="memory://") as live:
            async with anyio.create_task_group() as tasks:
                for number in range(count):
                    tasks.start_soon(live.publish, Happened(number))
            backend = live.backend_as(SqsBackend)
            client: Any = backend.client  # our type of it names the calls that the bus makes
            client.meta.events.register("before-send.sqs", delay)
            begun_s, cpu_s = time.perf_counter(), time.process_time()
            async with live.running():
                await done.wait()
                wall_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
                receives = backend.ledger.calls["ReceiveMessage"]
    return Figures(count / wall_s, cpu_s / count * 1000, receives / count)


if __name__ == "__main__":
    sys.exit(main())
