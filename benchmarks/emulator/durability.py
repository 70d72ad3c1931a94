"""What it costs to keep everything: throughput with `--data`, beside the same emulator without.

Each commit is flushed to the disk before it is answered for, so that the disk decides: the title says what a flush
costs there, in the directory this was started in.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.emulator.server import BUSFRAME
from benchmarks.emulator.table import Asked, Row, compared
from benchmarks.emulator.throughput import CASES, Measured, Runs, measure

ASKED = Asked(bound=0.5)
_FLUSHES = 100


def rows(*, rounds: int, seconds: int) -> list[Row]:
    """Let the two take turns, case by case. Each turn begins with an empty directory."""
    made: list[Row] = []
    for case in CASES:
        kept: list[Measured] = []
        forgotten: list[Measured] = []
        for _ in range(rounds):
            with ExitStack() as stack:
                directory = stack.enter_context(TemporaryDirectory(prefix=".durability-", dir=Path.cwd()))
                kept.append(measure([*BUSFRAME[:-1], "--data", directory, BUSFRAME[-1]], case, seconds))
            forgotten.append(measure(BUSFRAME, case, seconds))
        ours, theirs = Runs.of(kept), Runs.of(forgotten)
        row = compared(case.shown, ours.per_second, theirs.per_second, "{:,.0f}/s", ASKED)
        made.append(replace(row, busframe=str(ours), peer=str(theirs)))
    return made


def flush_us() -> float:
    """What it costs to have four kilobytes on the disk, at the least."""
    with TemporaryDirectory(prefix=".durability-", dir=Path.cwd()) as directory:
        descriptor = os.open(Path(directory) / "flushed", os.O_CREAT | os.O_RDWR)
        try:
            os.pwrite(descriptor, b"\0" * 4096 * _FLUSHES, 0)
            os.fsync(descriptor)
            taken: list[float] = []
            for number in range(_FLUSHES):
                os.pwrite(descriptor, b"x" * 4096, number * 4096)
                began = time.perf_counter()
                os.fdatasync(descriptor)
                taken.append(time.perf_counter() - began)
        finally:
            os.close(descriptor)
    return median(taken) * 1e6
