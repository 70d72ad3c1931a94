"""The client's CPU per message over SQS, sent to handled and deleted: Busframe and what people use today, in one run.

    python -m benchmarks.sqs.compare [--peers PYTHON] [--count 2000] [--rounds 3]

All talk to the same emulator, one after the other and in turns; medians are shown. The floor is boto3 with nothing
around it, full batches in one thread: 0.3 calls a message, at what a call costs on this machine in this run.

PYTHON is the interpreter of an environment with benchmarks/sqs/requirements.txt (its aiobotocore wants another botocore
than ours): the one that `make bench-peers` makes. Peers that are not installed there are left out, which is said.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.emulator.peers import PYTHON
from busframe_emulator.server.thread import run_in_thread

HERE = Path(__file__).parent / "contestants"
PEERS = {  # name: program, what it imports, further arguments
    "Celery": ("with_celery.py", "celery", ()),
    "dramatiq-sqs": ("with_dramatiq.py", "dramatiq_sqs", ()),
    "taskiq-aio-sqs": ("with_taskiq.py", "taskiq_aio_sqs", ()),
    "taskiq-aio-sqs, batched sends": ("with_taskiq.py", "taskiq_aio_sqs", ("batching",)),
}


FLOOR = "boto3 alone, batches of ten"


@dataclass
class Used:
    cpu_ms: float
    per_second: float
    calls: dict[str, float] | None
    """Of boto3 alone, the milliseconds of a call by its kind; of Busframe, how many calls were made."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=PYTHON, help="(default: %(default)s)")
    parser.add_argument("--count", type=int, default=2000, help="messages (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    programs = {
        "Busframe": [sys.executable, str(HERE / "with_busframe.py")],
        FLOOR: [sys.executable, str(HERE / "with_boto3.py")],
    }
    arguments: dict[str, tuple[str, ...]] = {"Busframe": (), FLOOR: ()}
    for name, (program, package, more) in PEERS.items():
        if not is_installed(package, options.peers):
            print(f"{name} is not installed: make bench-peers")
            continue
        programs[name] = [str(options.peers), str(HERE / program)]
        arguments[name] = more
    used: dict[str, list[Used]] = {name: [] for name in programs}
    for _ in range(options.rounds):
        for name, command in programs.items():
            with run_in_thread() as server:
                used[name].append(run([*command, server.url, str(options.count), *arguments[name]], options.count))
    print_table(used)
    print_floor(used, options.count)
    return 0


def is_installed(package: str, python: Path) -> bool:
    return python.exists() and not subprocess.run([str(python), "-c", f"import {package}"], check=False).returncode


def run(command: list[str], count: int) -> Used:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    line = next((line for line in ended.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"{command} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    told = json.loads(line.removeprefix("RESULT "))
    if told["handled"] < count:
        raise RuntimeError(f"{command} handled {told['handled']} of {count}")
    return Used(told["cpu_s"] / count * 1000, count / told["wall_s"], told["calls"])


def print_table(used: dict[str, list[Used]]) -> None:
    ours = statistics.median(run.cpu_ms for run in used["Busframe"])
    print(f"\n{'':<32}{'CPU ms/message':>16}{'messages/CPU s':>16}{'times ours':>12}{'messages/s':>12}")
    for name, runs in used.items():
        cpu_ms = statistics.median(run.cpu_ms for run in runs)
        rate = statistics.median(run.per_second for run in runs)
        print(f"{name:<32}{cpu_ms:>16.3f}{1000 / cpu_ms:>16,.0f}{cpu_ms / ours:>12.1f}{rate:>12,.0f}")


def print_floor(used: dict[str, list[Used]], count: int) -> None:
    """How far above the floor Busframe is, and what makes the floor."""
    ours, floor = (statistics.median(run.cpu_ms for run in used[name]) for name in ("Busframe", FLOOR))
    print(
        f"\nBusframe takes {ours / floor:.2f} times the floor.\n"
        "CPU ms of a call of boto3, and calls of Busframe a message:"
    )
    for kind in used[FLOOR][0].calls or {}:
        cost_ms = statistics.median((run.calls or {})[kind] for run in used[FLOOR])
        calls = statistics.median((run.calls or {}).get(kind, 0) for run in used["Busframe"]) / count
        print(f"{kind:<32}{cost_ms:>16.3f}{calls:>16.3f}")


if __name__ == "__main__":
    sys.exit(main())
