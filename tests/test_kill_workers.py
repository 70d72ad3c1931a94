"""The same workers, on SQLite and on SQS, killed at any moment: what is done in the end is what was asked for."""

from __future__ import annotations

import os
import random  # noqa: TID251 - a seeded generator of its own
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

PROGRAM = Path(__file__).parent.parent / "examples" / "worker.py"
FILES = 600
WORKERS = 3
KILLS = 8
PATIENCE_S = 100
LOOK_S = 0.02


@contextmanager
def broker(kind: str, folder: Path) -> Generator[tuple[str, Mapping[str, str]], None, None]:
    """Give the URL of a broker, and what has to stand in the environment for it."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/work.db", {}
        return
    with run_in_thread() as emulator:
        keys = {"AWS_ACCESS_KEY_ID": "anything", "AWS_SECRET_ACCESS_KEY": "anything"}
        yield f"sqs://us-east-1?endpoint_url={emulator.url}&wait_s=1", keys


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["sqlite", "sqs"])
def test_workers_killed_at_random_moments_lose_nothing(tmp_path: Path, kind: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - not a secret
    files = tmp_path / "files"
    files.mkdir()
    wanted = {str(files / f"{number}.txt") for number in range(FILES)}
    for path in wanted:
        Path(path).write_text(path)
    results = tmp_path / "results.txt"

    def done() -> set[str]:
        # The last line of a worker that was killed may be cut off: it counts when it is written again.
        lines = results.read_text().splitlines(keepends=True) if results.exists() else []
        return {line.split("  ", 1)[1].rstrip("\n") for line in lines if line.endswith(".txt\n")}

    with broker(kind, tmp_path) as (url, environment), ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, str(PROGRAM), *arguments, "--url", url]
            process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        assert start("send", str(files)).wait(timeout=PATIENCE_S) == 0
        workers = [start("work", "--results", str(results)) for _ in range(WORKERS)]
        kills = 0
        seen, next_kill = 0, chance.randint(1, FILES // KILLS)
        waited = Event()
        for _ in range(round(PATIENCE_S / LOOK_S)):
            seen = len(done())
            if seen == FILES:
                break
            if kills < KILLS and seen >= next_kill:
                victim = chance.randrange(WORKERS)
                workers[victim].kill()
                workers[victim].wait()
                workers[victim] = start("work", "--results", str(results))
                kills += 1
                next_kill = seen + chance.randint(1, FILES // KILLS)
            waited.wait(LOOK_S)
        assert kills > 0
        assert done() == wanted
