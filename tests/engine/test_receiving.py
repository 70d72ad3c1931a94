"""Receiving from a standard queue without waiting."""

from __future__ import annotations

from engine.world import World, refused, us

from busframe_emulator.engine import Limits


def test_a_receive_returns_no_more_than_its_limit_in_the_order_sent() -> None:
    queue = World().queue()
    queue.send_all("a b c d")
    assert queue.bodies(3) == "a b c"
    assert queue.bodies(3) == "d"
    assert queue.bodies(3) == ""


def test_a_received_message_is_hidden_for_the_visibility_timeout_of_its_queue() -> None:
    world = World()
    queue = world.queue(visibility_us=us(7))
    queue.send("a")
    queue.one()
    assert queue.counts() == (0, 1, 0)
    world.pass_us(us(7) - 1)
    assert queue.bodies() == ""
    world.pass_us(1)
    assert queue.bodies() == "a"


def test_a_receive_may_name_another_visibility_timeout() -> None:
    world = World()
    queue = world.queue(visibility_us=us(30))
    queue.send("a")
    queue.one(visibility_s=1)
    world.pass_us(us(1) - 1)
    assert queue.bodies() == ""
    world.pass_us(1)
    assert queue.bodies() == "a"


def test_each_receive_counts_and_the_first_one_is_remembered() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    world.pass_s(5)
    first_us = world.now_us
    seen: list[tuple[int, int]] = []
    for _ in range(3):
        delivery = queue.one(visibility_s=2)
        seen.append((delivery.receive_count, delivery.first_received_us))
        world.pass_s(2)
    assert seen == [(1, first_us), (2, first_us), (3, first_us)]


def test_the_first_receive_is_remembered_when_it_was_at_time_zero() -> None:
    world = World(now_us=0)
    queue = world.queue()
    queue.send("a")
    queue.one(visibility_s=2)
    world.pass_s(2)
    assert queue.one().first_received_us == 0


def test_with_a_visibility_timeout_of_zero_a_message_is_handed_out_and_stays() -> None:
    queue = World().queue()
    queue.send("a")
    first, second = queue.one(visibility_s=0), queue.one(visibility_s=0)
    assert queue.counts() == (1, 0, 0)
    assert first.receipt != second.receipt
    assert (first.receive_count, second.receive_count) == (1, 2)


def test_with_a_visibility_timeout_of_zero_one_receive_does_not_return_a_message_twice() -> None:
    queue = World().queue()
    queue.send_all("a b")
    assert queue.bodies(10, visibility_s=0) == "a b"


def test_a_message_that_comes_back_is_behind_those_that_were_visible_before() -> None:
    world = World()
    queue = world.queue()
    queue.send_all("a b")
    assert queue.bodies(1, visibility_s=1) == "a"
    world.pass_s(1)
    queue.send("c")
    assert queue.bodies() == "b a c"


def test_a_short_poll_beyond_the_in_flight_limit_is_refused() -> None:
    queue = World(limits=Limits(in_flight_max=2)).queue()
    queue.send_all("a b c")
    assert queue.bodies(10) == "a b"
    with refused("OverLimit", "Too many messages have been received without being deleted."):
        queue.receive()


def test_the_in_flight_limit_counts_messages_in_flight_and_not_visible_ones() -> None:
    queue = World(limits=Limits(in_flight_max=2)).queue()
    queue.send_all("a b c d e")
    deliveries = queue.receive(2)
    queue.delete(deliveries[0])
    assert queue.bodies(10) == "c"
    queue.release(deliveries[1])
    assert queue.bodies(10) == "d"


def test_a_long_poll_beyond_the_in_flight_limit_waits_without_error() -> None:
    world = World(limits=Limits(in_flight_max=1))
    queue = world.queue()
    queue.send_all("a b")
    queue.one()
    waiter = queue.poll(5)
    world.pass_s(5)
    assert world.answers() == {waiter: []}


def test_a_fifo_queue_at_its_in_flight_limit_gives_nothing_and_no_error() -> None:
    queue = World(limits=Limits(in_flight_max=2)).fifo()
    queue.send_all("g1a g2a g3a")
    assert queue.bodies(10) == "g1a g2a"
    assert queue.bodies(10) == ""


def test_messages_held_back_by_the_delay_count_as_delayed() -> None:
    queue = World().queue()
    queue.send("a", delay_s=5)
    queue.send_all("b c")
    queue.receive(1)
    assert queue.counts() == (1, 1, 1)
