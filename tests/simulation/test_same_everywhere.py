"""One seed gives one run: in this process, in others, under other hash seeds, and on other versions of Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from simulation.digests import FILE, digests


def test_seeds_come_to_what_they_came_to_on_other_versions_of_python() -> None:
    assert digests() == json.loads(FILE.read_text()), f"if that is meant to be: python tests/simulation/{FILE.stem}.py"


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_seeds_come_to_the_same_in_other_processes_and_under_other_hash_seeds(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    script = str(FILE.with_suffix(".py"))
    command = [sys.executable, script]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert json.loads(printed.stdout) == json.loads(FILE.read_text())
