"""Hypothesis: scripts as inputs, single runs, state machines in virtual time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.stateful import run_state_machine_as_test
from simulation.apps import ORDERS, careful, naive

from busframe.errors import InvalidArgumentError
from busframe.message import Acknowledge, Outgoing
from busframe.simulation import DeadlockError, SimulationFailedError, exactly_once
from busframe.testing.hypothesis import (
    Script,
    SimMachine,
    faults,
    initialize,
    invariant,
    rule,
    run_once,
    scripts,
    sites,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe.simulation.nodes import Incarnation

SEARCH = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    phases=[Phase.generate, Phase.shrink],
)


def breaks(script: Script) -> bool:
    try:
        run_once(naive, script)
    except SimulationFailedError:
        return True
    return False


def test_a_catalog_names_the_sites_that_come_up_in_a_calm_run() -> None:
    catalog = sites(naive)
    assert ("recv.dup", ("orders", 1, 1)) in catalog
    assert ("net", ("test", "send", 1)) in catalog
    assert ("node.crash", ("worker[0]", 1)) in catalog
    assert len(catalog) == len(set(catalog))


@pytest.mark.parametrize("known", ["a catalog", "names"])
def test_what_breaks_the_naive_consumer_is_found_and_shrunk_to_two_faults_at_most(known: str) -> None:
    strategy = (
        scripts(catalog=sites(naive))
        if known == "a catalog"
        else scripts(queues=["orders"], nodes=["test", "worker[0]", "worker[1]"])
    )
    smallest = find(strategy, breaks, settings=SEARCH)
    assert 1 <= len(smallest) <= 2


@pytest.mark.slow
@settings(SEARCH, max_examples=200)
@given(script=scripts(catalog=sites(careful)))
def test_the_careful_consumer_bears_everything(script: Script) -> None:
    run_once(careful, script)


def test_a_failing_example_is_told_with_the_report_and_replayed_from_the_database() -> None:
    tried: list[Script] = []

    @settings(SEARCH, database=InMemoryExampleDatabase(), phases=tuple(Phase), derandomize=False)
    @given(script=scripts(catalog=sites(naive), only=["recv.dup"]))
    def test(script: Script) -> None:
        tried.append(script)
        run_once(naive, script)

    with pytest.raises(SimulationFailedError, match=r"is delivered twice[\s\S]*allowed:[\s\S]*replay: bf1\."):
        test()
    smallest = tried[-1]
    tried.clear()
    with pytest.raises(SimulationFailedError):
        test()
    assert tried[0] == smallest


def test_a_run_that_breaks_nothing_is_given_back() -> None:
    run = run_once(careful, Script([("recv.dup", ("orders", 1, 1), 1)]))
    assert not run.violations
    assert len(run.fired) == 1


@pytest.mark.parametrize(
    "wrong",
    [lambda: faults(), lambda: scripts(queues=["orders"], only=["recv.nothing"]), lambda: scripts(only=["sched"])],  # noqa: PLW0108
)
def test_what_cannot_be_drawn_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgumentError):
        wrong()


# --- state machines -------------------------------------------------------------------------------------------------

MACHINE = settings(SEARCH, max_examples=60, stateful_step_count=12)


class Racing(SimMachine):
    """Two workers that look whether an order is done, take their time, and then do it."""

    @initialize()
    async def open(self) -> None:
        await self.sim.queue("orders")
        self.done: set[str] = set()
        self.sim.node("worker", self.work, count=2, mortal=False)

    async def work(self, me: Incarnation) -> None:
        while True:
            for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                if received.body not in self.done:
                    await anyio.sleep(1)
                    self.done.add(received.body)
                    self.sim.effect(received.body)
                await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

    @rule(number=st.integers(0, 2))
    async def send(self, number: int) -> None:
        await self.sim.backend.send(ORDERS, [Outgoing(body=f"order {number}")])

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds: int) -> None:
        self.advance(seconds)

    @invariant()
    def nothing_is_done_twice(self) -> None:
        self.check(exactly_once_so_far)


def exactly_once_so_far(outcome: Any, calm: Any) -> Any:
    return [one for one in exactly_once(outcome, calm) if "effects" in one.text]


def test_a_machine_finds_a_race_and_the_steps_that_make_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match=r"'order \d' has 2 effects[\s\S]*<< exactly_once") as caught:
        run_state_machine_as_test(Racing, settings=MACHINE)
    steps = "\n".join([*getattr(caught.value, "__notes__", ()), capsys.readouterr().out])
    assert len(re.findall(r"\.send\(number=", steps)) == 2
    assert len(re.findall(r"\.wait\(seconds=", steps)) <= 1


class Disturbed(SimMachine):
    """A program without a race, and a world that is told what to do."""

    @initialize()
    async def open(self) -> None:
        await self.sim.queue("orders")

    @rule(fault=faults(queues=["orders"], nodes=["test"], only=["recv.dup"]))
    def let_it(self, fault: tuple[str, tuple[str | int, ...], int]) -> None:
        self.disturb(*fault)

    @rule()
    async def send_and_receive(self) -> None:
        await self.sim.backend.send(ORDERS, [Outgoing(body="order")])
        for _ in range(2):
            for received in await self.sim.backend.receive(ORDERS, limit=1, wait_s=1, lease_s=30):
                self.sim.effect(received.body, str(self.now_s))

    @invariant()
    async def as_many_as_were_sent(self) -> None:
        outcome = await self.sim.outcome()
        assert len(outcome.effects.get("order", ())) <= outcome.left.get("orders", 0)


def test_a_machine_may_have_things_happen() -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Disturbed, settings=MACHINE)


def test_a_rule_that_waits_for_ever_is_told() -> None:
    class Stuck(SimMachine):
        @rule()
        async def wait(self) -> None:
            await anyio.Event().wait()

    with pytest.raises(DeadlockError, match=r"every task waits"):
        run_state_machine_as_test(Stuck, settings=MACHINE)


def test_what_nobody_knows_cannot_be_had_happen() -> None:
    class Wrong(SimMachine):
        @rule()
        def wrong(self) -> None:
            self.disturb("recv.nothing", ("orders", 1), 1)

    with pytest.raises(InvalidArgumentError, match=r"recv\.nothing"):
        run_state_machine_as_test(Wrong, settings=MACHINE)
