"""What a report says to somebody who has never seen one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import pytest
from simulation.apps import ORDERS, naive, send_orders

from busframe import Bus, Event, event
from busframe.errors import BackendError
from busframe.message import Acknowledge
from busframe.simulation import Sim, SimulationFailedError, exactly_once, replay, simulate
from busframe.simulation.deviations import describe, marks, why
from busframe.simulation.narrating import about, narrate, relevant, shortened, written
from busframe.simulation.record import Entry
from busframe.simulation.verdicts import Violation
from busframe_emulator.delivery.profiles import CALM_PROFILE
from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import SITES, NetFault

if TYPE_CHECKING:
    from collections.abc import Hashable

    from busframe.simulation.nodes import Incarnation


@event("shop.placed.for.a.report")
@dataclass(frozen=True)
class Placed(Event):
    id: str


def report_of(script: Script) -> list[str]:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(naive, seeds=1, profile=CALM_PROFILE, script=script)
    return str(caught.value).splitlines()


def test_a_report_says_what_broke_why_that_is_allowed_what_happened_and_how_to_replay() -> None:
    lines = report_of(Script([("recv.dup", ("orders", 1, 1), 1)]))
    assert lines[0] == "busframe: exactly_once broken in naive at seed 0 (0 seeds passed; profile calm, asyncio)"
    assert lines[1].startswith("  'order 0' has 2 effects: ")
    assert "    message 1 of orders is delivered twice (delivery 1 leaves a copy visible)" in lines
    assert any(line.startswith("      allowed: a standard queue delivers at least once") for line in lines)
    assert any(line.endswith("<< leaves a copy visible") for line in lines)
    assert any(line.endswith("<< duplicate") for line in lines)
    assert sum(line.endswith("<< exactly_once") for line in lines) == 2
    assert any(line.startswith("  first difference from the calm run: ") for line in lines)
    assert lines[-1].startswith("  replay: pytest 'tests/simulation/test_report.py::test_a_report_says_what_broke")
    assert "' --busframe-replay=bf1." in lines[-1]
    assert len(lines) <= 40
    assert max(map(len, lines[:-1])) <= 120


def test_only_what_concerns_the_key_is_shown() -> None:
    lines = report_of(Script([("recv.dup", ("orders", 1, 1), 1)]))
    assert "  what happened to orders#1 (virtual seconds):" in lines
    assert not [line for line in lines if "orders#2" in line]


def test_a_long_story_is_cut_to_what_is_marked_and_what_is_around_it() -> None:
    entries = [Entry(number, "app", "note", "test", text=f"line {number}") for number in range(500)]
    lines = written(shortened(narrate(entries, {250: "duplicate"}, {400: "exactly_once"})), {})
    assert len(lines) <= 40
    assert any("line 250" in line and line.endswith("<< duplicate") for line in lines)
    assert any("line 399" in line for line in lines)
    assert any(line.endswith("more ...") for line in lines)


def test_what_the_broker_did_and_a_node_heard_at_once_is_one_line() -> None:
    entries = [
        Entry(0, "broker", "delivered", "", "orders", 1, 1, until_us=30_000_000),
        Entry(0, "client", "received", "worker", "orders", 1, 1),
        Entry(1, "broker", "delivered", "", "orders", 2, 1, until_us=30_000_000),
    ]
    lines = written(narrate(entries, {0: "duplicate"}, {}), {})
    assert [line.split()[1:3] for line in lines] == [["worker", "received"], ["(broker)", "delivered"]]
    assert "hidden until 30" in lines[0]
    assert lines[0].endswith("<< duplicate")


@pytest.mark.parametrize(
    ("key", "shown"),
    [("order 1", {1}), (("order", 1), {1}), (("account", 1), {1, 3}), (10, {2}), (None, None), ("nowhere", None)],
)
def test_the_messages_of_a_key_are_those_whose_bodies_name_it(key: Hashable, shown: set[int] | None) -> None:
    bodies = {("orders", 1): '{"id": "order 1"}', ("orders", 2): '{"id": "order 10"}', ("orders", 3): '{"n": 1}'}
    violation = Violation(check="any", text="", key=key)
    messages = about(bodies, violation)
    assert (None if messages is None else {number for _, number in messages}) == shown


def test_a_long_story_keeps_its_end_however_much_of_it_is_marked() -> None:
    entries = [Entry(number, "app", "note", "test", text=f"line {number}") for number in range(500)]
    for marked in ({}, dict.fromkeys(range(200), "refused")):
        lines = written(shortened(narrate(entries, marked, {})), {})
        assert len(lines) <= 40
        assert "line 0" in lines[0]
        assert [line.split()[-1] for line in lines[-6:]] == [str(number) for number in range(494, 500)]


def test_a_report_about_two_keys_shows_the_messages_of_both_and_no_others() -> None:
    bodies = {
        ("q", number): f'{{"account": "{key[0]}", "n": {key[1]}}}' for number, key in enumerate(["a1", "b1", "a2"])
    }
    effects = tuple(Entry(number, "app", "effect", "w", key=("a", number)) for number in (2, 1))
    violation = Violation(check="per_key_order", text="", key=("a", 1), entries=effects)
    assert about(bodies, violation) == {("q", 0), ("q", 2)}


def test_a_message_that_is_visible_at_once_is_not_called_hidden() -> None:
    entries = [Entry(5, "broker", "sent", "", "q", 1, until_us=5), Entry(5, "broker", "sent", "", "q", 2, until_us=9)]
    first, second = written(narrate(entries, {}, {}), {})
    assert "hidden" not in first
    assert "hidden until" in second
    assert not first.rstrip().endswith(",")


@pytest.mark.parametrize("site", list(SITES))
def test_every_site_is_described_and_has_a_reason(site: str) -> None:
    assert "1" in describe(site, ("orders", 1, 1), 1)
    assert why(site, 1)


@pytest.mark.parametrize("fault", list(NetFault))
def test_every_fault_of_a_call_has_a_reason_of_its_own(fault: NetFault) -> None:
    assert why("net", fault) != why("net", fault % len(NetFault) + 1)
    assert str(int(fault)) not in describe("net", ("api", "send", 9), fault)


def test_a_crash_and_a_lost_answer_are_marked_where_they_show() -> None:
    async def scenario(sim: Sim) -> None:
        await sim.queue("orders")
        sim.check(exactly_once)

        async def worker(me: Incarnation) -> None:
            while True:
                for received in await me.backend.receive(ORDERS, limit=1, wait_s=20, lease_s=30):
                    sim.effect(received.body)
                    await me.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

        sim.node("worker", worker)
        await send_orders(sim, 1)
        await sim.quiesce()

    lost = Script([("net", ("test", "send", 1), NetFault.LOST_ANSWER), ("node.crash", ("worker", 1), 5_000_000)])
    with pytest.raises(SimulationFailedError) as caught:
        simulate(scenario, seeds=1, profile=CALM_PROFILE, script=lost, shrink=False)
    run = caught.value.failure.smallest
    said = {run.entries[number].kind: mark for number, mark in marks(run.entries, run.fired).items()}
    assert said == {"failure": "lost", "killed": "crash"}


def test_what_is_told_about_a_key_are_the_messages_it_is_read_from() -> None:
    bodies = {("orders", 1): "o-0001;7", ("orders", 2): "o-0007;3", ("other", 1): "no order"}
    violation = Violation(check="any", text="", key=7)
    assert about(bodies, violation) == {("orders", 1)}
    assert about(bodies, violation, lambda body: (int(body[2:6]),)) == {("orders", 2)}


def test_what_happened_before_a_node_was_stopped_is_told_before_it_even_if_the_node_heard_of_it_after() -> None:
    entries = [
        Entry(0, "broker", "delivered", "", "orders", 1, 1, until_us=30_000_000),
        Entry(0, "app", "stopped", "worker"),
        Entry(0, "client", "received", "worker", "orders", 1, 1),
    ]
    assert [line.entry.kind for line in narrate(entries, {}, {1: "any"})] == ["received", "stopped"]
    assert [line.broken for line in narrate(entries, {}, {2: "any"})] == [True, False]


def test_what_breaks_in_a_calm_world_can_be_replayed_too() -> None:
    async def never_works(sim: Sim) -> None:
        await sim.queue("orders")
        sim.accepted("o1")
        await sim.quiesce()

    with pytest.raises(SimulationFailedError) as caught:
        simulate(never_works, seeds=1)
    first, *_, last = str(caught.value).splitlines()
    assert first.endswith("in a calm world (asyncio): no adversary is needed")
    run = replay(never_works, last.partition("replay: ")[2])
    assert run.is_calm
    assert [one.check for one in run.violations] == ["at_least_once"]


def test_what_two_checks_find_is_told_once() -> None:
    lost = Script([("net", ("test", "put", 1), NetFault.LOST_REQUEST)])

    async def swallows(sim: Sim) -> None:
        sim.check(exactly_once)
        with suppress(BackendError):
            await sim.store("done", effects=True).put("o1", 1)
        sim.accepted("o1")
        await sim.quiesce()

    with pytest.raises(SimulationFailedError) as caught:
        simulate(swallows, seeds=1, profile=CALM_PROFILE, script=lost)
    report = str(caught.value)
    assert report.count("'o1' was accepted, and has no effect") == 1
    assert "what happened to all messages, none of which names 'o1' (virtual seconds):" in report


def test_a_report_tells_what_stores_were_asked_what_was_late_and_what_handlers_raised() -> None:
    async def looks_outside(sim: Sim) -> None:
        done = sim.store("done")
        bus = Bus("shop")

        @bus.subscribe(Placed, group="billing")
        async def bill(order: Placed) -> None:
            if await done.get(order.id) is None:
                async with done.transaction() as changes:
                    changes.put(order.id, 7)
                    changes.effect(order.id)
                raise ValueError("no paper")

        async def worker(_: Incarnation) -> None:
            # A program that connects by itself.
            async with bus.connect(sim.url) as live:
                await live.serve()

        sim.check(exactly_once)
        sim.node("worker", worker, count=2)
        await anyio.sleep(1)
        async with Bus("web").connect(sim.url) as live:
            for order in ("o1", "o2"):
                await live.publish(Placed(order))
                sim.accepted(order)
        await sim.quiesce()

    twice = Script([("recv.dup", ("shop-billing", 1, 1), 1), ("net.answer", ("worker[0]", "get", 1), 250_000)])
    with pytest.raises(SimulationFailedError) as caught:
        simulate(looks_outside, seeds=1, profile=CALM_PROFILE, script=twice, shrink=False)
    said = [" ".join(line.split()[1:]) for line in str(caught.value).splitlines()]
    assert sum(line.endswith("read done 'o1', found nothing") for line in said) == 2
    assert sum(line.endswith("wrote done 'o1', now 7") for line in said) == 2
    assert sum("bill raised ValueError('no paper')" in line for line in said) >= 2
    assert "worker[0] late done get: its answer, 0.25 s << late" in said
    assert not [line for line in said if "'o2'" in line]


def test_a_store_that_is_looked_at_again_and_again_is_told_of_once() -> None:
    reads = [Entry(nth, "app", "read", "relay", "outbox", key="head", text="found 3") for nth in range(1, 50)]
    entries = [*reads, Entry(60, "app", "note", "relay", text="tired"), *reads]
    chosen = relevant(narrate(entries, {}, {}), None, None, {})
    assert [line.entry.kind for line in chosen] == ["read", "note", "read"]
