"""mypy and pyright, both strict, find in `cases/` the errors that are marked there, and no others."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"
ROOT = Path(__file__).parents[2]
MARK = re.compile(r"# error: mypy\[([\w,-]+)\] pyright\[([\w,]+)\]")

Errors = dict[tuple[str, int], set[str]]

pytestmark = pytest.mark.slow


def marked(checker: int) -> Errors:
    """The codes that the marks name, by file and line."""
    return {
        (path.name, number): set(mark.group(checker).split(","))
        for path in CASES.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if (mark := MARK.search(line))
    }


def test_mypy_finds_what_is_marked_and_nothing_else() -> None:
    pytest.importorskip("mypy")
    finished = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, CASES.glob("*.py"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1, finished.stdout + finished.stderr  # it found errors; 2 is a failure of its own
    found: Errors = defaultdict(set)
    for line in finished.stdout.splitlines():
        if match := re.fullmatch(r"\S*?(\w+\.py):(\d+): error: .*\[([\w-]+)\]", line):
            found[match[1], int(match[2])].add(match[3])
    assert dict(found) == marked(1)


def test_pyright_finds_what_is_marked_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    # A copy elsewhere: the project's own configuration leaves the cases out.
    shutil.copytree(CASES, tmp_path, dirs_exist_ok=True)
    settings = {"extraPaths": [str(ROOT)], "typeCheckingMode": "strict", "pythonVersion": "3.11"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    finished = subprocess.run(
        [sys.executable, "-m", "pyright", "--project", tmp_path, "--pythonpath", sys.executable, "--outputjson"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1, finished.stdout + finished.stderr
    found: Errors = defaultdict(set)
    for one in json.loads(finished.stdout)["generalDiagnostics"]:
        if one["severity"] == "error":
            found[Path(one["file"]).name, one["range"]["start"]["line"] + 1].add(one["rule"])
    assert dict(found) == marked(2)
