"""The conformance kit on trial itself: for each of its checks there is a broken backend that it finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from kit import broken_backends

from busframe.testing import BackendConformance

if TYPE_CHECKING:
    from collections.abc import Mapping

BROKEN = Path(broken_backends.__file__)
CHECKS = sorted(name.removeprefix("test_") for name in dir(BackendConformance) if name.startswith("test_"))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], set[str]]:
    """What became of each check (its parameters together) on each backend: passed, failure, error, skipped."""
    report = tmp_path_factory.mktemp("kit") / "report.xml"
    command = [sys.executable, "-m", "pytest", str(BROKEN), f"--junit-xml={report}", "-q"]
    ran = subprocess.run(
        [*command, "-p", "no:randomly", "-p", "no:cacheprovider"],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert report.exists(), ran.stdout + ran.stderr
    verdicts: dict[tuple[str, str], set[str]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
        backend = case.attrib["classname"].rpartition(".Test")[2]
        check = case.attrib["name"].partition("[")[0].removeprefix("test_")
        verdicts.setdefault((backend, check), set()).add(case[0].tag if len(case) else "passed")
    return verdicts


def test_the_sound_backend_passes_every_check(verdicts: Mapping[tuple[str, str], set[str]]) -> None:
    wrong = {key: fates for key, fates in verdicts.items() if key[0] == "Sound" and fates - {"passed", "skipped"}}
    assert not wrong
    assert {check for backend, check in verdicts if backend == "Sound"} == set(CHECKS)


def test_every_defect_is_found_by_the_checks_that_it_names(verdicts: Mapping[tuple[str, str], set[str]]) -> None:
    missed = [
        (defect.__name__, check)
        for defect in broken_backends.DEFECTS
        for check in defect.found_by
        if not verdicts.get((defect.__name__, check), set()) & {"failure", "error"}
    ]
    assert not missed


def test_every_check_finds_a_defect() -> None:
    found = {check for defect in broken_backends.DEFECTS for check in defect.found_by}
    assert sorted(found) == CHECKS
