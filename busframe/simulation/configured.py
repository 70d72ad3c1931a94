"""`simulate` as a test run has it set: seeds and profile from its command line, failures kept as files, replays.

The pytest plugin sets the options; without it everything is as the test says. What is said on the command line goes
before what the test says, which goes before the configuration file.
"""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, Unpack

from busframe.errors import InvalidArgumentError
from busframe.simulation import failure_file
from busframe.simulation.reporting import Failure, read_token
from busframe.simulation.simulate import SimulationFailedError, Summary, simulate
from busframe.simulation.simulate import replay as replay_script
from busframe.simulation.verdicts import DEFAULT_CHECKS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from busframe.simulation.running import Backend
    from busframe.simulation.sealing import Threads
    from busframe.simulation.sim import Sim
    from busframe.simulation.simulate import Determinism
    from busframe.simulation.trying import Scenario
    from busframe.simulation.verdicts import Check
    from busframe_emulator.delivery.profiles import Profile
    from busframe_emulator.delivery.scripts import Script

SEEDS: Final = 100
PROFILE: Final = "hostile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of a test run; None where nobody has said.

    Attributes:
        seeds, first_seed, profile, backend: from the command line.
        seeds_by_default, profile_by_default: from the configuration file.
        replay: a token, or the path of a failure file: run that alone.
        shrink: look for the smallest script.
        artifacts: where failures are written; None: nowhere.
        name: of the test that runs.
    """

    seeds: int | None = None
    first_seed: int = 0
    profile: str | None = None
    backend: Backend | Literal["both"] | None = None
    seeds_by_default: int = SEEDS
    profile_by_default: str = PROFILE
    replay: str | None = None
    shrink: bool = True
    artifacts: Path | None = None
    name: str | None = None


options: ContextVar[Options] = ContextVar("busframe_simulation_options")
_NOTHING_SAID: Final = Options()


class OtherReplayError(Exception):
    """The test run replays another scenario."""


class Settings(TypedDict, total=False):
    """What `simulate` takes besides the scenario."""

    seeds: int | Iterable[int]
    profile: str | Profile
    script: Script
    strict: bool
    backend: Backend | Literal["both"]
    checks: Sequence[Check]
    threads: Threads
    determinism: Determinism
    shrink: bool
    shrink_runs_max: int


def simulate_as_configured(scenario: Scenario, **settings: Unpack[Settings]) -> Summary | None:
    """Do what `simulate` does, with what the test run says before what is said here.

    Returns:
        None for a replay that did not fail.

    Raises:
        SimulationFailedError: see `simulate`; its text says how to replay with the tool that runs the tests.
        OtherReplayError: the test run replays another scenario.
    """
    __tracebackhide__ = True
    said = options.get(_NOTHING_SAID)
    name = said.name or scenario.__name__
    if said.replay is not None:
        _replay(scenario, said.replay, name, settings, said)
        return None
    try:
        return simulate(scenario, **_merged(settings, said), name=name)
    except SimulationFailedError as error:
        raise _with_artifact(error.failure, said) from None


def simulated(**settings: Unpack[Settings]) -> Callable[[Callable[..., Awaitable[object]]], Callable[..., None]]:
    """Make a test of a scenario: `@simulated(seeds=200)` above `async def test_checkout(sim): ...`.

    The test's further parameters are pytest's business: fixtures and parameters work as ever. What comes out is an
    ordinary function, so plugins for async tests leave it alone.
    """

    def decorate(scenario: Callable[..., Awaitable[object]]) -> Callable[..., None]:
        def call(fixtures: dict[str, Any]) -> None:
            named = partial(_call, scenario, fixtures)
            named.__name__ = scenario.__name__  # type: ignore[attr-defined]
            simulate_as_configured(named, **settings)

        return plain_test(scenario, "sim", call)

    return decorate


def plain_test(
    scenario: Callable[..., Awaitable[object]], first: str, call: Callable[[dict[str, Any]], None]
) -> Callable[..., None]:
    """Make an ordinary test function of an async one: without its first parameter, which `call` sees to.

    Args:
        scenario: the async one.
        first: how its first parameter has to be called.
        call: is handed the values of the others by name.
    """
    parameters = [*inspect.signature(scenario).parameters.values()]
    if not inspect.iscoroutinefunction(scenario) or not parameters or parameters[0].name != first:
        allowed = f"an 'async def' function whose first parameter is {first}"
        raise InvalidArgumentError("scenario", scenario, allowed)

    def test(**fixtures: Any) -> None:
        __tracebackhide__ = True
        call(fixtures)

    test.__name__ = scenario.__name__
    test.__qualname__ = scenario.__qualname__
    test.__doc__ = scenario.__doc__
    test.__module__ = scenario.__module__
    # Without __wrapped__: pytest plugins for async tests look through it.
    test.__signature__ = inspect.Signature(parameters[1:])  # type: ignore[attr-defined]
    return test


async def _call(scenario: Callable[..., Awaitable[object]], fixtures: dict[str, Any], sim: Sim) -> None:
    await scenario(sim, **fixtures)


def _merged(settings: Settings, said: Options) -> Settings:
    """What is said on the command line, then what the test says, then what the configuration file says."""
    merged: Settings = {"seeds": said.seeds_by_default, "profile": said.profile_by_default, **settings}
    if said.seeds is not None:
        merged["seeds"] = said.seeds
    seeds = merged["seeds"]
    if said.first_seed and isinstance(seeds, int):
        merged["seeds"] = range(said.first_seed, said.first_seed + seeds)
    if said.profile is not None:
        merged["profile"] = said.profile
    if said.backend is not None:
        merged["backend"] = said.backend
    if not said.shrink:
        merged["shrink"] = False
    return merged


def _with_artifact(failure: Failure, said: Options) -> SimulationFailedError:
    if said.name is not None:
        failure = replace(failure, replay_by=f"pytest '{said.name}' --busframe-replay=")
    error = SimulationFailedError(failure)
    if said.artifacts is not None:
        path = failure_file.save(failure, said.artifacts)
        error.add_note(f"  timeline: busframe timeline {path}")
    return error


def _replay(scenario: Scenario, replay: str, name: str, settings: Settings, said: Options) -> None:
    token = failure_file.load(Path(replay)).token if replay.endswith(".json") else replay
    told = read_token(token)
    if told.name != name:
        raise OtherReplayError(f"the replay is of {told.name}")
    run = replay_script(
        scenario,
        told.script,
        seed=told.seed,
        backend=told.backend,
        checks=settings.get("checks", DEFAULT_CHECKS),
        threads=settings.get("threads", "forbid"),
    )
    if run.violations:
        failure = Failure(
            name=name,
            backend=told.backend,
            profile="none: a replay",
            passed=0,
            is_calm=False,
            found=run,
            smallest=run,
            violation=run.violations[0],
            shrink_runs=0,
        )
        raise _with_artifact(failure, said)
