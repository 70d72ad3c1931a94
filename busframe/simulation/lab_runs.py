"""`lab`: a test of a bus's own handlers, in virtual time, in a calm world or against everything a broker may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar

from busframe.errors import InvalidArgumentError
from busframe.simulation.configured import plain_test, simulate_as_configured
from busframe.simulation.deviations import describe_all
from busframe.simulation.errors import SimulationError
from busframe.simulation.lab import Lab, open_lab, together
from busframe.simulation.narrating import LINES_MAX, narrate, written
from busframe.simulation.options import OtherReplayError, options
from busframe.simulation.reporting import Failure
from busframe.simulation.simulate import SimulationFailedError
from busframe.simulation.trying import NO_SCRIPT, Setting, try_calmly
from busframe.simulation.verdicts import raised_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from types import TracebackType

    from busframe.bus import Bus
    from busframe.simulation.configured import Settings
    from busframe.simulation.running import Backend
    from busframe.simulation.sealing import Threads
    from busframe.simulation.sim import Sim
    from busframe.simulation.trying import Run
    from busframe_emulator.delivery.profiles import Profile
    from busframe_emulator.delivery.scripts import Script

P = ParamSpec("P")
R = TypeVar("R")


def lab(
    bus: Bus,
    *others: Bus,
    seed: int | None = None,
    seeds: int | Iterable[int] | None = None,
    profile: str | Profile | None = None,
    script: Script = NO_SCRIPT,
    workers: int = 1,
    backend: Backend | Literal["both"] = "asyncio",
    threads: Threads = "forbid",
) -> Laboratory:
    """Test the handlers of a bus in virtual time.

        @lab(bus)
        async def test_billing(lab: Lab) -> None:
            await lab.publish(OrderPlaced("o1"))
            await lab.settle()
            assert lab.calls(bill) == [OrderPlaced("o1")]

    What comes out is an ordinary function that needs no plugin for async tests; the test's further parameters are
    fixtures as ever. `lab(bus).run(function)` runs an async function at once, and gives back what it returned.

    With none of `seed`, `seeds`, `profile` and `script` the world is calm. Otherwise the test runs in a calm world
    first and then as they say, and again for each step of a search for the smallest script that breaks it: what it
    changes has to be made anew inside of it.

    Args:
        bus: whose handlers run; what the test publishes and sends goes out as from it.
        others: more buses, for a system of several programs.
        seed: of one run in a hostile world.
        seeds: of many: how many, from 0, or which.
        profile: how hostile the world is, "hostile" unless something else is said.
        script: what is to happen, before chance; without seed and profile nothing else happens.
        workers: how many programs run the handlers of each bus. In a hostile world they are stopped and killed, too.
        backend: the event loop; "both" tries one after the other.
        threads: "forbid" refuses what is to run in a thread, "inline" runs it in place.

    Raises:
        InvalidArgumentError: there are both `seed` and `seeds`, or no workers.
    """
    if seed is not None and seeds is not None:
        raise InvalidArgumentError("seeds", seeds, "None where there is a seed")
    if workers < 1:
        raise InvalidArgumentError("workers", workers, "1 or more")
    hostile = seed is not None or seeds is not None or profile is not None
    settings: Settings = {"backend": backend, "threads": threads, "script": script, "checks": ()}
    if hostile:
        settings["profile"] = profile or "hostile"
        settings["seeds"] = seeds if seeds is not None else [seed or 0]
    elif script:
        settings["profile"] = "calm"
        settings["seeds"] = [0]
    return Laboratory((bus, *others), settings, workers=workers, calm=not hostile and not script)


class Laboratory:
    """Made by `lab`; a decorator."""

    def __init__(self, buses: Sequence[Bus], settings: Settings, *, workers: int, calm: bool) -> None:
        self._buses = buses
        self._settings = settings
        self._workers = workers
        self._calm = calm

    def __call__(self, test: Callable[Concatenate[Lab, P], Awaitable[object]]) -> Callable[P, None]:
        """Make an ordinary test of an async one."""

        def call(fixtures: dict[str, Any]) -> None:
            __tracebackhide__ = True

            async def with_fixtures(lab: Lab) -> object:
                __tracebackhide__ = True
                return await test(lab=lab, **fixtures)  # type: ignore[call-arg,arg-type]

            with_fixtures.__name__ = getattr(test, "__name__", "test")
            self.run(with_fixtures)

        return plain_test(test, "lab", call)

    def run(self, test: Callable[[Lab], Awaitable[R]]) -> R:
        """Run an async function in the lab, outside any event loop.

        Returns:
            What it returned; in the last run, where there are several.

        Raises:
            Exception: what it raised in a calm world, with a note of what happened.
            SimulationFailedError: it raised in a hostile one; an AssertionError with a report.
            OtherReplayError: the test run replays another one.
        """
        __tracebackhide__ = True
        together(self._buses)
        runs = _Runs(test, self._buses, self._workers)
        if self._calm:
            backend = self._settings.get("backend", "asyncio")
            backends: Sequence[Backend] = ("asyncio", "trio") if backend == "both" else (backend,)
            for one in backends:
                self._run_calmly(runs, one)
        else:
            self._run_hostile(runs)
        return runs.returned[-1]

    def _run_calmly(self, runs: _Runs[Any], backend: Backend) -> None:
        __tracebackhide__ = True
        if options.get().replay is not None:
            raise OtherReplayError("there is nothing to replay in a calm world")
        threads = self._settings.get("threads", "forbid")
        setting = Setting(scenario=runs.scenario, backend=backend, checks=(), threads=threads, logs=True)
        run = try_calmly(setting)
        if runs.raised is not None:
            runs.raised.add_note(_what_happened(run))
            raise runs.raised.with_traceback(runs.traceback)
        if run.violations:
            raise SimulationFailedError(_failure(runs.scenario.__name__, backend, run))

    def _run_hostile(self, runs: _Runs[Any]) -> None:
        __tracebackhide__ = True
        try:
            summary = simulate_as_configured(runs.scenario, **self._settings)
        except SimulationFailedError as failed:
            # What the test itself raised has the lines and the values.
            raise failed from runs.all_raised.get(failed.failure.violation.text)
        if summary.unused:
            lines = "".join(f"\n  {line}" for line in describe_all(summary.unused))
            raise SimulationError(f"what the script says never came up:{lines}")


class _Runs(Generic[R]):
    """All runs of one test."""

    def __init__(self, test: Callable[[Lab], Awaitable[R]], buses: Sequence[Bus], workers: int) -> None:
        self._test = test
        self._buses = buses
        self._workers = workers
        self.returned: list[R] = []
        self.raised: Exception | None = None
        self.traceback: TracebackType | None = None
        self.all_raised: dict[str, Exception] = {}
        self.scenario = self._scenario()

    def _scenario(self) -> Callable[[Sim], Awaitable[None]]:
        async def scenario(sim: Sim) -> None:
            __tracebackhide__ = True
            async with open_lab(sim, self._buses, workers=self._workers) as lab:
                try:
                    self.returned[:] = [await self._test(lab)]
                except Exception as error:
                    # Nobody who reads this wants to see how the test was called.
                    self.traceback = error.__traceback__ and error.__traceback__.tb_next
                    self.raised = self.all_raised[raised_text(error)] = error
                    raise

        scenario.__name__ = getattr(self._test, "__name__", "test")
        return scenario


def _what_happened(run: Run) -> str:
    lines = written(narrate(run.entries, {}, {}), run.bodies)
    if len(lines) > LINES_MAX:
        lines = [f"... {len(lines) - LINES_MAX} before ...", *lines[-LINES_MAX:]]
    return "\n".join(["what happened (virtual seconds):", *(f"  {line}" for line in lines)])


def _failure(name: str, backend: Backend, run: Run) -> Failure:
    return Failure(
        name=name,
        backend=backend,
        profile="calm",
        passed=0,
        is_calm=True,
        found=run,
        smallest=run,
        violation=run.violations[0],
        shrink_runs=0,
    )
