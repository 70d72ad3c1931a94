from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint, version
from itertools import pairwise

import pytest
from command_help import DECLARED, help_of, inner_commands

from busframe import cli
from busframe.cli.summaries import SUMMARIES, summary


@pytest.mark.parametrize("name", cli.FOUND)
def test_a_command_found_without_looking_is_the_one_that_looking_would_find(name: str) -> None:
    assert DECLARED[name] == ":".join(cli.FOUND[name])


def test_starting_the_emulator_does_not_look_through_all_that_is_installed() -> None:
    late = "importlib.metadata", "shutil", "sqlite3", "xml.sax", "anyio", "busframe_emulator.api.reading"
    program = (
        "import sys, busframe.cli\n"
        "try: busframe.cli.main(['emulator', '--help'])\n"
        "except SystemExit: pass\n"
        f"sys.exit(' '.join(sys.modules.keys() & {set(late)}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Serve Amazon SQS" in done.stdout


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("emulate", "no command 'emulate'; did you mean `busframe emulator`?"),
        ("pek", "did you mean `busframe peek`?"),
        ("frobnicate", "`busframe --help` lists the commands"),
        ("--verbose", "no option '--verbose'; `busframe --help`"),
    ],
)
def test_a_command_that_is_not_there_is_named_and_the_nearest_suggested(
    capsys: pytest.CaptureFixture[str], given: str, advice: str
) -> None:
    assert cli.main([given]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert advice in said.err


@pytest.mark.parametrize("given", ["--help", "-h", "help"])
def test_help_says_of_each_command_what_it_is_for(capsys: pytest.CaptureFixture[str], given: str) -> None:
    assert cli.main([given]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line.startswith("  ")}
    assert said == SUMMARIES
    assert set(said) == set(DECLARED)
    assert max(map(len, lines)) <= 80


def test_without_a_command_help_is_a_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    said = capsys.readouterr()
    assert "usage: busframe" in said.err
    assert said.out == ""


def test_a_command_of_another_package_is_told_of_by_its_docstring_and_a_broken_one_named() -> None:
    ours = EntryPoint(name="other", value="busframe.cli.ps:main", group="busframe.commands")
    assert summary(ours) == "Run `busframe ps FILE` and return its exit code."
    broken = EntryPoint(name="broken", value="no_such_module:main", group="busframe.commands")
    assert summary(broken) == "(cannot be loaded: No module named 'no_such_module')"


def test_output_that_is_not_read_to_its_end_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "busframe", "check", "-"]
    header = '{"busframe_history": 1, "level": "engine"}'
    ran = subprocess.run(command, input=header.encode(), stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_the_package_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "busframe", "--version"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"busframe {version('busframe')}\n")


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_the_help_of_every_command_leaves_no_argument_unsaid(name: str) -> None:
    for words in ([name], *([name, command] for command in inner_commands(name))):
        text = help_of(*words)
        assert text.startswith(f"usage: busframe {words[0]}")
        lines = [*text.splitlines(), ""]
        # An argument stands two spaces in; its text follows after two more, or further in on the next line.
        bare = [
            line
            for line, below in pairwise(lines)
            if re.match(r"  \S", line) and "  " not in line.strip() and not below.startswith(" " * 12)
        ]
        assert bare in ([], ["  COMMAND"])  # its own commands, each with its text, are listed below that
