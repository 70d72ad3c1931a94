"""Which messages a FIFO queue gives, in the orders recorded on AWS.

"g1a" is message a of group g1.
"""

from __future__ import annotations

import pytest
from engine.world import World, us

from busframe_emulator.engine import Limits, Redrive

# --- the recorded orders --------------------------------------------------------------------------------------------


def test_a_receive_takes_all_it_can_of_one_group_before_it_goes_to_the_next() -> None:
    queue = World().fifo()
    queue.send_all("g1a g2a g1b g1c")
    assert queue.bodies(10) == "g1a g1b g1c g2a"


def test_groups_that_come_back_stand_behind_those_that_were_there() -> None:
    world = World()
    queue = world.fifo(visibility_us=us(1))
    queue.send_all("g1a g1b g1c g1d g2a g3a")
    assert queue.bodies(2) == "g1a g1b"
    assert queue.bodies(1) == "g2a"
    world.pass_s(1)
    assert queue.bodies(10, visibility_s=0) == "g3a g1a g1b g1c g1d g2a"


def test_groups_that_were_received_without_hiding_stand_behind_those_that_were_not() -> None:
    queue = World().fifo()
    queue.send_all("g1a g2a g2b g3a g1b")
    assert queue.bodies(3, visibility_s=0) == "g1a g1b g2a"
    assert queue.bodies(10, visibility_s=0) == "g3a g1a g1b g2a g2b"


@pytest.mark.parametrize("after_s", [0, 1])
def test_a_released_head_comes_back_without_the_one_behind_it_that_is_still_hidden(after_s: int) -> None:
    world = World()
    queue = world.fifo()
    queue.send_all("g1a g1b g2a")
    g1a, _ = queue.receive(2)
    queue.hide(g1a, after_s)
    world.pass_s(after_s)
    assert queue.bodies(3) == "g2a g1a"


def test_deleting_all_that_was_received_of_a_group_opens_it_at_once() -> None:
    queue = World().fifo()
    queue.send_all("g1a g2a g1b g2b g1c g1d g3a")
    assert queue.send("g2b", group="g2").duplicate
    g1a, g1b = queue.receive(2)
    queue.delete(g1a)
    queue.delete(g1b)
    assert queue.bodies(10) == "g2a g2b g1c g1d g3a"


def test_deleting_some_of_what_was_received_of_a_group_leaves_it_closed() -> None:
    queue = World().fifo()
    queue.send_all("g1a g2a g1b g2b g1c g1d g3a")
    g1a, _ = queue.receive(2)
    queue.delete(g1a)
    assert queue.bodies(10) == "g2a g2b g3a"


@pytest.mark.parametrize(("extended", "back"), [(0, ""), (1, "g1a"), (2, "g1a g1b")])
def test_of_a_group_of_which_one_message_was_extended_those_before_it_come_back(extended: int, back: str) -> None:
    world = World()
    queue = world.fifo(visibility_us=us(5))
    queue.send_all("g1a g1b g1c")
    queue.hide(queue.receive()[extended], 60)
    world.pass_s(5)
    assert queue.bodies() == back


# --- groups ---------------------------------------------------------------------------------------------------------


def test_of_two_in_flight_the_released_first_comes_back_alone() -> None:
    queue = World().fifo()
    queue.send_all("g1a g1b g1c")
    g1a, _ = queue.receive(2)
    queue.release(g1a)
    assert queue.bodies() == "g1a"


def test_a_released_message_comes_back_in_its_place_and_its_group_is_open_again() -> None:
    queue = World().fifo()
    queue.send_all("g1a g1b g1c")
    for delivery in queue.receive(2):
        queue.release(delivery)
    assert queue.bodies() == "g1a g1b g1c"


def test_releasing_the_second_of_two_in_flight_gives_nothing() -> None:
    queue = World().fifo()
    queue.send_all("g1a g1b g1c")
    _, g1b = queue.receive(2)
    queue.release(g1b)
    assert queue.bodies() == ""


def test_a_message_that_times_out_keeps_its_place() -> None:
    world = World()
    queue = world.fifo(visibility_us=us(1))
    queue.send_all("g1a g1b")
    assert queue.bodies(1) == "g1a"
    queue.send_all("g1c")
    world.pass_s(1)
    assert queue.bodies() == "g1a g1b g1c"


def test_a_second_group_in_flight_does_not_open_the_first() -> None:
    queue = World().fifo()
    queue.send_all("g1a g1b g2a g2b")
    assert queue.bodies(1) == "g1a"
    assert queue.bodies(1) == "g2a"
    assert queue.bodies() == ""


def test_new_messages_do_not_open_a_group() -> None:
    queue = World().fifo()
    queue.send_all("g1a")
    queue.one()
    queue.send_all("g1b")
    assert queue.bodies() == ""
    assert queue.counts() == (1, 1, 0)


