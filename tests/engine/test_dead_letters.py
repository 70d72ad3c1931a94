"""Messages that were received too often."""

from __future__ import annotations

import pytest
from engine.world import World, address, refused, us

from busframe_emulator.engine import QueueAddress, Redrive
from busframe_emulator.engine.requests import CreateQueue, MessageAttribute, Receive
from busframe_emulator.engine.settings import RedriveAllow


@pytest.mark.parametrize("count", [1, 2, 5])
def test_after_so_many_receives_the_next_returns_nothing_and_the_message_is_in_the_dead_letter_queue(
    count: int,
) -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, count))
    queue.send("a")
    for _ in range(count):
        queue.one(visibility_s=1)
        assert dead.counts() == (0, 0, 0)
        world.pass_s(1)
    assert queue.counts() == (1, 0, 0)
    assert queue.bodies() == ""
    assert queue.counts() == (0, 0, 0)
    assert dead.bodies() == "a"


def test_a_message_that_is_moved_takes_no_place_in_the_receive() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send_all("a b")
    assert queue.bodies(1, visibility_s=0) == "a"
    queue.send_all("c")
    assert queue.bodies(10, visibility_s=0) == "b c"
    queue.send_all("d")
    assert queue.bodies(1) == "d"
    assert dead.bodies() == "a b c"


def test_a_moved_message_keeps_its_identity_and_goes_on_counting() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    attributes = {"kind": MessageAttribute("String", "order")}
    sent = queue.send("a", attributes=attributes, trace_header="Root=1", group="tenant")
    sent_us = world.now_us
    world.pass_s(5)
    first = queue.one(visibility_s=1)
    world.pass_s(1)
    queue.receive()
    world.pass_s(1)
    moved = dead.one()
    assert moved.message_id == sent.message_id
    assert (moved.body, moved.attributes, moved.trace_header, moved.group) == ("a", attributes, "Root=1", "tenant")
    assert (moved.sent_us, moved.first_received_us) == (sent_us, first.first_received_us)
    assert moved.receive_count == 2
    assert moved.source == queue.address


def test_the_receipt_of_a_moved_message_finds_nothing_in_the_source() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    delivery = queue.one(visibility_s=0)
    queue.receive()
    queue.delete(delivery)
    with refused("InvalidParameterValueException", "Message does not exist"):
        queue.hide(delivery, 1)
    with refused("ReceiptHandleIsInvalid", "is not valid for this queue."):
        dead.delete(delivery)
    assert dead.counts() == (1, 0, 0)


def test_a_change_of_visibility_does_not_count_toward_the_limit() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 2))
    queue.send("a")
    delivery = queue.one()
    for _ in range(5):
        queue.hide(delivery, 10)
    queue.release(delivery)
    assert queue.bodies() == "a"


def test_in_a_chain_each_queue_counts_its_own_receives() -> None:
    world = World()
    last = world.queue("last")
    middle = world.queue("middle", redrive=Redrive(last.address, 2))
    queue = world.queue(redrive=Redrive(middle.address, 1))
    sent = queue.send("a")
    assert queue.one(visibility_s=0).receive_count == 1
    assert queue.bodies() == ""
    seen = [middle.one(visibility_s=0) for _ in range(2)]
    assert [(delivery.receive_count, delivery.source) for delivery in seen] == [(2, queue.address), (3, queue.address)]
    assert middle.bodies() == ""
    final = last.one()
    assert (final.message_id, final.receive_count, final.source) == (sent.message_id, 4, middle.address)


def test_a_queue_can_be_its_own_dead_letter_queue() -> None:
    world = World()
    queue = world.queue(redrive=Redrive(address("work"), 1))
    sent = queue.send("a")
    seen: list[tuple[int, QueueAddress | None]] = []
    for _ in range(3):
        delivery = queue.one(visibility_s=0)
        assert delivery.message_id == sent.message_id
        seen.append((delivery.receive_count, delivery.source))
        assert queue.bodies() == ""
        assert queue.counts() == (1, 0, 0)
    assert seen == [(1, None), (2, queue.address), (3, queue.address)]


def test_with_its_dead_letter_queue_deleted_a_queue_goes_on_delivering() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    dead.remove()
    assert [queue.one(visibility_s=0).receive_count for _ in range(3)] == [1, 2, 3]
    world.pass_s(60)
    world.queue("dead")
    assert queue.bodies() == ""
    assert dead.bodies() == "a"


def test_a_lowered_limit_applies_to_the_messages_there() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue()
    queue.send("a")
    for _ in range(3):
        queue.one(visibility_s=0)
    queue.set(redrive=Redrive(dead.address, 3))
    assert queue.bodies() == ""
    assert dead.bodies() == "a"


def test_a_removed_policy_moves_nothing() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    queue.one(visibility_s=0)
    queue.set(redrive=None)
    assert queue.bodies() == "a"


def test_on_a_standard_queue_the_age_goes_along() -> None:
    world = World()
    dead = world.queue("dead", retention_us=us(100))
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    queue.one(visibility_s=0)
    world.pass_s(40)
    queue.receive()
    dead.send("b")
    world.pass_us(us(60) - 1)
    assert dead.counts() == (2, 0, 0)
    world.pass_us(1)
    assert dead.counts() == (1, 0, 0)
    assert dead.bodies() == "b"


