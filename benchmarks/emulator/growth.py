"""Does any operation of the engine get slower as queues get deeper, or as there are more of them?

Every operation is measured in a small world and in a large one, in turns, each world in a process of its own. One step
of an operation is `STEPS` requests of its kind; what has to be there before and what is left over is not counted. What
is taken is processor time, since nothing here waits, and the best of several, since whatever disturbs only adds.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.emulator.growth_world import LEAST, MESSAGE_STEPS, QUEUE_STEPS, STEPS, MessageWorld, QueueWorld
from benchmarks.emulator.table import Asked, Row

if TYPE_CHECKING:
    from collections.abc import Generator
    from multiprocessing.connection import Connection

FEW_MESSAGES = 1_000
FEW_QUEUES = 10
MANY_QUEUES = 10_000
ASKED = Asked(bound=1.5, upward=False)
REPEATS = 3  # steps in a row, so that the processor's caches are a world's own


def message_rows(many: int, *, rounds: int) -> list[Row]:
    """From few to `many` messages, on a standard and on a FIFO queue."""
    made: list[Row] = []
    for kind in ("standard", "FIFO"):
        with _world(kind, FEW_MESSAGES) as small, _world(kind, many) as large:
            names = [name for name in MESSAGE_STEPS if kind == "standard" or name not in MessageWorld.STANDARD_ONLY]
            made += [_row(f"{kind}: {name}", name, small, large, rounds) for name in names]
    return made


def queue_rows(*, rounds: int) -> list[Row]:
    """From few to many queues."""
    with _world("queues", FEW_QUEUES) as small, _world("queues", MANY_QUEUES) as large:
        return [_row(name, name, small, large, rounds) for name in QUEUE_STEPS]


def _row(case: str, name: str, small: Connection, large: Connection, rounds: int) -> Row:
    best_s = {False: float("inf"), True: float("inf")}
    for _ in range(rounds):
        for is_large, world in ((False, small), (True, large)):
            for _ in range(REPEATS):
                world.send(name)
                best_s[is_large] = min(best_s[is_large], world.recv())
    few_us, many_us = (best_s[is_large] / STEPS * 1e6 for is_large in (False, True))
    ratio = many_us / few_us
    measured = Row(case=case, busframe=f"{few_us:.1f} and {many_us:.1f} us", ratio=f"{ratio:.2f}")
    if name == LEAST:
        return measured
    return replace(
        measured,
        asked=str(ASKED),
        met=ASKED.verdict(ratio),
    )


@contextmanager
def _world(kind: str, count: int) -> Generator[Connection]:
    """A world in a process of its own, that measures a step for each name it is sent."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, kind, count), daemon=True)
    process.start()
    try:
        assert here.recv() == "ready"
        yield here
    finally:
        here.close()
        process.join(20)
        if process.is_alive():
            process.kill()


def _serve(connection: Connection, kind: str, count: int) -> None:
    world = QueueWorld(count) if kind == "queues" else MessageWorld(count, fifo=kind == "FIFO")
    connection.send("ready")
    try:
        while True:
            name = connection.recv()
            before, step, after = world.steps[name]
            before()
            began = time.process_time()
            step()
            taken_s = time.process_time() - began
            after()
            connection.send(taken_s)
    except (EOFError, BrokenPipeError):
        pass
