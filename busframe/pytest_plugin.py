"""pytest: options for simulations, a fixture to run them, failures kept as files.

    --busframe-seeds=N            how many seeds each simulation tries
    --busframe-seed=S             the first of them; `random` draws one, and says which
    --busframe-profile=NAME       calm, realistic, hostile or swarm
    --busframe-backend=NAME       asyncio, trio or both
    --busframe-replay=TOKEN|FILE  replay one failure; all other simulations are skipped
    --busframe-no-shrink          do not look for the smallest script
    --busframe-artifacts=DIR      where failures are written (.busframe/failures)

    [pytest] busframe_seeds, busframe_profile; @pytest.mark.busframe(seeds=..., profile=..., backend=...)

pytest loads this in every run of whoever has the package installed, so nothing is imported before it is used.
"""

from __future__ import annotations

import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from busframe.simulation.options import Options
    from busframe.simulation.simulate import Summary
    from busframe.simulation.trying import Scenario

_ARTIFACTS = ".busframe/failures"
_SEEDS_MAX = 1 << 31


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("busframe", "simulations of message delivery")
    group.addoption("--busframe-seeds", type=int, metavar="N", help="how many seeds each simulation tries")
    group.addoption(
        "--busframe-seed", metavar="S", default="0", help="the first seed; 'random' draws one and prints it"
    )
    group.addoption("--busframe-profile", choices=("calm", "realistic", "hostile", "swarm"), help="how hostile it is")
    group.addoption("--busframe-backend", choices=("asyncio", "trio", "both"), help="the event loop")
    group.addoption("--busframe-replay", metavar="TOKEN|FILE", help="replay one failure, skip all other simulations")
    group.addoption("--busframe-no-shrink", action="store_true", help="do not look for the smallest script")
    group.addoption("--busframe-artifacts", metavar="DIR", default=_ARTIFACTS, help="where failures are written")
    parser.addini("busframe_seeds", "how many seeds each simulation tries (100)", default="100")
    parser.addini("busframe_profile", "calm, realistic, hostile (the default) or swarm", default="hostile")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and draw a seed if one is wanted."""
    config.addinivalue_line("markers", "busframe(seeds=, profile=, backend=): how the simulations of a test are run")
    seed = str(config.getoption("busframe_seed"))
    if seed == "random":
        config.option.busframe_seed = str(secrets.randbelow(_SEEDS_MAX))
    elif not seed.isdecimal():
        raise pytest.UsageError(f"--busframe-seed={seed}: not a whole number, and not 'random'")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which seed was drawn."""
    seed = config.getoption("busframe_seed")
    return f"busframe: simulations begin at seed {seed} (--busframe-seed={seed})" if seed != "0" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let simulations of a test know what the run says of them."""
    if "busframe.simulation.configured" not in sys.modules and item.get_closest_marker("busframe") is None:
        # Whatever this test is, nothing of it was made with the simulation.
        return (yield)
    from busframe.simulation import SimulationFailedError, configured, options  # nobody else should pay for it

    token = options.options.set(_options(item))
    try:
        return (yield)
    except options.OtherReplayError as other:
        pytest.skip(str(other))
    except SimulationFailedError as failed:
        configured.keep(failed)
        raise
    finally:
        options.options.reset(token)


@pytest.fixture
def simulation() -> Any:
    """`simulate` with the run's options: `simulation(scenario, seeds=200)`."""
    from busframe.simulation.configured import simulate_as_configured  # the same

    def run(scenario: Scenario, **settings: Any) -> Summary:
        return simulate_as_configured(scenario, **settings)

    return run


def _options(item: pytest.Item) -> Options:
    from busframe.simulation.options import Options  # the same

    config = item.config
    marker = item.get_closest_marker("busframe")
    said = Options(
        first_seed=int(str(config.getoption("busframe_seed"))),
        seeds_by_default=_whole_number(config.getini("busframe_seeds")),
        profile_by_default=config.getini("busframe_profile"),
        replay=config.getoption("busframe_replay"),
        shrink=not config.getoption("busframe_no_shrink"),
        artifacts=Path(config.rootpath, str(config.getoption("busframe_artifacts"))),
        test=item.nodeid,
    )
    marked = dict(marker.kwargs) if marker is not None else {}
    if unknown := marked.keys() - {"seeds", "profile", "backend"}:
        raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.busframe takes seeds, profile, backend, not {unknown}")
    spoken = {name: config.getoption(f"busframe_{name}") for name in ("seeds", "profile", "backend")}
    return replace(said, **{**marked, **{name: value for name, value in spoken.items() if value is not None}})


def _whole_number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise pytest.UsageError(f"busframe_seeds = {text}: not a whole number from 1")
    return int(text)