def test_a_message_too_old_for_the_dead_letter_queue_is_not_seen_there() -> None:
    world = World()
    dead = world.queue("dead", retention_us=us(100))
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    queue.one(visibility_s=0)
    waiter = dead.poll(20)
    world.pass_s(10)
    waiter_after = dead.poll(200)
    world.pass_s(90)
    assert world.answers() == {waiter: []}
    assert queue.bodies() == ""
    assert world.answers() == {}
    assert dead.counts() == (0, 0, 0)
    world.engine.cancel(waiter_after)


def test_on_a_fifo_queue_the_age_begins_anew() -> None:
    world = World()
    dead = world.fifo("dead.fifo", retention_us=us(100))
    queue = world.fifo(redrive=Redrive(dead.address, 1))
    queue.send("a", group="g")
    queue.one(visibility_s=0)
    world.pass_s(90)
    queue.receive()
    world.pass_us(us(100) - 1)
    assert dead.counts() == (1, 0, 0)
    world.pass_us(1)
    assert dead.counts() == (0, 0, 0)


def test_on_a_fifo_queue_the_message_id_becomes_the_deduplication_id_and_the_number_is_new() -> None:
    world = World()
    dead = world.fifo("dead.fifo")
    dead.send("before", group="g")
    queue = world.fifo(redrive=Redrive(dead.address, 1))
    sent = queue.send("a", group="g")
    queue.one(visibility_s=0)
    queue.receive()
    _, moved = dead.receive()
    assert moved.message_id == sent.message_id
    assert moved.deduplication_id == sent.message_id
    assert moved.group == "g"
    assert moved.sequence is not None
    assert moved.sequence != sent.sequence


def test_on_a_fifo_queue_the_group_goes_on_without_the_moved_message() -> None:
    world = World()
    dead = world.fifo("dead.fifo")
    queue = world.fifo(redrive=Redrive(dead.address, 1))
    queue.send_all("g1a g1b")
    queue.receive(1, visibility_s=0)
    assert queue.bodies() == "g1b"
    assert dead.bodies() == "g1a"


# --- which queue may be one -----------------------------------------------------------------------------------------


def test_the_dead_letter_queue_has_to_be_there() -> None:
    world = World()
    with refused("InvalidParameterValueException", "Dead letter target does not exist."):
        world.queue(redrive=Redrive(address("dead"), 1))
    queue = world.queue()
    with refused("InvalidParameterValueException", "Dead letter target does not exist."):
        queue.set(redrive=Redrive(address("dead"), 1))


def test_the_dead_letter_queue_has_to_be_of_the_same_type() -> None:
    world = World()
    standard, fifo = world.queue("a"), world.fifo("a.fifo")
    with refused("InvalidParameterValueException", "same type"):
        standard.set(redrive=Redrive(fifo.address, 1))
    with refused("InvalidParameterValueException", "same type"):
        fifo.set(redrive=Redrive(standard.address, 1))


@pytest.mark.parametrize(("region", "account"), [("us-east-1", "111111111111"), ("eu-west-1", "222222222222")])
def test_the_dead_letter_queue_has_to_be_of_the_same_account_and_region(region: str, account: str) -> None:
    world = World()
    away = QueueAddress(region, account, "dead")
    world.engine.apply(world.now_us, CreateQueue(queue=away))
    with refused("InvalidParameterValueException", "account and region"):
        world.queue(redrive=Redrive(away, 1))


def test_a_queue_may_say_whose_dead_letters_it_takes() -> None:
    world = World()
    dead = world.queue("dead", redrive_allow=RedriveAllow("byQueue", (address("friend"),)))
    world.queue("friend", redrive=Redrive(dead.address, 1))
    with refused("InvalidParameterValueException", "does not allow"):
        world.queue("stranger", redrive=Redrive(dead.address, 1))
    dead.set(redrive_allow=RedriveAllow("denyAll"))
    with refused("InvalidParameterValueException", "does not allow"):
        world.queue("second", redrive=Redrive(dead.address, 1))


def test_a_refused_policy_leaves_the_queue_as_it_was() -> None:
    world = World()
    queue = world.queue()
    before = queue.view()
    with refused("InvalidParameterValueException"):
        queue.set(redrive=Redrive(address("nowhere"), 1), visibility_us=us(1))
    assert queue.view() == before


def test_a_long_poll_that_only_moves_messages_waits_on() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    queue.one(visibility_s=0)
    waiter = queue.poll(5)
    assert dead.counts() == (1, 0, 0)
    queue.send("b")
    assert world.answers() == {waiter: ["b"]}
    world.engine.apply(world.now_us, Receive(queue=dead.address))


@pytest.mark.parametrize("fifo", [False, True])
def test_a_dead_letter_is_as_old_as_its_retention_counts(*, fifo: bool) -> None:
    world = World()
    make, suffix = (world.fifo, ".fifo") if fifo else (world.queue, "")
    dead = make(f"dead{suffix}")
    queue = make(f"work{suffix}", redrive=Redrive(dead.address, 1))
    sent_us = world.now_us
    queue.send("a", group="g" if fifo else None)
    queue.receive(visibility_s=0)
    world.pass_s(10)
    queue.receive()
    assert dead.view().oldest_sent_us == (world.now_us if fifo else sent_us)
