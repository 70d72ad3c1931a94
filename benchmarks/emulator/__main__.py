"""The emulator beside its peers: every figure of docs/benchmarks.md, in one run.

    python -m benchmarks.emulator [TABLE ...] [--rounds N] [--seconds N] [--messages N]

Peers take turns with the emulator, so that a ratio does not depend on what else the machine does; medians are shown.
What is not installed is left out, and named at the top.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.emulator import crowding, durability, engine, growth, in_process, peers, sizes, throughput, waiting
from benchmarks.emulator.server import PINNED
from benchmarks.emulator.table import show

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    options = _options()
    print(f"# The emulator: {_machine()}")
    for line in peers.missing():
        print(line)
    if not PINNED:
        print("There is one core, or no taskset: server and load are in each other's way.")
    began = time.monotonic()
    for name, print_table in TABLES.items():
        if name in options.tables:
            print_table(options)
    print(f"\n{time.monotonic() - began:.0f} s in all.")
    return 0


def _throughput(options: argparse.Namespace) -> None:
    if not peers.has_wrk():
        print("\nThroughput was not measured: wrk is not installed.")
        return
    made, notes = throughput.rows(peers.fauxqs(), rounds=options.rounds, seconds=options.seconds)
    show("Throughput over HTTP, 16 connections (peer: fauxqs)", made, *notes)


def _durability(options: argparse.Namespace) -> None:
    if not peers.has_wrk():
        print("\nDurability was not measured: wrk is not installed.")
        return
    made = durability.rows(rounds=options.rounds, seconds=options.seconds)
    show(f"With --data, where a flush takes {durability.flush_us():.0f} us (peer: the same without)", made)


def _waiting(options: argparse.Namespace) -> None:
    show("Receives that wait (peer: fauxqs)", waiting.rows(peers.fauxqs(), rounds=options.rounds))


def _start(options: argparse.Namespace) -> None:
    show("Start (peer: fauxqs)", sizes.start_rows(peers.fauxqs(), rounds=options.rounds + 4))


def _depth(options: argparse.Namespace) -> None:
    peer_messages = min(options.messages, options.peer_messages)
    made = sizes.depth_rows(peers.fauxqs(), messages=options.messages, peer_messages=peer_messages)
    show("A deep queue (peer: fauxqs)", made)


def _engine(options: argparse.Namespace) -> None:
    show("The engine alone (peer: the least a queue in Python does)", engine.rows(rounds=options.rounds + 2))


def _growth(options: argparse.Namespace) -> None:
    show(
        f"The engine: from few to many (of {growth.FEW_MESSAGES:,} and {options.messages:,} messages)",
        growth.message_rows(options.messages, rounds=options.rounds + 2),
    )
    show(
        f"The engine: from few to many (of {growth.FEW_QUEUES:,} and {growth.MANY_QUEUES:,} queues)",
        [
            *growth.queue_rows(rounds=options.rounds + 2),
            crowding.row(growth.FEW_QUEUES, growth.MANY_QUEUES, rounds=options.rounds + 2),
        ],
    )


def _in_process(options: argparse.Namespace) -> None:
    show("boto3 in process (peer: moto)", in_process.rows(rounds=options.rounds))


TABLES: dict[str, Callable[[argparse.Namespace], None]] = {
    "throughput": _throughput,
    "durability": _durability,
    "waiting": _waiting,
    "start": _start,
    "depth": _depth,
    "engine": _engine,
    "growth": _growth,
    "in_process": _in_process,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=1, help="of load for each turn (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=1_000_000, help="in a deep queue (default: %(default)s)")
    parser.add_argument("--peer-messages", type=int, default=1_000_000, help="in the peer's (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"no such table: {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    options.tables = options.tables or list(TABLES)
    return options


def _machine() -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
