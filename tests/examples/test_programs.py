"""Each example does what its head says."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(program: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


def test_the_batch_handler_stores_every_measurement_in_few_transactions(tmp_path: Path) -> None:
    output = run("batch_handler.py", cwd=tmp_path).stdout
    stored, transactions, retried, rejected = [int(word) for word in output.replace(";", "").split() if word.isdigit()]
    assert (stored, rejected) == (999, 1)
    assert 10 <= transactions <= 100
    assert retried > 0


def test_the_pull_consumer_leaves_what_it_has_no_money_for(tmp_path: Path) -> None:
    output = run("pull_consumer.py", cwd=tmp_path).stdout
    translated, cents, left = [int(word) for word in output.split() if word.isdigit()]
    assert translated + left == 12 - 1  # one was dropped
    assert 0 <= cents < 24


def test_the_migration_loses_nothing_and_drops_what_comes_twice(tmp_path: Path) -> None:
    output = run("migration.py", cwd=tmp_path).stdout
    assert "done: 200 invoices for 200 orders, 100 duplicates dropped" in output


def test_the_worker_computes_checksums_and_ends_when_nothing_is_left(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(20):
        (files / f"{number}.txt").write_text("hello\n" * number)
    assert run("worker.py", "send", files, cwd=tmp_path).stdout == "sent 20 commands\n"
    (files / "19.txt").unlink()
    worked = run("worker.py", "work", "--until-empty", cwd=tmp_path)
    assert worked.stdout == "handled 19, dead-lettered 1\n"
    lines = (tmp_path / "results.txt").read_text().splitlines()
    assert len(lines) == 19
    assert f"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  {files}/1.txt" in lines
    logged = [json.loads(line) for line in worked.stderr.splitlines()]
    assert sum("message_id" in line and line["event"] == "computed a checksum" for line in logged) == 19
    assert any("dead-lettered" in line["event"] for line in logged)


def test_the_worker_drains_when_it_is_told_to_stop(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "worker.py"), "work"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as worker:
        assert worker.stderr is not None
        assert "working" in worker.stderr.readline()
        folder = tmp_path / "files"
        folder.mkdir()
        (folder / "one.txt").write_text("one")
        run("worker.py", "send", folder, cwd=tmp_path)
        assert "computed" in worker.stderr.readline()
        worker.send_signal(signal.SIGTERM)
        output, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors
    assert output.startswith("handled ")


@pytest.mark.anyio
async def test_the_same_worker_runs_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    worker = importlib.import_module("worker")
    monkeypatch.setattr(worker, "results", tmp_path / "results.txt")
    (tmp_path / "one.txt").write_text("one")
    with anyio.fail_after(30):
        async with worker.bus.connect("memory://") as live:
            await live.send(worker.ComputeChecksum(str(tmp_path / "one.txt")))
            await live.send(worker.ComputeChecksum(str(tmp_path / "none.txt")))
            await live.work(until_empty=True)
            counts = live.counts["demo-checksum-compute"]
    assert (counts.handled, counts.dead_lettered) == (1, 1)
    assert (tmp_path / "results.txt").read_text().endswith(f"  {tmp_path}/one.txt\n")
