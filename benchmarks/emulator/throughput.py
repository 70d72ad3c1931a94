"""Requests a second over HTTP, and processor time per message. The load is wrk's."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.emulator.server import BUSFRAME, Server, on_core
from benchmarks.emulator.table import Asked, Row

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


UNDISTURBED = 0.8
"""A server that has its core to itself is busy for nearly all of the time, since the load leaves it no pause."""


@dataclass(frozen=True, slots=True)
class Measured:
    per_second: float
    cpu_us: float
    busy: float
    refused: int


@dataclass(frozen=True, slots=True)
class Runs:
    """The medians of several."""

    per_second: float
    cpu_us: float
    busy: float
    refused: int

    @classmethod
    def of(cls, runs: list[Measured]) -> Runs:
        return cls(
            median(run.per_second for run in runs),
            median(run.cpu_us for run in runs),
            median(run.busy for run in runs),
            sum(run.refused for run in runs),
        )

    def __str__(self) -> str:
        refused = f" ({self.refused} refused)" if self.refused else ""
        return f"{self.per_second:,.0f}/s, {self.cpu_us:.1f} us{refused}"


def rows(peer: list[str] | None, *, rounds: int, seconds: int) -> tuple[list[Row], list[str]]:
    """Let the servers take turns, case by case: the rows, and what is to be said of them."""
    made: list[Row] = []
    least_busy = 1.0
    for case in CASES:
        ours: list[Measured] = []
        theirs: list[Measured] = []
        for _ in range(rounds):
            ours.append(measure(BUSFRAME, case, seconds))
            if peer is not None:
                theirs.append(measure(peer, case, seconds))
        row, busy = _row(case, Runs.of(ours), Runs.of(theirs) if theirs else None)
        made.append(row)
        least_busy = min(least_busy, busy)
    notes = ["The second figure is the server's processor time per message."]
    if least_busy < UNDISTURBED:
        notes.append(
            f"The machine had other things to do: a server had its core for {least_busy:.0%} of the time only. Rates "
            "then say little, so rows marked CPU go by processor time per message."
        )
    return made, notes


def _row(case: Case, ours: Runs, theirs: Runs | None) -> tuple[Row, float]:
    if theirs is None:
        return Row(case=case.shown, busframe=str(ours), asked=f"{case.asked} of the peer"), ours.busy
    by_rate, by_cpu = ours.per_second / theirs.per_second, theirs.cpu_us / ours.cpu_us
    busy = min(ours.busy, theirs.busy)
    undisturbed = busy >= UNDISTURBED
    row = Row(
        case=case.shown,
        busframe=str(ours),
        peer=str(theirs),
        ratio=f"{by_rate:.2f}, CPU {by_cpu:.2f}",
        asked=f"{case.asked} of the peer",
        met=case.asked.verdict(by_rate) if undisturbed else f"{case.asked.verdict(by_cpu)} (CPU)",
    )
    return row, busy


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
    return Measured(messages / duration_us * 1e6, used_s / messages * 1e6, used_s / duration_us * 1e6, refused)
