"""Each rule about who may import whom reports a breach."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BREACHES = [
    ("The bus has layers", "busframe/message.py", "import busframe.session"),
    ("The bus knows no backend", "busframe/session.py", "import busframe_memory"),
    ("Backends do not know each other", "backends/busframe_sqs/settings.py", "import busframe_sqlite"),
    ("Only the memory backend", "backends/busframe_sqlite/settings.py", "import busframe_emulator"),
    ("The emulator knows nothing", "emulator/busframe_emulator/wire/message.py", "import busframe.errors"),
    ("The engine is pure", "emulator/busframe_emulator/engine/timers.py", "import time"),
    ("The engine is pure", "emulator/busframe_emulator/delivery/chooser.py", "import random"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "file", "statement"), BREACHES)
def test_a_breach_is_reported(tmp_path: Path, rule: str, file: str, statement: str) -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.skip("import-linter is not installed: `make test-slow` installs it")
    for folder in ("busframe", "backends", "emulator"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{statement}\n")
    paths = ":".join(str(tmp_path / folder) for folder in (".", "backends", "emulator"))
    checked = subprocess.run(
        [lint, "--no-cache"], cwd=tmp_path, env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 1, checked.stdout + checked.stderr
    broken = [line for line in checked.stdout.splitlines() if "BROKEN" in line]
    assert len(broken) == 1
    assert broken[0].startswith(rule)
