"""The process is killed at random moments under load. Nothing that was answered for is lost, or comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from random import Random  # noqa: TID251 - seeded, though threads make each run another
from threading import Event
from typing import TYPE_CHECKING

import pytest
from emulator_data.asking import Asking
from emulator_data.killed import Client, Ledger, check

if TYPE_CHECKING:
    from pathlib import Path

QUEUES = ("standard", "ordered.fifo")
CLIENTS = 6
ROUNDS = 14
PORT_LINE_WORD = 2


class Program:
    """The emulator as a process."""

    def __init__(self, data: Path, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "busframe_emulator", "--port", "0", "--data", str(data), *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.port = int(line.split()[PORT_LINE_WORD].rpartition(":")[2])

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=30)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--flush",)], ids=["kept", "flushed"])
def test_a_process_killed_under_load_loses_nothing_answered_and_resurrects_nothing(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    chance = Random(1)  # noqa: S311 - not a secret
    ledger = Ledger()
    clients = [Client(f"c{number}", ledger, Random(number)) for number in range(CLIENTS)]  # noqa: S311 - as above
    program = Program(tmp_path, *options)
    try:
        asking = Asking(program.port)
        for name in QUEUES:
            asking.call(
                "CreateQueue", QueueName=name, Attributes={"FifoQueue": "true"} if name.endswith(".fifo") else {}
            )
        asking.close()
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in range(ROUNDS):
                running = [pool.submit(client.run, program.port, QUEUES) for client in clients]
                Event().wait(chance.choice((0.05, 0.3, 1.0)) * (1 + chance.random()))
                program.kill()
                for each in running:
                    each.result(30)
                program = Program(tmp_path, *options)
                check(ledger, QUEUES, program.port)
    finally:
        program.kill()
    assert sum(fate.deleted is True for fate in ledger.fates.values()) > 100
    assert sum(fate.sent is True for fate in ledger.fates.values()) > 500
