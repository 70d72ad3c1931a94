"""The options of the command line that have to do with all this."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from emulator_control.asking import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []
    source = str(Path(__file__).parents[2] / "emulator")

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "busframe_emulator", "--port", "0", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def ask(process: subprocess.Popen[str]) -> Ask:
    assert process.stdout is not None
    return Ask(int(process.stdout.readline().split()[2].rpartition(":")[2]))


def complaint(process: subprocess.Popen[str]) -> str:
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert said.count("\n") == 1
    return said


def test_all_options_work_together(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    file = tmp_path / "queues.toml"
    file.write_text('[[queue]]\nname = "orders"\n')
    options = ("--config", str(file), "--clock", "manual", "--control-token", "t", "--log", "--region", "eu-west-1")
    process = start(*options)
    server = ask(process)
    assert server.get("/_busframe/clock").status == 401
    assert server.get("/_busframe/clock", Authorization="Bearer t").document["mode"] == "manual"
    [queue] = server.get("/_busframe/queues", Authorization="Bearer t").document["queues"]
    assert (queue["name"], queue["region"]) == ("orders", "eu-west-1")
    assert process.stdout is not None
    assert process.stdout.readline().split()[1:4] == ["GET", "/_busframe/clock", "401"]


def test_a_fault_in_the_file_is_said_in_one_line(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    file = tmp_path / "queues.toml"
    file.write_text('[[queue]]\nname = "orders"\nattributes = { VisibilityTimeout = -1 }\n')
    said = complaint(start("--config", str(file)))
    assert said.startswith(f'busframe emulator: {file}: queue "orders": VisibilityTimeout: ')


def test_an_empty_token_is_none_that_could_be_given(start: Callable[..., subprocess.Popen[str]]) -> None:
    assert complaint(start("--control-token", "")) == "busframe emulator: the control token is empty\n"
