"""Many runs of a scenario, the first that breaks something shrunk to what breaks it.

    async def checkout(sim: Sim) -> None: ...

    def test_checkout() -> None:
        simulate(checkout, seeds=200, profile="hostile")

First the scenario runs in a calm world, twice: what fails there needs no adversary, and what differs is kept from one
run to the next. The first seed runs twice, and both runs must be the same to the step, or something outside the
simulation decides. Then seed after seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from busframe.errors import InvalidArgumentError
from busframe.simulation.deviations import describe_all
from busframe.simulation.errors import NondeterminismError
from busframe.simulation.hazards import find_hazards
from busframe.simulation.narrating import told
from busframe.simulation.options import OtherReplayError, options
from busframe.simulation.replaying import read_replay, replay
from busframe.simulation.reporting import Failure, report
from busframe.simulation.running import many_runs
from busframe.simulation.schedule import Trace
from busframe.simulation.shrinking import RUNS_MAX, Shrinker, plain_faults
from busframe.simulation.trying import NO_SCRIPT, Run, Setting, asked_sites, try_calmly, try_script, try_seed
from busframe.simulation.verdicts import DEFAULT_CHECKS, Violation
from busframe_emulator.delivery.profiles import PROFILES, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from busframe.simulation.options import Options
    from busframe.simulation.running import Backend
    from busframe.simulation.sealing import Threads
    from busframe.simulation.trying import Scenario
    from busframe.simulation.verdicts import Check, Outcome
    from busframe_emulator.delivery.chooser import Key
    from busframe_emulator.delivery.scripts import Script

Determinism = Literal["first", "always", "off"]


class SimulationFailedError(AssertionError):
    """A run broke something; the text is the report.

    Attributes:
        failure: what, and how it is replayed.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(report(failure))
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a search that found nothing has tried.

    Attributes:
        seeds: how many runs, besides the calm one.
        deviations: in all of them.
        sometimes: by name, in how many runs it was true.
        unused: entries of the script that came up in no run.
        hazards: what is dangerous although nothing went wrong, in the calm run: the first of each kind (`hazards`).
    """

    seeds: int
    deviations: int
    sometimes: dict[str, int]
    unused: Script = NO_SCRIPT
    hazards: tuple[Violation, ...] = ()


def simulate(
    scenario: Scenario,
    *,
    seeds: int | Iterable[int] | None = None,
    profile: str | Profile | None = None,
    script: Script = NO_SCRIPT,
    strict: bool = False,
    backend: Backend | Literal["both"] = "asyncio",
    checks: Sequence[Check] = DEFAULT_CHECKS,
    threads: Threads = "forbid",
    determinism: Determinism = "first",
    shrink: bool = True,
    shrink_runs_max: int = RUNS_MAX,
    name: str | None = None,
) -> Summary:
    """Run a scenario under many seeds, and raise at the first run that breaks something.

    Inside a test of pytest what its command line says (`--busframe-seeds=1000`) goes before what is said here.

    Args:
        scenario: an async function of a `Sim`.
        seeds: how many, from 0, or which; None: as many as pytest's configuration says, or 100.
        profile: how hostile the world is: "calm", "realistic", "hostile", "swarm", or odds of your own; None: as
            pytest's configuration says, or hostile.
        script: goes before chance in every run: faults that are to happen (`busframe.testing.faults`).
        strict: an entry of the script that came up in no run is a failure, `unused`.
        backend: the event loop; "both" tries one after the other.
        checks: asked of every run, besides those that the scenario asks for.
        threads: "forbid" refuses what is to run in a thread, "inline" runs it in place.
        determinism: run the first seed twice and compare, or every seed, or none.
        shrink: look for the smallest script that breaks the same thing.
        shrink_runs_max: how many runs that may take.
        name: of the scenario, in the report; its own if None.

    Raises:
        SimulationFailedError: an AssertionError whose text says what broke, why it was allowed, and how to replay it.
        InvalidArgumentError: there is no seed to try, or no such profile.
        NondeterminismError: one seed gave two runs.
        OtherReplayError: the test run replays another test; this one is skipped.
    """
    __tracebackhide__ = True
    said = options.get()
    name = name or scenario.__name__
    if said.replay is not None:
        return _replay(scenario, said.replay, name, said, checks=checks, threads=threads)
    _require_known("backend", backend, ("asyncio", "trio", "both"))
    _require_known("threads", threads, ("forbid", "inline"))
    _require_known("determinism", determinism, ("first", "always", "off"))
    known = _profile(said.choose_profile(profile))
    backend = said.backend or backend
    backends: Sequence[Backend] = ("asyncio", "trio") if backend == "both" else (backend,)
    numbers = _numbers(said.choose_seeds(seeds))
    summary = Summary(seeds=0, deviations=0, sometimes={})
    with many_runs():
        for one in backends:
            setting = Setting(scenario=scenario, backend=one, checks=checks, threads=threads)
            search = _Search(setting, known, script, name=name, shrink=shrink and said.shrink, runs_max=shrink_runs_max)
            summary = search.run(numbers, determinism, strict=strict)
    return summary


def _replay(
    scenario: Scenario, text: str, name: str, said: Options, *, checks: Sequence[Check], threads: Threads
) -> Summary:
    """Do what the test run says: one failure once more, and no other."""
    __tracebackhide__ = True
    told = read_replay(text)
    if told.test not in ("", said.test) or (not told.test and told.name != name):
        raise OtherReplayError(f"the replay is of {told.test or told.name}")
    if told.name != name:
        return Summary(seeds=0, deviations=0, sometimes={})  # another simulation of the same test
    run = replay(scenario, text, checks=checks, threads=threads)
    if run.violations:
        raise SimulationFailedError(
            Failure(
                name=name,
                backend=told.backend,
                profile="none: a replay",
                is_replay=True,
                passed=0,
                is_calm=run.is_calm,
                found=run,
                smallest=run,
                violation=run.violations[0],
                shrink_runs=0,
                replay_by=said.replay_by,
                test=said.test or "",
            )
        )
    sometimes = {name: int(seen) for name, seen in run.sometimes.items()}
    return Summary(seeds=1, deviations=len(run.fired), sometimes=sometimes, unused=run.unused)


def _numbers(seeds: int | Iterable[int]) -> Sequence[int]:
    numbers: Sequence[int] = range(seeds) if isinstance(seeds, int) else list(seeds)
    if not numbers or not all(isinstance(number, int) for number in numbers):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped code
        # With none the test would pass whatever the program does.
        raise InvalidArgumentError("seeds", seeds, "how many, 1 or more, or which, at least one, such as [7]")
    return numbers


class _Search:
    def __init__(
        self, setting: Setting, profile: Profile, script: Script, *, name: str, shrink: bool, runs_max: int
    ) -> None:
        self._setting = setting
        self._profile = profile
        self._script = script
        self._name = name
        self._shrinks = shrink
        self._runs_max = runs_max
        self._calm = Run(seed=0)

    def run(self, seeds: Sequence[int], determinism: Determinism, *, strict: bool) -> Summary:
        calm = try_calmly(self._setting)
        self._calm = calm
        if calm.violations:
            self._fail(calm, None, passed=0)
        if determinism != "off":
            self._require_nothing_kept()
        deviations = tried = 0
        sometimes = dict.fromkeys(calm.sometimes, 0)
        unused = self._script
        for seed in seeds:
            compares = determinism == "always" or (determinism == "first" and not tried)
            run = self._twice(seed, calm.outcome) if compares else self._try(seed, calm.outcome)
            if run.violations:
                run = self._judged_again(run)
            if run.violations:
                self._fail(run, self._calm.outcome, passed=tried)
            tried += 1
            deviations += len(run.fired)
            unused = unused.common(run.unused)
            for name, seen in run.sometimes.items():
                sometimes[name] = sometimes.get(name, 0) + seen
        self._require_sometimes(calm, sometimes, tried)
        if strict and unused and tried:
            self._fail_unused(calm, unused, tried)
        return Summary(
            seeds=tried,
            deviations=deviations,
            sometimes=sometimes,
            unused=unused,
            hazards=find_hazards(calm.entries, calm.bodies, calm.unread),
        )

    def _try(self, seed: int, calm: Outcome, trace: Trace | None = None) -> Run:
        return try_seed(self._setting, self._profile, seed, calm=calm, first=self._script, trace=trace)

    def _judged_again(self, run: Run) -> Run:
        """Compare a run with a calm world of its own seed: what the program itself leaves to chance breaks nothing."""
        if run.seed == self._calm.seed:
            return run
        self._calm = try_calmly(self._setting, run.seed)
        return self._try(run.seed, self._calm.outcome)

    def _twice(self, seed: int, calm: Outcome) -> Run:
        return self._compared(f"seed {seed}", lambda trace: self._try(seed, calm, trace))

    def _compared(self, which: str, run: Callable[[Trace], Run]) -> Run:
        """Run twice, and make sure that both went the same way."""
        traces = Trace(keep=True), Trace(keep=True)
        one, two = (run(trace) for trace in traces)
        difference = traces[0].difference(traces[1])
        if difference is None and one.entries != two.entries:
            difference = _first_difference(one, two)
        if difference is not None:
            raise NondeterminismError(
                f"{self._name}, {which}, went two ways, so something outside the simulation decides (state kept "
                "between runs, such as a variable of a module; a set ordered by address; a clock or chance taken "
                f"before the run); {difference}"
            )
        return one

    def _require_nothing_kept(self) -> None:
        """Run calmly once more: what the program keeps from one run to the next would be taken for a delivery bug."""
        again = try_calmly(self._setting, self._calm.seed)
        if again.entries != self._calm.entries:
            raise NondeterminismError(
                f"{self._name} in a calm world came to something else than at first, so it keeps something from one "
                "run to the next, such as a variable of a module, which the scenario should make anew; or something "
                "outside the simulation decides, such as a set ordered by address; "
                + _first_difference(self._calm, again)
            )

    def _fail(self, run: Run, calm: Outcome | None, *, passed: int, of_search: bool = False) -> None:
        violation = run.violations[0]
        smallest, runs = run, 0
        if calm is not None and self._shrinks:
            smallest, runs = self._shrink(run, violation, calm)
            if not smallest.fired:
                self._require_nothing_kept()
        raise SimulationFailedError(
            Failure(
                name=self._name,
                backend=self._setting.backend,
                profile=self._profile.name,
                passed=passed,
                is_calm=calm is None,
                of_search=of_search,
                found=run,
                smallest=smallest,
                violation=smallest.violations[0] if smallest.violations else violation,
                shrink_runs=runs,
                calm_entries=self._calm.entries,
                hazards=find_hazards(self._calm.entries, self._calm.bodies, self._calm.unread),
                replay_by=options.get().replay_by,
                test=options.get().test or "",
            )
        )

    def _shrink(self, run: Run, violation: Violation, calm: Outcome) -> tuple[Run, int]:
        best = run

        def fails(script: Script) -> Script | None:
            nonlocal best
            tried = try_script(self._setting, script, run.seed, calm=calm)
            same = [one for one in tried.violations if one.check == violation.check]
            if not same:
                return None
            # What is asked for first is what the report shows.
            tried.violations = [*same, *(one for one in tried.violations if one not in same)]
            best = tried
            return tried.fired

        def instead(entries: Sequence[tuple[str, Key, int]]) -> Iterable[tuple[str, Key, int]]:
            return plain_faults(asked_sites(self._setting, run.seed), like=entries)

        shrinker = Shrinker(fails, instead=instead, runs_max=self._runs_max)
        smallest = shrinker.shrink(run.fired)
        fails(smallest)
        return best, shrinker.runs

    def _fail_unused(self, calm: Run, unused: Script, tried: int) -> None:
        text = f"what the script says came up in none of {tried} runs: {'; '.join(describe_all(unused))}"
        calm.violations.append(Violation(check="unused", text=text))
        self._fail(calm, None, passed=tried, of_search=True)

    def _require_sometimes(self, calm: Run, sometimes: dict[str, int], tried: int) -> None:
        never = [name for name, count in sometimes.items() if not count and not calm.sometimes.get(name)]
        if never and tried:
            text = f"never true in {tried} runs: {', '.join(never)}; the simulation may be trying nothing"
            calm.violations.append(Violation(check="vacuous", text=text))
            self._fail(calm, None, passed=tried, of_search=True)


def _first_difference(one: Run, two: Run) -> str:
    for first, second in zip_longest(one.entries, two.entries):
        if first != second:
            ways = (told(entry, one.bodies) if entry else "its end" for entry in (first, second))
            return "first difference: " + "; the other time: ".join(ways)
    return "no difference in what was recorded"


def _require_known(parameter: str, value: object, allowed: Sequence[str]) -> None:
    """What is not known would be taken for something else, and the search would try that."""
    if value not in allowed:
        raise InvalidArgumentError(parameter, value, f"one of {', '.join(allowed)}")


def _profile(profile: str | Profile) -> Profile:
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise InvalidArgumentError("profile", profile, f"one of {', '.join(PROFILES)}, or a Profile")
    return PROFILES[profile]
