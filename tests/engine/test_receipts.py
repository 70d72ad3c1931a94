"""Old, expired, foreign and made-up receipts, on a standard and on a FIFO queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine.world import World, refused, us

if TYPE_CHECKING:
    from engine.world import WorldQueue

EXPIRED = "for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
GONE = "Reason: Message does not exist or is not available for visibility timeout change."


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def standard(world: World) -> WorldQueue:
    queue = world.queue(visibility_us=us(10))
    queue.send("a")
    return queue


@pytest.fixture
def fifo(world: World) -> WorldQueue:
    queue = world.fifo(visibility_us=us(10))
    queue.send("a", group="g")
    return queue


@pytest.fixture(params=["standard", "fifo"])
def either(request: pytest.FixtureRequest, world: World) -> WorldQueue:
    queue = world.queue(visibility_us=us(10)) if request.param == "standard" else world.fifo(visibility_us=us(10))
    queue.send("a", group="g")
    return queue


def test_the_newest_receipt_deletes_in_time(either: WorldQueue) -> None:
    either.delete(either.one())
    assert either.counts() == (0, 0, 0)


def test_a_receipt_can_be_used_until_the_last_microsecond(world: World, fifo: WorldQueue) -> None:
    delivery = fifo.one()
    world.pass_us(us(10) - 1)
    fifo.delete(delivery)
    assert fifo.counts() == (0, 0, 0)


def test_after_its_time_a_receipt_still_deletes_on_a_standard_queue(world: World, standard: WorldQueue) -> None:
    delivery = standard.one()
    world.pass_s(10)
    assert standard.counts() == (1, 0, 0)
    standard.delete(delivery)
    assert standard.counts() == (0, 0, 0)
    assert standard.bodies() == ""


def test_after_its_time_a_receipt_is_refused_on_a_fifo_queue(world: World, fifo: WorldQueue) -> None:
    delivery = fifo.one()
    world.pass_s(10)
    with refused("InvalidParameterValueException", f"Value {delivery.receipt} {EXPIRED}"):
        fifo.delete(delivery)
    assert fifo.counts() == (1, 0, 0)


def test_extended_in_time_a_receipt_deletes_on_a_fifo_queue(world: World, fifo: WorldQueue) -> None:
    delivery = fifo.one()
    world.pass_s(9)
    fifo.hide(delivery, 10)
    world.pass_s(9)
    fifo.delete(delivery)
    assert fifo.counts() == (0, 0, 0)


def test_an_old_receipt_is_accepted_and_deletes_nothing_on_a_standard_queue(world: World, standard: WorldQueue) -> None:
    old = standard.one()
    world.pass_s(10)
    standard.one()
    standard.delete(old)
    assert standard.counts() == (0, 1, 0)


def test_an_old_receipt_is_refused_on_a_fifo_queue(world: World, fifo: WorldQueue) -> None:
    old = fifo.one()
    world.pass_s(10)
    fifo.one()
    with refused("InvalidParameterValueException", EXPIRED):
        fifo.delete(old)
    with refused("InvalidParameterValueException", EXPIRED):
        fifo.hide(old, 5)
    assert fifo.counts() == (0, 1, 0)


def test_deleting_twice_is_fine(either: WorldQueue) -> None:
    delivery = either.one()
    either.delete(delivery)
    either.delete(delivery)
    assert either.counts() == (0, 0, 0)


def test_deleting_what_retention_has_taken_is_fine(world: World) -> None:
    queue = world.queue(retention_us=us(60))
    queue.send("a")
    delivery = queue.one(visibility_s=100)
    world.pass_s(60)
    queue.delete(delivery)


def test_the_newest_receipt_deletes_while_the_message_is_hidden(standard: WorldQueue) -> None:
    standard.one(visibility_s=0)
    newest = standard.one()
    standard.delete(newest)
    assert standard.counts() == (0, 0, 0)


@pytest.mark.parametrize("garbage", ["garbage", "", "A" * 32, "é" * 32, "=" * 32, "A" * 31 + "\n"])
def test_a_string_that_was_never_issued_is_refused(either: WorldQueue, garbage: str) -> None:
    text = f'The input receipt handle "{garbage}" is not a valid receipt handle.'
    with refused("ReceiptHandleIsInvalid", text):
        either.delete(garbage)
    with refused("ReceiptHandleIsInvalid", text):
        either.hide(garbage, 1)


def test_a_receipt_with_one_character_changed_is_refused(either: WorldQueue) -> None:
    receipt = either.one().receipt
    for index, character in enumerate(receipt):
        changed = receipt[:index] + ("B" if character == "A" else "A") + receipt[index + 1 :]
        with refused("ReceiptHandleIsInvalid", "is not a valid receipt handle."):
            either.delete(changed)
    assert either.counts() == (0, 1, 0)


def test_a_receipt_of_another_queue_is_refused(world: World, either: WorldQueue) -> None:
    delivery = either.one()
    other = world.queue("other")
    with refused("ReceiptHandleIsInvalid", f'The receipt handle "{delivery.receipt}" is not valid for this queue.'):
        other.delete(delivery)
    with refused("ReceiptHandleIsInvalid", "is not valid for this queue."):
        other.hide(delivery, 1)


def test_a_receipt_of_the_queue_that_had_the_name_before_is_refused(world: World, either: WorldQueue) -> None:
    delivery = either.one()
    fifo = either.view().settings.fifo
    either.remove()
    world.pass_s(60)
    again = world.fifo() if fifo else world.queue()
    assert again.address == either.address
    again.send("a", group="g")
    with refused("ReceiptHandleIsInvalid", "is not valid for this queue."):
        again.delete(delivery)


def test_a_deleted_message_cannot_be_hidden(either: WorldQueue) -> None:
    delivery = either.one()
    either.delete(delivery)
    with refused("InvalidParameterValueException", f"Value {delivery.receipt} for parameter ReceiptHandle"):
        either.hide(delivery, 5)
    with refused("InvalidParameterValueException", GONE):
        either.release(delivery)


def test_an_older_receipt_releases_a_message_on_a_standard_queue(standard: WorldQueue) -> None:
    old = standard.one(visibility_s=0)
    standard.one()
    assert standard.counts() == (0, 1, 0)
    standard.release(old)
    assert standard.counts() == (1, 0, 0)


def test_hiding_a_message_whose_time_is_over_is_accepted_on_a_standard_queue(
    world: World, standard: WorldQueue
) -> None:
    delivery = standard.one()
    world.pass_s(10)
    standard.hide(delivery, 5)
    assert standard.counts() == (1, 0, 0)


def test_hiding_a_message_whose_time_is_over_is_refused_on_a_fifo_queue(world: World, fifo: WorldQueue) -> None:
    delivery = fifo.one()
    world.pass_s(10)
    with refused("InvalidParameterValueException", EXPIRED):
        fifo.hide(delivery, 5)
    assert fifo.counts() == (1, 0, 0)
