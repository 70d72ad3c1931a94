"""Requests a second over HTTP, and processor time per message. The load is wrk's."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.emulator.server import BUSFRAME, Server, on_core
from benchmarks.emulator.table import Asked, Row, compared

LOAD = Path(__file__).with_name("load.lua")
CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    shown: str
    messages: float  # that a request stands for
    asked: Asked


CASES = (
    Case("send", "SendMessage 100 B", 1, Asked(bound=1.6, aim=2.0)),
    Case("send_4k", "SendMessage 4 KiB", 1, Asked(bound=1.4, aim=1.8)),
    Case("send_batch", "SendMessageBatch 10 x 100 B", 10, Asked(bound=1.1, aim=1.3)),
    Case("cycle", "send, receive, delete one by one", 1 / 3, Asked(bound=1.6, aim=2.0)),
    Case("cycle_batch", "send 10, receive 10, delete 10", 10 / 3, Asked(bound=1.3, aim=1.6)),
    Case("empty_receive", "empty receive", 1, Asked(bound=1.7, aim=2.2)),
    Case("fifo_send", "FIFO send", 1, Asked(bound=1.6, aim=2.0)),
)


@dataclass(frozen=True, slots=True)
class Measured:
    per_second: float
    cpu_us: float
    refused: int


def rows(peer: list[str] | None, *, rounds: int, seconds: int) -> list[Row]:
    """Let the servers take turns, case by case."""
    made: list[Row] = []
    for case in CASES:
        ours: list[Measured] = []
        theirs: list[Measured] = []
        for _ in range(rounds):
            ours.append(measure(BUSFRAME, case, seconds))
            if peer is not None:
                theirs.append(measure(peer, case, seconds))
        row = compared(case.shown, rate(ours), rate(theirs) if theirs else None, "{:,.0f}/s", case.asked)
        made.append(with_cpu(row, ours, theirs))
    return made


def rate(runs: list[Measured]) -> float:
    return median(run.per_second for run in runs)


def with_cpu(row: Row, ours: list[Measured], theirs: list[Measured]) -> Row:
    def told(rate: str, runs: list[Measured]) -> str:
        if not runs:
            return rate
        refused = sum(run.refused for run in runs)
        return f"{rate}, {median(run.cpu_us for run in runs):.1f} us" + (f" ({refused} refused)" if refused else "")

    return Row(
        case=row.case,
        busframe=told(row.busframe, ours),
        peer=told(row.peer, theirs),
        ratio=row.ratio,
        asked=row.asked,
        met=row.met,
    )


def measure(command: list[str], case: Case, seconds: int) -> Measured:
    with Server(command) as server:
        environment = {
            **os.environ,
            "CASE": case.name,
            "QUEUE_URL": server.client.queue("bench"),
            "FIFO_URL": server.client.queue("bench.fifo", FifoQueue="true"),
        }
        before_s = server.cpu_s()
        load = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(LOAD), f"http://127.0.0.1:{server.port}"]
        output = subprocess.run(
            [*on_core(1), *load], env=environment, capture_output=True, text=True, check=True, timeout=seconds + 60
        ).stdout
        used_s = server.cpu_s() - before_s
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    requests, duration_us, refused, broken = map(int, line.split()[1:])
    assert broken == 0, output
    messages = requests * case.messages
    return Measured(messages / duration_us * 1e6, used_s / messages * 1e6, refused)