def test_messages_held_back_by_their_group_count_as_visible() -> None:
    queue = World().fifo()
    queue.send_all("g1a g1b g1c")
    queue.receive(1)
    assert queue.counts() == (2, 1, 0)


def test_the_head_that_retention_takes_opens_its_group() -> None:
    world = World()
    queue = world.fifo(retention_us=us(60))
    queue.send_all("g1a")
    queue.one(visibility_s=1000)
    world.pass_s(30)
    queue.send_all("g1b")
    world.pass_s(30)
    assert queue.bodies() == "g1b"


def test_groups_are_served_in_the_order_in_which_their_heads_became_visible() -> None:
    world = World()
    queue = world.fifo()
    queue.send_all("g1a g2a g3a")
    g1a, g2a, _ = queue.receive()
    queue.hide(g1a, 5)
    queue.hide(g2a, 4)
    world.pass_s(30)
    assert queue.bodies() == "g2a g1a g3a"


def test_of_heads_that_became_visible_at_one_instant_the_group_served_longer_ago_comes_first() -> None:
    world = World()
    queue = world.fifo()
    queue.send_all("g1a g2a")
    (g1a,) = queue.receive(1)
    (g2a,) = queue.receive(1)
    queue.hide(g2a, 5)
    queue.hide(g1a, 5)
    world.pass_s(5)
    assert queue.bodies() == "g1a g2a"


def test_of_heads_that_one_receive_gave_and_that_came_back_at_one_instant_the_first_given_comes_first() -> None:
    world = World()
    queue = world.fifo()
    queue.send_all("g1a g2a")
    g1a, g2a = queue.receive()
    queue.hide(g2a, 5)
    queue.hide(g1a, 5)
    world.pass_s(5)
    assert queue.bodies() == "g1a g2a"


def test_of_groups_never_served_whose_heads_are_of_one_instant_the_one_whose_head_was_sent_first_comes_first() -> None:
    world = World()
    queue = world.fifo(retention_us=us(60))
    queue.send_all("g1a")
    world.pass_s(10)
    queue.batch(queue.message("g1b", group="g1"), queue.message("g2a", group="g2"))
    world.pass_s(50)
    assert queue.bodies() == "g1b g2a"


def test_many_groups_are_served_one_after_the_other() -> None:
    queue = World().fifo()
    names = [f"g{number:03}" for number in range(100)]
    for name in names:
        for index in range(3):
            queue.send(f"{name}.{index}", group=name)
    seen: list[str] = []
    while deliveries := queue.receive(1):
        seen.append(deliveries[0].body)
        queue.delete(deliveries[0])
    # A group in flight is skipped; deleted, its next message has been visible for as long as the others.
    assert sorted(seen) == sorted(f"{name}.{index}" for name in names for index in range(3))
    for name in names:
        assert [body for body in seen if body.startswith(name)] == [f"{name}.{index}" for index in range(3)]


# --- how far it looks -----------------------------------------------------------------------------------------------


def test_a_backlog_of_one_group_hides_groups_that_came_after_it() -> None:
    world = World(limits=Limits(fifo_search_max=3))
    queue = world.fifo()
    queue.send_all("g1a g1b g1c g2a g3a")
    first, second = queue.receive(2)
    assert queue.bodies() == ""
    queue.delete(first)
    assert queue.bodies() == "g2a"
    queue.delete(second)
    assert queue.bodies() == "g1c g3a"


def test_a_group_that_comes_in_sight_wakes_who_waits() -> None:
    world = World(limits=Limits(fifo_search_max=2))
    queue = world.fifo()
    queue.send_all("g1a g1b g2a")
    first, _ = queue.receive()
    waiter = queue.poll()
    queue.delete(first)
    assert world.answers() == {waiter: ["g2a"]}


def test_of_a_group_in_sight_also_what_is_out_of_sight_is_given() -> None:
    queue = World(limits=Limits(fifo_search_max=1)).fifo()
    queue.send_all("g1a g2a g1b")
    assert queue.bodies() == "g1a g1b"


def test_after_a_purge_a_queue_looks_as_far_as_ever() -> None:
    queue = World(limits=Limits(fifo_search_max=2)).fifo()
    queue.send_all("g1a g1b g1c")
    queue.purge()
    queue.send_all("g1d g2d g3d")
    assert queue.bodies() == "g1d g2d"


def test_a_waiting_receive_gets_what_its_own_dead_letters_hid() -> None:
    world = World(limits=Limits(fifo_search_max=1))
    dead = world.fifo("dead.fifo")
    queue = world.fifo(redrive=Redrive(dead.address, 1))
    queue.send_all("g1a g2a")
    assert queue.bodies(visibility_s=0) == "g1a"
    waiter = queue.poll()
    assert world.answers() == {waiter: ["g2a"]}
