"""anyio's own tests on the simulation's event loop: they say what programs may count on, and no schedule may break.

The suite is that of the version that is installed; pip fetches its source. Two tests may fail: they start a task and
yield once, and count on asyncio's exact order between the two, which trio would not keep either.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FILES = (
    "test_taskgroups.py",
    "test_synchronization.py",
    "test_functools.py",
    "test_futures.py",
    "test_itertools.py",
    "test_lowlevel.py",
    "test_contextmanagers.py",
    "streams/test_memory.py",
    "streams/test_stapled.py",
    "streams/test_buffered.py",
)
LEFT_OUT = ("tests/test_taskgroups.py::test_no_spin_on_done_task_in_cancel_scope",)
"""This one has a spy from another package."""

MAY_FAIL = {
    "test_synchronization.py::TestLock::test_cancel_after_release",
    "test_synchronization.py::TestSemaphore::test_cancel_after_release",
}

CONFTEST = """
import os
import sys

import pytest

from busframe.simulation.asyncio_loop import SimLoop
from busframe.simulation.schedule import Schedule
from busframe_emulator.delivery.choosers import Random

SEED = os.environ["CANARY_SEED"]

def make_loop():
    ask = None if SEED == "calm" else Random({"sched": 0.5}, int(SEED)).ask
    return SimLoop(Schedule(ask))

asyncio_params = [pytest.param(("asyncio", {"loop_factory": make_loop}), id="sim")]

@pytest.fixture(params=asyncio_params)
def anyio_backend(request):
    return request.param

def no_other_refs():
    return [sys._getframe(1)] if sys.version_info >= (3, 14) else []
"""


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("anyio")
    wanted = f"anyio=={version('anyio')}"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        "anyio",
        "-d",
        str(place),
    ]
    fetched = subprocess.run([*command, wanted], capture_output=True, text=True)  # noqa: PLW1510 - our own
    archives = list(place.glob("anyio-*.tar.gz"))
    if fetched.returncode or not archives:
        pytest.skip(f"pip does not get the source of {wanted}: {fetched.stderr.strip()[-200:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(place, filter="data")
    (source,) = place.glob("anyio-*/tests")
    tests = place / "tests"
    for name in FILES:
        (tests / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, tests / name)
    (tests / "conftest.py").write_text(CONFTEST)
    # One test wants it, for a spy, and it is nothing else's dependency here.
    (place / "pytest_mock.py").write_text("class MockerFixture: ...\n")
    for package in {(tests / name).parent for name in FILES}:
        (package / "__init__.py").touch()
    (place / "pytest.ini").write_text("[pytest]\naddopts = -p no:asyncio -p no:randomly\nanyio_mode = auto\n")
    return tests


def failed(suite: Path, seed: str) -> set[str]:
    """Run it, and give the names of the tests that failed."""
    deselected = [word for name in LEFT_OUT for word in ("--deselect", name)]
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", *deselected, "tests"]
    ran = subprocess.run(  # noqa: PLW1510 - our own
        command,
        cwd=suite.parent,
        env={"CANARY_SEED": seed, "PATH": "", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert re.search(r"\d{3} passed", ran.stdout), ran.stdout[-3_000:] + ran.stderr[-1_000:]
    return {
        re.sub(r"^tests/|\[.*", "", name) for name in re.findall(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
    }


@pytest.mark.parametrize("seed", ["calm", "0", "1", "2", "3", "4"])
def test_no_schedule_breaks_more_than_is_known(suite: Path, seed: str) -> None:
    assert failed(suite, seed) <= MAY_FAIL
