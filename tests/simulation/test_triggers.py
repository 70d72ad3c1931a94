"""Faults that wait for something to happen: they come up there, are recorded by position, shrink and replay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from bus.orders import PrintInvoice
from simulation.apps import careful, naive, send_orders, work

from busframe import Bus
from busframe.simulation import SimulationFailedError, replay, simulate
from busframe.simulation.reporting import read_token, replay_token
from busframe.testing import Lab, lab
from busframe.testing import faults as f
from busframe_emulator.delivery.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe.simulation import Sim
    from busframe.simulation.record import Entry
    from busframe.simulation.reporting import Failure
    from busframe.simulation.running import Backend
    from busframe_emulator.delivery.faults import Fault
    from busframe_emulator.delivery.triggers import Happening


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    kind: Backend = request.param
    return kind


def entries_of(*faults: Fault, scenario: Callable[[Sim], object] = careful) -> list[Entry]:
    """What happens under a script, as it is and as it was recorded: the same."""
    run = replay(scenario, f.script(*faults))  # type: ignore[arg-type]
    assert not run.unused
    assert not run.fired.late
    again = replay(scenario, run.fired)  # type: ignore[arg-type]
    assert again.entries == run.entries
    return run.entries


def kinds_around(entries: list[Entry], kind: str) -> tuple[str, str]:
    """What came right before the first entry of a kind, and what came next on the same node."""
    index = next(index for index, entry in enumerate(entries) if entry.kind == kind)
    node = entries[index].node
    return entries[index - 1].kind, next(entry.kind for entry in entries[index + 1 :] if entry.node == node)


def failure_of(script: Script, backend: Backend = "asyncio") -> Failure:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(naive, seeds=1, profile="calm", script=script, backend=backend)
    return caught.value.failure


def test_a_node_dies_between_an_effect_and_the_acknowledgement_of_its_message(backend: Backend) -> None:
    failure = failure_of(f.script(f.when("effect", key="order 2").crash("*")), backend)
    assert "'order 2' has 2 effects" in failure.violation.text
    ((site, key, after_us),) = failure.smallest.fired
    assert (site, key[1], after_us) == ("node.crash_on", "effect", 0)
    told = read_token(replay_token(failure))
    run = replay(naive, told.script, seed=told.seed, backend=told.backend)
    assert run.entries == failure.smallest.entries


def test_the_report_says_at_which_event_and_why_that_may_be() -> None:
    with pytest.raises(SimulationFailedError) as caught:
        simulate(naive, seeds=1, profile="calm", script=f.script(f.when("effect", key="order 2").crash("*")))
    report = str(caught.value)
    assert "is killed at 'effect' number 5 of the run" in report
    assert "between any two of its steps" in report
    assert "<< crash" in report
    assert "<< stop" not in report


def test_a_node_dies_when_the_broker_has_deleted_and_before_it_hears_of_it() -> None:
    entries = entries_of(f.when("deleted", queue="orders", message=1).crash("*"))
    assert kinds_around(entries, "killed") == ("deleted", "started")


def test_a_node_dies_a_while_after_something_happened() -> None:
    entries = entries_of(f.when("received").crash("worker[1]", after_s=0.02))
    killed = next(entry for entry in entries if entry.kind == "killed")
    first = next(entry for entry in entries if entry.kind == "received")
    assert (killed.node, killed.at_us) == ("worker[1]", first.at_us + 20_000)


def test_the_nth_event_that_fits_is_waited_for() -> None:
    entries = entries_of(f.when("acknowledged", nth=3).stop("worker[0]"))
    before = entries[: next(index for index, entry in enumerate(entries) if entry.kind == "stopped")]
    assert [entry.kind for entry in before].count("acknowledged") == 3


def test_a_queue_that_becomes_empty_is_an_event() -> None:
    entries = entries_of(f.when("emptied", queue="orders").crash("worker[0]"))
    before = [entry.kind for entry in entries[: next(i for i, entry in enumerate(entries) if entry.kind == "killed")]]
    assert before.count("sent") == before.count("deleted") > 0


def test_the_next_call_after_an_event_is_lost() -> None:
    entries = entries_of(f.when("effect", key="order 1").call("*", "settle").lost_response(), scenario=naive)
    at = next(index for index, entry in enumerate(entries) if entry.kind == "effect" and entry.key == "order 1")
    failure = next(entry for entry in entries[at:] if entry.kind == "failure")
    assert failure.text == "settle: lost answer"
    assert not [entry for entry in entries[:at] if entry.kind == "failure"]


def test_a_receive_after_an_event_duplicates() -> None:
    entries = entries_of(f.when("sent", nth=2).receive("orders").duplicates())
    assert max(entry.delivery for entry in entries if entry.kind == "delivered") == 2


def test_a_function_may_say_whether_this_is_it() -> None:
    def second_delivery(event: Happening) -> bool:
        return event.kind == "received" and event.message == 2

    entries = entries_of(f.when(second_delivery).crash("worker[0]"))
    assert kinds_around(entries, "killed")[0] == "received"


def test_a_node_that_must_not_die_does_not_and_what_never_came_up_is_told() -> None:
    async def immortal(sim: Sim) -> None:
        await sim.queue("orders")
        sim.node("worker", lambda me: work(sim, me), mortal=False)
        await send_orders(sim)
        await sim.quiesce()

    script = f.script(
        f.when("effect").crash("worker"),
        f.when("moved").call("worker", "send").throttled(),
        f.when("sent").pause("x", for_s=1),
    )
    summary = simulate(immortal, seeds=2, profile="calm", script=script)
    assert summary.unused == script
    with pytest.raises(SimulationFailedError) as caught:
        simulate(immortal, seeds=2, profile="calm", script=script, strict=True)
    assert "worker: call * of send is throttled (once this has happened: kind moved)" in str(caught.value)


def test_an_event_may_kill_a_node_in_every_seed_of_a_hostile_world() -> None:
    script = f.script(f.when("received", node="worker[0]").crash("worker[0]"))
    summary = simulate(careful, seeds=20, script=script)
    assert not summary.unused


def test_a_node_that_dies_of_its_own_death_dies_once() -> None:
    entries = entries_of(f.when("effect").crash("worker[0]"), f.when("killed").crash("worker[0]", after_s=30))
    assert [entry.node for entry in entries if entry.kind == "killed"] == ["worker[0]", "worker[0]"]


def test_a_script_with_triggers_survives_being_written() -> None:
    script = f.script(
        f.when("effect", key=5, nth=2).crash("worker", after_s=1),
        f.when("emptied", queue="orders").batch_entry("worker", entry=0),
        f.when("deleted", queue="orders", message=1).call("worker", "receive").begins_outage(3),
    )
    written = json.loads(json.dumps(script.to_data()))
    assert written["script"][0] == [
        "node.crash_on", ["worker", "*", "*"], 1_000_000, {"when": {"kind": "effect", "key": 5, "nth": 2}}
    ]  # fmt: skip
    assert Script.from_data(written) == script


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ({"kind": "efect"}, "when: 'efect' is no event; there are"),
        ({"queue": "orders"}, "when: it needs the kind of an event"),
        ({"kind": "sent", "message": 0}, "message: 0 is not 1 or more"),
        ({"kind": "sent", "place": "orders"}, "when: 'place': 'orders' is none of kind, queue"),
        ({"kind": "sent", "nth": True}, "when: 'nth': True is none of"),
        ("a function: f", "entry 0 of the script"),
    ],
)
def test_a_trigger_that_makes_no_sense_is_refused(when: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Script.from_data({"format": 1, "script": [["net", ["a", "send", "*"], 1, {"when": when}]]})


def test_an_unknown_event_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="'efect' is no event"):
        f.when("efect")


bus = Bus("shop")


@bus.handle(PrintInvoice)
async def print_invoice(invoice: PrintInvoice) -> None: ...


@lab(bus, script=f.script(f.when("deleted").crash("*")))
async def test_handlers_of_a_bus_meet_what_waits_for_an_event(lab: Lab) -> None:
    await lab.send(PrintInvoice("o1"))
    await lab.settle()
    assert lab.calls(print_invoice) == [PrintInvoice("o1")]
