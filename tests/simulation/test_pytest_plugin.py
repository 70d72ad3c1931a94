"""Simulations inside a test run: options, marker, fixture, decorator, failure files, replays, other async plugins."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from busframe.errors import InvalidArgumentError
from busframe.simulation import Sim, failure_file, simulated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., pytest.RunResult]

pytest_plugins = ["pytester"]

TESTS = """
import pytest
from busframe.message import Acknowledge, Outgoing, QueueName
from busframe.errors import BackendError
from busframe.simulation import exactly_once, simulated

ORDERS = QueueName("orders")

async def scenario(sim):
    await sim.queue("orders")
    sim.check(exactly_once)

    async def worker(me):
        while True:
            try:
                for received in await me.backend.receive(ORDERS, limit=10, wait_s=20, lease_s=30):
                    sim.effect(received.body)
                    await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])
            except BackendError:
                pass

    sim.node("worker", worker)
    try:
        await sim.backend.send(ORDERS, [Outgoing(body="order")])
    except BackendError:
        pass
    await sim.quiesce()

SEEN = []

@simulated(profile="calm", seeds=7)
async def test_decorated(sim):
    SEEN.append(1)

@pytest.fixture
def name():
    return "order"

@pytest.mark.parametrize("count", [1, 2])
@simulated(profile="calm", seeds=1)
async def test_with_fixtures(sim, name, count):
    assert (name, count) in {("order", 1), ("order", 2)}

@pytest.mark.busframe(profile="calm", seeds=3)
def test_marked(simulation):
    async def nothing(sim):
        pass
    print("seeds", simulation(nothing).seeds)

def test_naive(simulation):
    simulation(scenario, seeds=200)
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the tests above in this process: an interpreter of its own for each run would take most of the time."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:asyncio")
    monkeypatch.setenv("COLUMNS", "200")
    pytester.makepyfile(test_shop=TESTS)

    def call(*arguments: str, config: str = "") -> pytest.RunResult:
        pytester.makeini(f"[pytest]\nanyio_mode = auto\n{config}")
        return pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", "-q", *arguments)

    return call


def test_a_failure_is_told_kept_in_a_file_and_replayed(run: Run, pytester: pytest.Pytester) -> None:
    ran = run()
    ran.assert_outcomes(passed=4, failed=1)
    said = ran.stdout.str()
    assert "exactly_once broken in test_shop.py::test_naive at seed" in said
    found = re.search(r"replay: pytest 'test_shop\.py::test_naive' --busframe-replay=(bf1\.\S+)", said)
    assert found
    (path,) = (pytester.path / ".busframe" / "failures").iterdir()
    saved = failure_file.load(path)
    assert saved.token == found[1]
    assert saved.report.splitlines()[0] in said
    assert [saved.entries[number].kind for number in saved.marked] == ["effect", "effect"]
    for replay in (found[1], str(path)):
        again = run(f"--busframe-replay={replay}")
        again.assert_outcomes(failed=1, skipped=4)
        assert "exactly_once broken" in again.stdout.str()
    assert failure_file.load(path).where == saved.where, "what the search wrote is still there"


