"""Scenarios under many seeds: what is found, shrunk, told and replayed, on both event loops."""

from __future__ import annotations

import random  # noqa: TID251 - what a program may use is what is tried
import secrets
import uuid
from random import choice  # noqa: TID251 - taken before the run
from typing import TYPE_CHECKING

import anyio
import pytest
from simulation.apps import ORDERS, careful, naive, send_orders, send_surely, work

from busframe.errors import BackendError, InvalidArgumentError
from busframe.message import Acknowledge, Outgoing
from busframe.simulation import (
    NondeterminismError,
    Sim,
    SimulationFailedError,
    exactly_once,
    failure_file,
    per_key_order,
    replay,
    simulate,
)
from busframe.simulation.reporting import Failure, read_token, replay_token
from busframe.testing import faults as f
from busframe_emulator.delivery.profiles import HOSTILE
from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import NetFault
from busframe_emulator.engine import receiving

if TYPE_CHECKING:
    from pathlib import Path

    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.record import Entry
    from busframe.simulation.running import Backend
    from busframe_emulator.engine.message import Message
    from busframe_emulator.engine.queue import Queue
    from busframe_emulator.engine.requests import Delivery


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    kind: Backend = request.param
    return kind


def test_a_naive_consumer_is_caught_and_the_reason_shrinks_to_few_deviations(backend: Backend) -> None:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(naive, backend=backend)
    failure = caught.value.failure
    assert failure.violation.check == "exactly_once"
    assert len(failure.smallest.fired) <= 3
    assert len(failure.found.fired) > 10
    report = str(caught.value)
    assert "exactly_once broken in naive at seed" in report
    assert report.count("<<") >= 2


def test_a_careful_one_passes(backend: Backend) -> None:
    summary = simulate(careful, seeds=60, backend=backend)
    assert summary.seeds == 60
    assert summary.deviations > 60


def test_a_failure_replays_from_its_token_to_the_same_run(backend: Backend) -> None:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(naive, backend=backend)
    failure = caught.value.failure
    token = replay_token(failure)
    assert token in str(caught.value)
    told = read_token(token)
    run = replay(naive, told.script, seed=told.seed, backend=told.backend)
    assert run.entries == failure.smallest.entries
    assert run.violations[0].text == failure.violation.text


