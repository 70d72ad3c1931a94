"""DelaySeconds, of a message and of a queue."""

from __future__ import annotations

import pytest
from engine.world import Scripted, World, refused, us


@pytest.mark.parametrize("microseconds", [1, 999_999, 1_000_000, 900_000_000])
def test_a_delay_ends_to_the_microsecond(microseconds: int) -> None:
    world = World()
    queue = world.queue(delay_us=microseconds)
    queue.send("a")
    world.pass_us(microseconds - 1)
    assert queue.counts() == (0, 0, 1)
    assert queue.bodies() == ""
    world.pass_us(1)
    assert queue.counts() == (1, 0, 0)
    assert queue.bodies() == "a"


def test_the_delay_of_the_queue_applies_to_a_message_without_one() -> None:
    world = World()
    queue = world.queue(delay_us=us(10))
    queue.send("a")
    assert queue.bodies() == ""
    world.pass_s(10)
    assert queue.bodies() == "a"


def test_a_delay_of_zero_on_the_message_overrides_the_queue() -> None:
    queue = World().queue(delay_us=us(10))
    queue.send("a", delay_s=0)
    assert queue.bodies() == "a"


def test_a_longer_delay_on_the_message_overrides_the_queue() -> None:
    world = World()
    queue = world.queue(delay_us=us(1))
    queue.send("a", delay_s=5)
    world.pass_s(4)
    assert queue.bodies() == ""
    world.pass_s(1)
    assert queue.bodies() == "a"


def test_delayed_messages_come_in_the_order_in_which_they_become_visible() -> None:
    world = World()
    queue = world.queue()
    queue.send("late", delay_s=5)
    queue.send("early", delay_s=2)
    world.pass_s(5)
    queue.send("now")
    assert queue.bodies() == "early late now"


def test_on_a_standard_queue_a_changed_delay_leaves_the_messages_there_alone() -> None:
    world = World()
    queue = world.queue(delay_us=us(10))
    queue.send("a")
    queue.set(delay_us=0)
    assert queue.counts() == (0, 0, 1)
    queue.send("b")
    assert queue.bodies() == "b"
    world.pass_s(10)
    assert queue.bodies() == "a"


def test_on_a_fifo_queue_a_changed_delay_applies_to_the_messages_there() -> None:
    queue = World().fifo(delay_us=us(10))
    queue.send("a", group="g")
    queue.set(delay_us=0)
    assert queue.bodies() == "a"


@pytest.mark.parametrize("delay_s", [4, 10, 60])
def test_on_a_fifo_queue_a_changed_delay_counts_from_when_a_message_was_sent(delay_s: int) -> None:
    world = World()
    queue = world.fifo(delay_us=us(10))
    queue.send("a", group="g")
    world.pass_s(3)
    queue.set(delay_us=us(delay_s))
    queue.send("b", group="g")
    world.pass_us(us(delay_s - 3) - 1)
    assert queue.counts() == (0, 0, 2)
    world.pass_us(1)
    assert queue.bodies(visibility_s=0) == "a"
    world.pass_s(3)
    assert queue.bodies() == "a b"


def test_on_a_fifo_queue_a_shortened_delay_wakes_who_waits_and_keeps_the_order() -> None:
    world = World()
    queue = world.fifo(delay_us=us(10))
    queue.send_all("g1a g2a g1b")
    world.pass_s(2)
    waiter = queue.poll(20)
    queue.set(delay_us=us(1))
    assert world.answers() == {waiter: ["g1a", "g1b", "g2a"]}
    assert queue.counts() == (0, 3, 0)


def test_on_a_fifo_queue_a_changed_delay_leaves_what_is_visible_or_in_flight_alone() -> None:
    world = World()
    queue = world.fifo(delay_us=us(10))
    queue.send_all("g1a g2a")
    world.pass_s(10)
    queue.receive(1)
    queue.send("g3a", group="g3")
    queue.set(delay_us=us(60))
    assert queue.counts() == (1, 1, 1)


def test_on_a_fifo_queue_a_changed_delay_keeps_what_chance_added() -> None:
    world = World(chooser=Scripted({("send.lag", ("work.fifo", 1)): us(2)}))
    queue = world.fifo(delay_us=us(10))
    queue.send("a", group="g")
    queue.set(delay_us=us(5))
    world.pass_us(us(7) - 1)
    assert queue.bodies() == ""
    world.pass_us(1)
    assert queue.bodies() == "a"


def test_a_fifo_queue_refuses_a_delay_of_a_message() -> None:
    text = (
        "Value 2 for parameter DelaySeconds is invalid. "
        "Reason: The request include parameter that is not valid for this queue type."
    )
    with refused("InvalidParameterValueException", text):
        World().fifo().send("a", group="g", delay_s=2)


def test_a_fifo_queue_accepts_a_delay_of_zero_and_applies_its_own() -> None:
    world = World()
    queue = world.fifo(delay_us=us(3))
    queue.send("a", group="g", delay_s=0)
    assert queue.bodies() == ""
    world.pass_s(3)
    assert queue.bodies() == "a"


def test_a_delayed_message_holds_back_those_behind_it_in_its_group_and_no_others() -> None:
    world = World(chooser=Scripted({("send.lag", ("work.fifo", 1)): us(2)}))
    queue = world.fifo()
    queue.send_all("g1a g1b g2a")
    assert queue.counts() == (2, 0, 1)
    assert queue.bodies() == "g2a"
    world.pass_s(2)
    assert queue.bodies() == "g1a g1b"
