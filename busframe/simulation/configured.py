"""Tests that are simulations: a decorator, `simulate` by the name of the test, and failures kept as files."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from busframe.errors import InvalidArgumentError
from busframe.simulation import failure_file
from busframe.simulation.options import options
from busframe.simulation.simulate import SimulationFailedError, Summary, simulate

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


def simulate_as_configured(scenario: Scenario, **settings: Unpack[Settings]) -> Summary:
    """Do what `simulate` does, under the name of the test that runs."""
    __tracebackhide__ = True
    return simulate(scenario, **settings, name=options.get().test or scenario.__name__)


def keep(error: SimulationFailedError) -> None:
    """Write a failure that ends a test to where the test run wants it, and say where that is."""
    said = options.get()
    if said.artifacts is not None:
        try:
            path = failure_file.save(error.failure, said.artifacts)
        except OSError as refused:
            # What broke is worth more than its file.
            error.add_note(f"  timeline: none, since nothing could be written to {said.artifacts}: {refused}")
        else:
            error.add_note(f"  timeline: busframe timeline {path}")


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
        scenario: the async one; of a class of tests, a method, whose first parameter but `self` is meant.
        first: how its first parameter has to be called.
        call: is handed the values of the others by name.
    """
    parameters = [*inspect.signature(scenario).parameters.values()]
    is_method = bool(parameters) and parameters[0].name == "self"
    names = [parameter.name for parameter in parameters[is_method:]]
    if not inspect.iscoroutinefunction(scenario) or names[:1] != [first]:
        allowed = f"an 'async def' function whose first parameter is {first}"
        raise InvalidArgumentError("scenario", scenario, allowed)

    def test(*instance: Any, **fixtures: Any) -> None:
        __tracebackhide__ = True
        call({**dict(zip(("self",), instance, strict=False)), **fixtures})

    test.__name__ = scenario.__name__
    test.__qualname__ = scenario.__qualname__
    test.__doc__ = scenario.__doc__
    test.__module__ = scenario.__module__
    # The marks of decorators that stand below this one.
    vars(test).update({name: value for name, value in vars(scenario).items() if name != "__wrapped__"})
    # Without __wrapped__: pytest plugins for async tests look through it.
    test.__signature__ = inspect.Signature([one for one in parameters if one.name != first])  # type: ignore[attr-defined]
    return test


async def _call(scenario: Callable[..., Awaitable[object]], fixtures: dict[str, Any], sim: Sim) -> None:
    await scenario(sim=sim, **fixtures)
