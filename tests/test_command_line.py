from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from busframe import cli

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.mark.parametrize("name", cli.FOUND)
def test_a_command_found_without_looking_is_the_one_that_looking_would_find(name: str) -> None:
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["busframe.commands"]
    assert declared[name] == ":".join(cli.FOUND[name])


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


def test_a_command_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["emulate"]) == 2
    assert "there is no command 'emulate'" in capsys.readouterr().err


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "busframe emulator" in capsys.readouterr().out
