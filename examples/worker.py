"""A worker process, and a program that gives it work: the same two on every broker.

    python examples/worker.py send examples/ --url sqlite:///work.db
    python examples/worker.py work --results results.txt --url sqlite:///work.db

`send` sends one command for each file of a folder; `work` computes the files' checksums until it is told to stop, by
Ctrl-C or SIGTERM. Start as many workers as you like: each command is handled by one of them. Kill one with `kill -9`:
what it had in hand is handled by another when its leases end, 5 seconds later. That may be the second time, so what a
handler does has to bear that; here it writes the same line again.

What to look at:
- A command has one owner and needs no recipient list: its queue has its name.
- A handler that raises is tried again, later and later; a file that is not there is rejected, so it goes to the queue
  of dead letters at once.
- The log is lines of JSON; each says which message it is about.
- `--until-empty` has the worker end when nothing is left, as a job that a timer starts would.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from busframe import Bus, Command, Reject, Retry, command
from busframe.logs import JsonLines, WithDelivery

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger("worker")


@command("demo.checksum.compute")
@dataclass(frozen=True)
class ComputeChecksum(Command):
    """A file wants a checksum."""

    path: str


bus = Bus("demo")
results = Path("results.txt")


@bus.handle(ComputeChecksum, concurrency=20, lease_s=5, timeout_s=60, retry=Retry.exponential(attempts=5, first_s=0.5))
async def compute(wanted: ComputeChecksum) -> None:
    """Write the checksum of a file as a line of the results."""
    try:
        content = await anyio.Path(wanted.path).read_bytes()
    except FileNotFoundError as error:
        raise Reject(f"there is no file {wanted.path}") from error
    write_line(f"{hashlib.sha256(content).hexdigest()}  {wanted.path}\n")
    log.info("computed a checksum")


def write_line(line: str) -> None:
    """Append a line in one call, so that the lines of several processes do not mix."""
    file = os.open(results, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


async def send(url: str, files: Iterable[Path]) -> None:
    """Send a command for each file, many at a time, so that they share calls of the broker."""
    paths = iter(files)
    count = 0
    async with bus.connect(url) as live:

        async def sender() -> None:
            nonlocal count
            for path in paths:
                await live.send(ComputeChecksum(str(path)))
                count += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(sender)
    print(f"sent {count} commands")


async def work(url: str, *, until_empty: bool) -> None:
    """Handle commands until told to stop."""
    async with bus.connect(url) as live:
        log.info("working")
        await live.work(signals=True, until_empty=until_empty)
        (counts,) = live.counts.values()
        print(f"handled {counts.handled}, dead-lettered {counts.dead_lettered}")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Checksums of files, by workers.")
    actions = parser.add_subparsers(dest="action", required=True)
    sending = actions.add_parser("send")
    sending.add_argument("folder", type=Path)
    working = actions.add_parser("work")
    working.add_argument("--results", type=Path, default=results)
    working.add_argument("--until-empty", action="store_true")
    for action in (sending, working):
        action.add_argument("--url", default="sqlite:///work.db", help="the broker")
    arguments = parser.parse_args()

    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(WithDelivery())
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])

    if arguments.action == "send":
        files = sorted(path for path in arguments.folder.rglob("*") if path.is_file())
        anyio.run(send, arguments.url, files)
    else:
        globals()["results"] = arguments.results
        anyio.run(partial(work, arguments.url, until_empty=arguments.until_empty))


if __name__ == "__main__":
    main()
