"""The lab: a bus's own handlers in virtual time, calm and hostile, and what a test sees of them."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import anyio
import pytest
from bus.orders import OrderCancelled, OrderPlaced, PrintInvoice

from busframe import Bus, Delivery, Drop, Event, Later, Reject, Retry, event
from busframe.errors import InvalidArgumentError
from busframe.simulation import SimulationError, SimulationEscapeError, SimulationFailedError
from busframe.testing import Lab, NotSettledError, lab
from busframe_emulator.delivery.scripts import Script

if TYPE_CHECKING:
    from pathlib import Path

bus = Bus("shop")


@bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=4, first_s=60))
async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
    match order.order:
        case "unknown":
            raise Reject("no such customer")
        case "free":
            raise Drop("nothing to bill")
        case "busy" if delivery.attempt == 1:
            raise Later(3_600)
        case "flaky" if delivery.attempt < 3:
            raise ConnectionError("the payment service is down")
        case "cursed":
            raise ConnectionError("the payment service is down")
        case _:
            pass


@bus.subscribe(OrderCancelled, group="billing")
async def refund(order: OrderCancelled) -> None: ...


@bus.handle(PrintInvoice)
async def print_invoice(invoice: PrintInvoice) -> None: ...


@pytest.fixture
def order() -> str:
    return "o1"


@lab(bus)
async def test_what_handlers_were_called_with_is_known(lab: Lab) -> None:
    await lab.publish(OrderPlaced("o1"))
    await lab.send(PrintInvoice("o1"))
    await lab.settle()
    assert lab.calls(bill) == [OrderPlaced("o1")]
    assert lab.calls(print_invoice) == [PrintInvoice("o1")]
    assert lab.calls(refund) == []
    assert not lab.dead_letters("billing")
    assert not lab.faults
    assert lab.ledger.calls["send"] == 2


@pytest.mark.parametrize("kind", ["asyncio", "trio", "both"])
def test_a_function_is_run_on_either_event_loop_and_gives_back_what_it_returned(
    kind: Literal["asyncio", "trio", "both"],
) -> None:
    async def story(lab: Lab) -> list[OrderPlaced]:
        await lab.publish(OrderPlaced("o1"))
        await lab.settle()
        return lab.calls(bill)

    assert lab(bus, backend=kind).run(story) == [OrderPlaced("o1")]


@pytest.mark.parametrize("customer", ["ada", "bob"])
@lab(bus)
async def test_fixtures_and_parameters_work_as_ever(lab: Lab, order: str, customer: str) -> None:
    await lab.publish(OrderPlaced(order, customer))
    await lab.settle()
    assert lab.calls(bill) == [OrderPlaced("o1", customer)]


@lab(bus)
async def test_retries_take_virtual_time_only_and_each_attempt_is_told(lab: Lab) -> None:
    await lab.publish(OrderPlaced("flaky"))
    await lab.settle()
    attempts = lab.attempts(bill)
    assert [(one.attempt, one.outcome) for one in attempts] == [(1, "failed"), (2, "failed"), (3, "done")]
    assert isinstance(attempts[0].error, ConnectionError)
    assert attempts[1].began_s > attempts[0].began_s
    assert lab.now_s == attempts[2].ended_s


@lab(bus)
async def test_a_handlers_own_decisions_are_told(lab: Lab) -> None:
    for name in ("unknown", "free", "busy"):
        await lab.publish(OrderPlaced(name))
    await lab.settle()
    assert [(one.payload.order, one.outcome) for one in lab.attempts(bill)] == [
        ("unknown", "rejected"),
        ("free", "dropped"),
        ("busy", "later"),
        ("busy", "done"),
    ]
    assert lab.now_s == 3_600


@lab(bus)
async def test_dead_letters_have_their_payload_and_the_reason(lab: Lab) -> None:
    await lab.publish(OrderPlaced("cursed"))
    await lab.publish(OrderPlaced("unknown"))
    await lab.settle()
    rejected, given_up = lab.dead_letters("billing")
    assert rejected.payload == OrderPlaced("unknown")
    assert rejected.reason == "rejected: no such customer"
    assert given_up.attempts == 4
    assert given_up.reason == "attempt 4 of 4: ConnectionError: the payment service is down"
    assert "cursed" in given_up.body


@lab(bus)
async def test_a_dead_letter_that_nobody_can_read_has_no_payload(lab: Lab) -> None:
    await lab.live.queue("shop-billing").send("what?")
    await lab.settle()
    (letter,) = lab.dead_letters("billing")
    assert letter.payload is None
    assert letter.body == "what?"


@lab(bus)
async def test_a_delayed_message_comes_when_it_is_due(lab: Lab) -> None:
    await lab.publish(OrderPlaced("o1"), delay_s=7_200)
    await lab.advance(7_199)
    assert not lab.calls(bill)
    await lab.advance(1)
    assert lab.calls(bill)


def test_what_cannot_settle_is_named() -> None:
    other = Bus("shop")

    @other.subscribe(OrderPlaced, group="billing", lease_s=30)
    async def wait(_: OrderPlaced) -> None:
        await anyio.sleep_forever()

    async def story(lab: Lab) -> None:
        await lab.publish(OrderPlaced("o1"))
        await lab.settle(within_s=600)

    with pytest.raises(NotSettledError, match=r"1 in shop-billing, wait\(OrderPlaced.* since t=0"):
        lab(other).run(story)


def test_a_failure_in_a_calm_world_is_the_tests_own_with_a_note_of_what_happened() -> None:
    async def story(lab: Lab) -> None:
        await lab.publish(OrderPlaced("o1"))
        await lab.settle()
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        lab(bus).run(story)
    (note,) = caught.value.__notes__
    assert "bill: done" in note
    assert caught.traceback[-1].name == "story"


@event("shop.mail.wanted")
@dataclass(frozen=True)
class MailWanted(Event):
    to: str


def test_several_programs_make_one_system_and_each_uses_its_own_connection() -> None:
    shop, post = Bus("shop"), Bus("post")
    live: list[Lab] = []
    nodes: list[str] = []

    @shop.subscribe(OrderPlaced, group="mails")
    async def ask_for_mail(order: OrderPlaced) -> None:
        await live[-1].live.publish(MailWanted(order.customer))

    @post.subscribe(MailWanted, group="mails")
    async def send_mail(_: MailWanted) -> None: ...

    async def story(lab: Lab) -> None:
        live.append(lab)
        await lab.publish(OrderPlaced("o1", "ada"))
        await lab.settle()
        nodes[:] = [one.node for one in [*lab.attempts(ask_for_mail), *lab.attempts(send_mail)]]
        assert lab.calls(send_mail) == [MailWanted("ada")]

    lab(shop, post).run(story)
    assert nodes == ["shop", "post"]


@lab(bus, workers=2)
async def test_a_worker_that_is_killed_has_its_message_handled_by_another(lab: Lab) -> None:
    await lab.publish(OrderPlaced("busy"))
    await lab.advance(1)
    assert [one.attempt for one in lab.attempts(bill)] == [1]
    for worker in lab.workers:
        worker.kill()
    await lab.settle()
    assert [one.attempt for one in lab.attempts(bill)] == [1, 2]


# --- hostile worlds -------------------------------------------------------------------------------------------------


@lab(bus, seeds=5, workers=2)
async def test_in_a_hostile_world_everything_is_done_at_last(lab: Lab) -> None:
    for number in range(3):
        await lab.publish(OrderPlaced(f"o{number}"))
    await lab.settle()
    assert {call.order for call in lab.calls(bill)} == {"o0", "o1", "o2"}


async def once(lab: Lab) -> None:
    await lab.publish(OrderPlaced("o1"))
    await lab.settle()
    assert lab.calls(bill) == [OrderPlaced("o1")]


def test_what_counts_on_one_delivery_is_found_out_and_shrunk_with_the_tests_own_failure_as_the_cause() -> None:
    with pytest.raises(SimulationFailedError) as caught:
        lab(bus, seeds=100).run(once)
    assert len(caught.value.failure.smallest.fired) <= 3
    assert isinstance(caught.value.__cause__, AssertionError)
    assert "bill: done" in str(caught.value)


TWICE = Script([("recv.dup", ("shop-billing", 1, 1), 1)])


def test_a_script_says_what_happens_and_nothing_else_does() -> None:
    async def story(lab: Lab) -> None:
        await lab.publish(OrderPlaced("o1"))
        await lab.settle()
        # A script comes after a calm run.
        assert len(lab.calls(bill)) == 1 + len(lab.faults)
        assert lab.script in (Script(), TWICE)

    lab(bus, script=TWICE, workers=2).run(story)
    with pytest.raises(SimulationFailedError, match="is delivered twice"):
        lab(bus, script=TWICE, workers=2).run(once)


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_once_holds_in_the_lab(kind: Literal["asyncio", "trio"]) -> None:
    other = Bus("shop")

    @other.subscribe(OrderPlaced, group="billing", once=True)
    async def bill_once(order: OrderPlaced) -> None: ...

    async def story(lab: Lab) -> None:
        await lab.publish(OrderPlaced("o1"))
        await lab.settle()
        assert lab.calls(bill_once) == [OrderPlaced("o1")]

    lab(other, script=TWICE, workers=2, backend=kind).run(story)


def test_a_script_that_never_comes_up_is_told() -> None:
    never = Script([("recv.dup", ("shop-billing", 5, 1), 1)])
    with pytest.raises(SimulationError, match="message 5 of shop-billing is delivered twice"):
        lab(bus, script=never).run(once)


# --- what is refused ------------------------------------------------------------------------------------------------


def test_what_is_no_handler_of_the_bus_is_refused_with_those_that_are() -> None:
    async def other(_: OrderPlaced) -> None: ...

    async def story(lab: Lab) -> None:
        lab.calls(other)

    with pytest.raises(InvalidArgumentError, match="bill, print_invoice, refund"):
        lab(bus).run(story)


@pytest.mark.parametrize("bad", [{"seed": 1, "seeds": 2}, {"workers": 0}])
def test_arguments_that_make_no_sense_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(InvalidArgumentError):
        lab(bus, **bad)  # type: ignore[arg-type]


def test_buses_that_share_a_queue_are_refused() -> None:
    async def story(lab: Lab) -> None: ...

    with pytest.raises(InvalidArgumentError, match="shop-billing"):
        lab(bus, bus).run(story)


def test_only_an_async_function_of_a_lab_is_a_test() -> None:
    async def other(thing: object) -> None: ...

    with pytest.raises(InvalidArgumentError, match="first parameter is lab"):
        lab(bus)(other)


@pytest.mark.slow
def test_the_lab_needs_no_pytest(tmp_path: Path) -> None:
    program = "import sys\nfrom busframe.testing import lab\nassert 'pytest' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def escaping() -> Bus:
    """A bus whose handler looks for a payment service that is not there in virtual time."""
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", retry=Retry(attempts=2, first_s=1))
    async def bill(_: OrderPlaced) -> None:
        try:
            with socket.socket() as unconnected:
                unconnected.connect(("127.0.0.1", 9))
        except Exception as error:
            raise ConnectionError("the payment service is down") from error

    return bus


def test_a_handler_that_leaves_virtual_time_fails_the_test_that_would_have_passed() -> None:
    @lab(escaping())
    async def story(lab: Lab) -> None:
        await lab.publish(OrderPlaced("o1"))
        await lab.settle()

    with pytest.raises(SimulationEscapeError, match=r"socket.connect is not simulated"):
        story()


def test_it_fails_the_test_in_a_hostile_world_too() -> None:
    @lab(escaping(), seeds=1)
    async def story(lab: Lab) -> None:
        await lab.publish(OrderPlaced("o1"))
        await lab.settle()

    with pytest.raises(SimulationFailedError, match=r"socket.connect is not simulated"):
        story()


@pytest.mark.parametrize("seeds", [0, [], "many"])
def test_a_test_that_would_try_nothing_is_refused(seeds: object) -> None:
    with pytest.raises(InvalidArgumentError, match="seeds="):
        lab(bus, seeds=seeds).run(_nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def _nothing(_: Lab) -> None: ...
