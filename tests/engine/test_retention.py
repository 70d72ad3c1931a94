"""Messages that grow too old."""

from __future__ import annotations

import pytest
from engine.world import World, us


@pytest.mark.parametrize("seconds", [60, 345_600, 1_209_600])
def test_a_message_is_gone_to_the_microsecond(seconds: int) -> None:
    world = World()
    queue = world.queue(retention_us=us(seconds))
    queue.send("a")
    world.pass_us(us(seconds) - 1)
    assert queue.counts() == (1, 0, 0)
    world.pass_us(1)
    assert queue.counts() == (0, 0, 0)
    assert queue.bodies() == ""


def test_a_message_in_flight_expires_too() -> None:
    world = World()
    queue = world.queue(retention_us=us(60))
    queue.send("a")
    queue.one(visibility_s=1000)
    world.pass_s(60)
    assert queue.counts() == (0, 0, 0)
    world.pass_s(1000)
    assert queue.bodies() == ""


def test_a_delayed_message_expires_too() -> None:
    world = World()
    queue = world.queue(retention_us=us(60))
    queue.send("a", delay_s=900)
    world.pass_s(60)
    assert queue.counts() == (0, 0, 0)


def test_the_time_counts_from_the_send_and_no_receive_changes_it() -> None:
    world = World()
    queue = world.queue(retention_us=us(60))
    queue.send("a")
    world.pass_s(59)
    queue.one(visibility_s=0)
    world.pass_s(1)
    assert queue.bodies() == ""


def test_each_message_has_a_time_of_its_own() -> None:
    world = World()
    queue = world.queue(retention_us=us(60))
    for body in "abc":
        queue.send(body)
        world.pass_s(20)
    assert queue.bodies(visibility_s=0) == "b c"
    world.pass_s(20)
    assert queue.bodies(visibility_s=0) == "c"


def test_a_shorter_retention_takes_what_is_too_old_at_once() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    world.pass_s(100)
    queue.send("b")
    queue.set(retention_us=us(60))
    due_us = world.engine.next_due()
    assert due_us == world.now_us + us(60)
    assert queue.bodies() == "b"


def test_a_longer_retention_keeps_what_is_there() -> None:
    world = World()
    queue = world.queue(retention_us=us(60))
    queue.send("a")
    world.pass_s(50)
    queue.set(retention_us=us(120))
    world.pass_s(69)
    assert queue.counts() == (1, 0, 0)
    world.pass_s(1)
    assert queue.counts() == (0, 0, 0)


def test_a_retention_shortened_while_the_queue_is_empty_holds_for_the_next_message() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    queue.delete(queue.one())
    queue.set(retention_us=us(60))
    queue.send("b")
    world.pass_s(60)
    assert queue.counts() == (0, 0, 0)


def test_a_fifo_queue_that_still_knows_an_old_id_lets_a_new_message_expire_in_time() -> None:
    world = World()
    queue = world.fifo(retention_us=us(60))
    queue.send("a", group="g")
    world.pass_s(70)
    queue.send("b", group="g")
    world.pass_us(us(60) - 1)
    assert queue.counts() == (1, 0, 0)
    world.pass_us(1)
    assert queue.counts() == (0, 0, 0)


def test_the_queue_says_when_its_oldest_message_was_sent() -> None:
    world = World()
    queue = world.queue()
    assert queue.view().oldest_sent_us is None
    queue.send("a")
    sent_us = world.now_us
    world.pass_s(5)
    queue.send("b")
    assert queue.view().oldest_sent_us == sent_us
    queue.delete(queue.receive(1)[0])
    assert queue.view().oldest_sent_us == world.now_us
