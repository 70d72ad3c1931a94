"""Hypothesis: scripts of what a broker may do as one more input, and state machines in virtual time.

    @given(script=scripts(catalog=sites(checkout)))
    def test_checkout(script: Script) -> None:
        run_once(checkout, script=script)

A script is drawn before the run, and nothing is drawn inside it: so Hypothesis shrinks scripts as it shrinks any list,
its example database replays them, and no run depends on what Hypothesis does meanwhile. Needs `busframe[hypothesis]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import hypothesis
from hypothesis import strategies as st

from busframe.errors import InvalidArgumentError
from busframe.simulation.reporting import Failure
from busframe.simulation.shrinking import STRONG
from busframe.simulation.simulate import SimulationFailedError
from busframe.simulation.trying import NO_SCRIPT, Setting, asked_sites, try_calmly, try_script
from busframe.simulation.verdicts import DEFAULT_CHECKS
from busframe.testing.machine import SimMachine, initialize, invariant, rule
from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import SITES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from busframe.simulation.running import Backend
    from busframe.simulation.sealing import Threads
    from busframe.simulation.trying import Run, Scenario
    from busframe.simulation.verdicts import Check
    from busframe_emulator.delivery.chooser import Key

    Site = tuple[str, Key]
    Fault = tuple[str, Key, int]

__all__ = ["Script", "SimMachine", "faults", "initialize", "invariant", "rule", "run_once", "scripts", "sites"]

FAULTS_MAX: Final = 12
NTH_MAX: Final = 8
"""How far the counters in drawn keys go: small scenarios are what finds bugs, and what is understood."""

_STRONG_WEIGHT: Final = 4
_OPERATIONS: Final = ("send", "receive", "settle", "extend")
_EVENTS: Final = ("sent", "received", "effect", "acknowledged")
_known_calm: WeakKeyDictionary[Any, dict[Any, Run]] = WeakKeyDictionary()


def sites(scenario: Scenario, *, backend: Backend = "asyncio", threads: Threads = "forbid") -> list[Site]:
    """Run a scenario in a calm world, and tell at which sites something could have been chosen, in order."""
    return asked_sites(Setting(scenario=scenario, backend=backend, threads=threads))


def faults(
    *,
    catalog: Sequence[Site] = (),
    queues: Sequence[str] = (),
    nodes: Sequence[str] = (),
    only: Collection[str] = tuple(SITES),
) -> st.SearchStrategy[Fault]:
    """One deviation from calm: a site, a key and an answer.

    Args:
        catalog: what `sites` gave: keys that come up.
        queues: their names; keys with small counters are drawn for these.
        nodes: the same for these, such as "worker[0]"; the scenario itself is "test".
        only: these sites.

    Raises:
        InvalidArgumentError: there is no such site, or nothing to draw from.
    """
    for site in only:
        if site not in SITES:
            raise InvalidArgumentError("only", site, f"among {', '.join(SITES)}")
    kinds: list[st.SearchStrategy[Fault]] = []
    for site in SITES:
        if site in only:
            keys = [key for known, key in catalog if known == site]
            drawn = ([st.sampled_from(keys)] if keys else []) + _keys(site, queues, nodes)
            # One that can break a program by itself is drawn oftener than those that matter beside others, if at all.
            drawn *= _STRONG_WEIGHT if site in STRONG else 1
            kinds += [st.tuples(st.just(site), one, _answers(site)) for one in drawn]
    if not kinds:
        raise InvalidArgumentError("catalog", list(catalog), "not empty where neither queues nor nodes are named")
    return st.one_of(kinds)


def scripts(
    *,
    catalog: Sequence[Site] = (),
    queues: Sequence[str] = (),
    nodes: Sequence[str] = (),
    only: Collection[str] = tuple(SITES),
    faults_max: int = FAULTS_MAX,
) -> st.SearchStrategy[Script]:
    """Scripts of up to `faults_max` deviations; the other arguments as for `faults`. They shrink toward calm."""
    one = faults(catalog=catalog, queues=queues, nodes=nodes, only=only)
    return st.lists(one, max_size=faults_max, unique_by=lambda fault: fault[:2]).map(Script)


def run_once(
    scenario: Scenario,
    script: Script = NO_SCRIPT,
    *,
    seed: int = 0,
    backend: Backend = "asyncio",
    checks: Sequence[Check] = DEFAULT_CHECKS,
    threads: Threads = "forbid",
    name: str | None = None,
) -> Run:
    """Run a scenario exactly as a script says, and raise if that breaks something.

    Inside a test of Hypothesis it tells how many deviations came up, as an event, and how many messages were delivered
    again, as a target. A function that is run several times runs in a calm world once, to be compared with.

    Raises:
        SimulationFailedError: an AssertionError whose text is the report.
    """
    setting = Setting(scenario=scenario, backend=backend, checks=checks, threads=threads)
    calm = _calm(setting)
    run = calm if calm.violations else try_script(setting, script, seed, calm=calm.outcome)
    if hypothesis.currently_in_test_context():
        hypothesis.event(f"deviations that came up: {len(run.fired)}")
        again = sum(entry.kind == "received" and entry.delivery > 1 for entry in run.entries)
        hypothesis.target(float(again), label="deliveries of a message that was delivered before")
    if run.violations:
        raise SimulationFailedError(
            Failure(
                name=name or str(getattr(scenario, "__name__", "scenario")),
                backend=backend,
                profile="none: a script",
                passed=0,
                is_calm=run is calm,
                found=run,
                smallest=run,
                violation=run.violations[0],
                shrink_runs=0,
                calm_entries=calm.entries,
            )
        )
    return run


def _calm(setting: Setting) -> Run:
    try:
        known = _known_calm.setdefault(setting.scenario, {})
    except TypeError:  # what cannot be referred to weakly is run each time
        return try_calmly(setting)
    conditions = (setting.backend, setting.threads, tuple(setting.checks))
    if conditions not in known:
        known[conditions] = try_calmly(setting)
    return known[conditions]


def _answers(site: str) -> st.SearchStrategy[int]:
    about = SITES[site]
    simple = st.just(about.simple)
    return simple if about.low == about.high else st.one_of(simple, st.integers(about.low, about.high))


def _keys(site: str, queues: Sequence[str], nodes: Sequence[str]) -> list[st.SearchStrategy[Key]]:
    """Keys of a site for some queues and nodes, with small counters."""
    # Most things happen once or twice: the first delivery of a message, the second message.
    few = st.just(1) | st.integers(1, 3)
    nth = st.integers(1, 3) | st.integers(1, NTH_MAX)
    queue, node = (st.sampled_from(names) if names else st.nothing() for names in (queues, nodes))
    operation, event = st.sampled_from(_OPERATIONS), st.sampled_from(_EVENTS)
    forms: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
        "recv.pick": (queue, nth, st.integers(0, NTH_MAX)),
        "recv.dup": (queue, nth, few),
        "delete.zombie": (queue, nth, few),
        "delete.stale": (queue, nth, few),
        "queue.lag": (queue, st.sampled_from(["created", "deleted"]), few),
        "net": (node, operation, nth),
        "net.request": (node, operation, nth),
        "net.answer": (node, operation, nth),
        "batch.partial": (node, nth, st.integers(0, 9)),
        "node.crash": (node, few),
        "node.stop": (node, few),
        "node.crash_on": (node, event, nth),
        "node.stop_on": (node, event, nth),
        "node.restart": (node, few),
        "node.pause": (node, operation, nth),
        # Tasks and the application's own choices are known from a catalog only.
        "sched": (st.nothing(),),
        "app": (st.nothing(),),
    }
    key = st.tuples(*forms.get(site, (queue, nth)))
    return [] if key.is_empty else [key]