def test_a_failure_replays_from_the_word_and_from_the_file_that_it_is_told_by(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(naive, backend=backend)
    failure = caught.value.failure
    path = failure_file.save(failure, tmp_path)
    for told in (replay_token(failure), f"pytest 'x' --busframe-replay={replay_token(failure)}", path, str(path)):
        run = replay(naive, told)
        assert run.entries == failure.smallest.entries
        assert run.violations[0].text == failure.violation.text


@pytest.mark.parametrize("token", ["x", "bf0.abc", "bf1.!!!!", "bf1.abcd"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        read_token(token)


def failure_of(backend: Backend, seeds: int | list[int] = 100) -> Failure:
    """What is found first in the naive scenario, as it was found."""
    with pytest.raises(SimulationFailedError) as caught:
        simulate(naive, seeds=seeds, backend=backend, shrink=False)
    return caught.value.failure


def test_one_seed_gives_one_run(backend: Backend) -> None:
    first = failure_of(backend).found
    again = [failure_of(backend, [first.seed]).found for _ in range(2)]
    assert first.entries == again[0].entries == again[1].entries


def test_the_whole_script_replays_to_the_run_it_was_recorded_from(backend: Backend) -> None:
    found = failure_of(backend).found
    run = replay(naive, found.fired, seed=found.seed, backend=backend)
    # What is late is told where a script says it.
    assert [entry for entry in run.entries if entry.kind != "late"] == found.entries


def test_a_bug_that_needs_no_adversary_is_told_without_one() -> None:
    async def slow(sim: Sim) -> None:
        """A handler that takes longer than its lease."""
        await sim.queue("orders", lease_s=30)
        sim.check(exactly_once)

        async def worker(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    await anyio.sleep(45)
                    sim.effect(received.body)
                    await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

        sim.node("worker", worker, count=2)
        await send_orders(sim, 1)
        await sim.quiesce()

    with pytest.raises(SimulationFailedError, match="in a calm world"):
        simulate(slow)


def test_two_runs_of_a_seed_that_differ_are_told_with_their_first_difference() -> None:
    lives: list[int] = []

    async def forgetful(sim: Sim) -> None:
        lives.append(1)
        await sim.queue("orders")
        await anyio.sleep(len(lives))
        await send_orders(sim, 1)

    with pytest.raises(NondeterminismError, match=r"first difference: 1\.000000 .* the other time: 2\.000000 "):
        simulate(forgetful, seeds=1, checks=())


def test_state_kept_between_runs_is_told_as_such_and_not_as_a_delivery_bug(backend: Backend) -> None:
    seen: set[str] = set()

    async def forgetting(sim: Sim) -> None:
        await sim.queue("orders", dead_letters=("orders-dead", 50))
        sim.node("worker", lambda me: work(sim, me, seen), count=2)
        await send_orders(sim, 2)
        await sim.quiesce()

    with pytest.raises(NondeterminismError, match="keeps something from one run to the next"):
        simulate(forgetting, backend=backend)


def test_what_a_program_itself_leaves_to_chance_is_no_delivery_bug() -> None:
    async def scenario(sim: Sim) -> None:
        prices = sim.store("prices")
        drawn = random.randrange(1_000_000)  # noqa: S311 # another one in each seed
        sim.note(str(drawn))
        while True:
            try:
                await prices.put("o1", drawn)
            except BackendError:
                continue
            break
        forgotten = [number for number in (1, 2, 3) if sim.buggify("forgets")]
        sim.state("prices", (drawn, [] if never_wrong else forgotten))

    never_wrong = True
    assert simulate(scenario, seeds=20).seeds == 20
    never_wrong = False
    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario, seeds=range(1, 20))
    failure = caught.value.failure
    assert failure.violation.check == "convergence"
    assert len(failure.smallest.fired) == 1
    assert replay(scenario, replay_token(failure)).violations == failure.smallest.violations


def test_what_one_node_leaves_to_chance_does_not_depend_on_what_others_do(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        drawn: dict[str, object] = {}

        async def jitter(me: Incarnation) -> None:
            for number in range(50):
                await anyio.sleep(random.uniform(0, 1))  # noqa: S311 # what programs do
                if sim.buggify("draws more"):
                    drawn[f"more of {me.name} {number}"] = uuid.uuid4()  # noqa: TID251

        sim.node("worker", jitter, count=2)
        await anyio.sleep(5)
        sim.state("drawn", [choice(range(1000)), random.gauss(), secrets.token_hex(), uuid.uuid1()])  # noqa: S311
        await sim.quiesce()

    assert simulate(scenario, seeds=10, backend=backend).deviations > 10


def test_what_should_sometimes_be_true_and_never_is_makes_the_search_fail() -> None:
    async def vacuous(sim: Sim) -> None:
        sim.sometimes("a message was sent", condition=False)

    with pytest.raises(SimulationFailedError, match="a message was sent"):
        simulate(vacuous, seeds=3)


def test_a_scenario_that_raises_is_told(backend: Backend) -> None:
    async def broken(sim: Sim) -> None:
        await sim.queue("orders")
        raise ZeroDivisionError("mine")

    with pytest.raises(SimulationFailedError, match="mine"):
        simulate(broken, backend=backend)


def test_a_program_that_raises_in_a_calm_world_is_told() -> None:
    async def failing(sim: Sim) -> None:
        async def worker(_: Incarnation) -> None:
            await anyio.sleep(1)
            raise KeyError("mine")

        sim.node("worker", worker)
        await anyio.sleep(1.5)

    with pytest.raises(SimulationFailedError, match="worker raised KeyError"):
        simulate(failing)


def test_a_deadlock_in_a_scenario_is_told(backend: Backend) -> None:
    async def stuck(_: Sim) -> None:
        await anyio.Event().wait()

    with pytest.raises(SimulationFailedError, match="DeadlockError"):
        simulate(stuck, backend=backend)


def test_an_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgumentError, match="realistic"):
        simulate(naive, profile="angry")


# --- the adversary's means, one by one ------------------------------------------------------------------------------


def scripted(*entries: tuple[str, tuple[str | int, ...], int]) -> Script:
    return Script(entries)


def kinds(entries: list[Entry]) -> list[str]:
    return [entry.kind for entry in entries]


def test_a_killed_node_has_no_effect_any_more_and_its_messages_come_again(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders", lease_s=30)

        async def worker(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    try:
                        await anyio.sleep(2)
                    finally:
                        # Nobody does this in a power cut.
                        sim.effect(received.body)
                        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                            await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

        sim.node("worker", worker)
        await send_orders(sim, 1)
        await sim.quiesce()

    run = replay(scenario, scripted(("node.crash", ("worker", 1), 1_000_000)), backend=backend)
    assert not run.violations
    assert [effect.at_us for effect in run.outcome.effects["order 0"]] == [32_000_000]
    assert kinds(run.entries).count("started") == 2
    assert "killed" in kinds(run.entries)


def test_a_stopped_node_cleans_up(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders", lease_s=30)

        async def worker(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    try:
                        await anyio.sleep(2)
                    finally:
                        with anyio.CancelScope(shield=True):
                            await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])
                            sim.effect(received.body)

        sim.node("worker", worker)
        await send_orders(sim, 1)
        await sim.quiesce()

    run = replay(scenario, scripted(("node.stop", ("worker", 1), 1_000_000)), backend=backend)
    assert [effect.at_us for effect in run.outcome.effects["order 0"]] == [1_000_000]


@pytest.mark.parametrize(
    ("fault", "copies"),
    [
        (NetFault.LOST_ANSWER, 2),
        (NetFault.LOST_REQUEST, 1),
        (NetFault.THROTTLED, 1),
        (NetFault.UNAVAILABLE, 1),
        (NetFault.TIMEOUT, 2),
    ],
)
def test_a_failed_send_has_taken_effect_or_not(backend: Backend, fault: NetFault, copies: int) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        await send_surely(sim, "order 0")

    run = replay(scenario, scripted(("net", ("test", "send", 1), fault)), backend=backend, checks=())
    assert kinds(run.entries).count("sent") == copies
    assert "failure" in kinds(run.entries)
    assert not run.unused


def test_an_entry_of_a_batch_fails_alone(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        await send_surely(sim, "order 0")

    run = replay(scenario, scripted(("batch.partial", ("test", 1, 0), 1)), backend=backend, checks=())
    assert kinds(run.entries).count("sent") == 1
    assert "failure" not in kinds(run.entries)


def test_a_paused_node_loses_its_lease_and_another_does_its_work_again(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders", lease_s=30)
        sim.check(exactly_once)
        sim.node("worker", lambda me: work(sim, me))
        await send_orders(sim, 1)
        await anyio.sleep(1)
        sim.node("other", lambda me: work(sim, me))
        await sim.quiesce()

    # To stand still before it receives does no harm; to do so with the order in hand does.
    run = replay(scenario, scripted(("node.pause", ("worker", "receive", 1), 40_000_000)), backend=backend)
    assert not run.violations
    run = replay(scenario, scripted(("node.pause", ("worker", "settle", 1), 40_000_000)), backend=backend)
    assert [violation.check for violation in run.violations] == ["exactly_once"]
    assert {entry.node for entry in run.outcome.effects["order 0"]} == {"worker", "other"}


def test_the_applications_own_faults_are_chosen_and_replayed(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        sim.note("odd" if sim.buggify("path") else "even")

    run = replay(scenario, scripted(("app", ("path", 1), 1)), backend=backend)
    assert [entry.text for entry in run.entries] == ["odd"]


def test_after_quiescing_nothing_fails_any_more(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        await sim.quiesce()
        for _ in range(50):
            await sim.backend.receive(ORDERS, limit=1, wait_s=0, lease_s=30)

    everything = HOSTILE.but({"net": 1})
    assert simulate(scenario, seeds=3, profile=everything, backend=backend).seeds == 3


def test_order_on_a_standard_queue_is_found_to_be_no_promise() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        sim.check(per_key_order(lambda _: "all"))
        done: set[str] = set()

        async def worker(me: Incarnation) -> None:
            while True:
                try:
                    for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                        if received.body not in done:
                            done.add(received.body)
                            sim.effect(received.body)
                        await anyio.sleep(0.01)
                        await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])
                except BackendError:
                    await anyio.sleep(0.1)

        sim.node("worker", worker, mortal=False)
        await send_orders(sim)
        await sim.quiesce()

    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario)
    assert caught.value.failure.violation.check == "per_key_order"
    assert len(caught.value.failure.smallest.fired) <= 2


def test_what_a_dead_letter_queue_holds_is_not_lost(backend: Backend) -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders", lease_s=1, dead_letters=("orders-dead", 1))
        sim.read_keys(lambda body: body)

        async def worker(me: Incarnation) -> None:
            while True:
                await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=1)

        sim.node("worker", worker)
        await send_orders(sim, 2)
        await sim.quiesce()

    run = replay(scenario, Script(), backend=backend)
    assert not run.violations
    assert set(run.outcome.dead) == {"order 0", "order 1"}


def test_a_broker_that_breaks_the_contract_is_no_fault_of_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    deliver = receiving._deliver  # pyright: ignore[reportPrivateUsage] - the fault is made inside

    def short(queue: Queue, message: Message, now_us: int, visibility_us: int, slot: int) -> Delivery:
        delivery = deliver(queue, message, now_us, visibility_us, slot)
        queue.around.timers.arm(now_us + visibility_us // 2, message)
        return delivery

    monkeypatch.setattr(receiving, "_deliver", short)

    async def scenario(sim: Sim) -> None:
        queue = await sim.queue("orders")
        await sim.backend.send(queue, [Outgoing(body="1")])
        for _ in range(2):
            await sim.backend.receive(queue, limit=1, wait_s=20, lease_s=30)

    with pytest.raises(SimulationFailedError, match="broker: while_invisible broken in "):
        simulate(scenario, seeds=1, profile="calm", checks=())


def test_a_fault_in_words_happens_and_is_told_by_what_it_was() -> None:
    script = f.script(f.receive("orders", nth=1).duplicates())
    with pytest.raises(SimulationFailedError, match="delivery 1 leaves a copy visible") as caught:
        simulate(naive, seeds=1, profile="calm", script=script)
    assert list(caught.value.failure.found.fired) == [("recv.dup", ("orders", 1, 1), 1)]


def test_a_fault_that_never_comes_up_is_told_and_fails_a_strict_simulation() -> None:
    script = f.script(f.duplicate("orders", message=99), f.crash("worker[0]", at_s=1))
    assert simulate(careful, seeds=2, profile="calm", script=script).unused == f.script(
        f.duplicate("orders", message=99)
    )
    with pytest.raises(
        SimulationFailedError, match=r"unused: careful \(2 seeds tried.*\n.*none of 2 runs: message 99 of orders"
    ):
        simulate(careful, seeds=2, profile="calm", script=script, strict=True)