def test_a_failure_is_told_although_its_file_cannot_be_written(run: Run, pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("taken").write_text("a file", encoding="utf-8")
    ran = run("--busframe-artifacts=taken", "-k", "naive")
    ran.assert_outcomes(failed=1, deselected=4)
    ran.stdout.fnmatch_lines(["*exactly_once broken*", "*timeline: none, since nothing could be written to *taken: *"])


METHODS = """
import pytest
from busframe.simulation import simulated

class TestShop:
    kept = 5

    @pytest.fixture
    def amount(self):
        return self.kept

    @simulated(seeds=2)
    async def test_in_a_class(self, sim, amount):
        assert self.kept == amount
        sim.note("seen")
"""


def test_methods_of_a_class_of_tests_are_scenarios_too(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_shop=METHODS)
    run().assert_outcomes(passed=1)


def test_marks_below_the_decorator_count_like_those_above_it() -> None:
    @simulated()
    @pytest.mark.skip
    @pytest.mark.parametrize("count", [1, 2])
    async def test(sim: Sim, count: int) -> None:
        """Is not run."""

    assert [mark.name for mark in test.pytestmark] == ["parametrize", "skip"]  # type: ignore[attr-defined]


def test_what_the_command_line_says_goes_before_the_test_and_that_before_the_configuration(run: Run) -> None:
    assert "seeds 3" in run("-s", "-k", "marked").stdout.str()
    assert "seeds 5" in run("-s", "-k", "marked", "--busframe-seeds=5").stdout.str()
    run("-k", "naive", "--busframe-profile=calm", "--busframe-seeds=2").assert_outcomes(passed=1)
    run("-k", "naive", "--busframe-seeds=2", config="busframe_profile = calm").assert_outcomes(passed=1)
    other = run("-k", "naive", "--busframe-backend=trio", "--busframe-no-shrink").stdout.str()
    assert "trio" in other
    assert "deviations ->" not in other


PLAIN_TESTS = (
    TESTS.partition("SEEN = []")[0]
    + """
from busframe.simulation import simulate

async def nothing(sim):
    pass

def test_other():
    print("seeds", simulate(nothing).seeds)

def test_plain():
    print("seeds", simulate(nothing, seeds=3, profile="calm").seeds)
    simulate(scenario, seeds=200)

def test_expected():
    with pytest.raises(AssertionError):
        simulate(scenario)
"""
)


def test_a_plain_simulation_heeds_the_command_line_too(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_shop=PLAIN_TESTS)
    ran = run("-s")
    ran.assert_outcomes(passed=2, failed=1)
    said = ran.stdout.str()
    assert "seeds 100" in said
    assert "exactly_once broken in scenario at seed" in said
    found = re.search(r"replay: pytest 'test_shop\.py::test_plain' --busframe-replay=(bf1\.\S+)", said)
    assert found
    (path,) = (pytester.path / ".busframe" / "failures").iterdir()
    for replay in (found[1], str(path)):
        again = run("-s", f"--busframe-replay={replay}")
        again.assert_outcomes(failed=1, skipped=2)
        assert "seeds 0" in again.stdout.str()
    assert "seeds 7" in run("-s", "-k", "other", "--busframe-seeds=7").stdout.str()
    assert "seeds 9" in run("-s", "-k", "other", config="busframe_seeds = 9").stdout.str()
    assert "trio" in run("-k", "plain", "--busframe-backend=trio").stdout.str()
    run("-k", "plain", "--busframe-profile=calm").assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_random_seed_is_said_so_that_it_can_be_repeated(run: Run) -> None:
    said = run("-k", "decorated", "--busframe-seed=random", "-v").stdout.str()
    found = re.search(r"--busframe-seed=(\d+)", said)
    assert found
    assert found[1] in run("-k", "decorated", f"--busframe-seed={found[1]}", "-v").stdout.str()


@pytest.mark.parametrize(
    ("arguments", "config", "said"),
    [
        (["--busframe-seed=soon"], "", "--busframe-seed=soon"),
        (["--busframe-profile=angry"], "", "angry"),
        ([], "busframe_seeds = many", "busframe_seeds = many"),
    ],
)
def test_options_that_are_none_are_refused_by_name(run: Run, arguments: list[str], config: str, said: str) -> None:
    ran = run("-k", "marked", *arguments, config=config)
    assert ran.ret != 0
    assert said in ran.stdout.str() + ran.stderr.str()


ASYNC_TESTS = (
    TESTS.replace("def test_naive", "def nobody")
    + """
@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_of_another_plugin():
    import asyncio
    await asyncio.sleep(0)

def test_a_simulation_within_it(simulation):
    async def nothing(sim):
        pass
    assert simulation(nothing, seeds=2, profile="calm").seeds == 2
"""
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugins", "config"),
    [
        (["no:asyncio"], "anyio_mode = auto"),
        (["no:anyio"], "asyncio_mode = auto"),
        ([], "asyncio_mode = auto"),
        ([], "anyio_mode = auto\nasyncio_mode = strict"),
    ],
    ids=["anyio alone", "pytest-asyncio alone", "pytest-asyncio beside anyio", "anyio beside pytest-asyncio"],
)
def test_simulations_run_beside_other_plugins_for_async_tests(tmp_path: Path, plugins: list[str], config: str) -> None:
    pytest.importorskip("pytest_asyncio")
    (tmp_path / "test_shop.py").write_text(ASYNC_TESTS)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{config}\n")
    less = [word for plugin in plugins for word in ("-p", plugin)]
    ran = pytest_alone("-p", "no:cacheprovider", "-p", "no:randomly", *less, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert "6 passed" in ran.stdout


@pytest.mark.slow
def test_a_run_without_simulations_imports_nothing_of_them(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\ndef test_it():\n"
        "    assert not [m for m in sys.modules if m.startswith(('busframe.', 'busframe_memory', 'hypothesis'))"
        " and m != 'busframe.pytest_plugin']\n"
    )
    ran = pytest_alone("-p", "no:cacheprovider", "-p", "no:hypothesispytest", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout


def pytest_alone(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=100)


def test_only_an_async_function_of_a_sim_is_a_scenario() -> None:
    async def other(thing: object) -> None: ...

    with pytest.raises(InvalidArgumentError, match="first parameter is sim"):
        simulated()(other)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 9}', "{}"])
def test_a_file_that_is_no_failure_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "failure.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"failure\.json|format 9"):
        failure_file.load(path)
