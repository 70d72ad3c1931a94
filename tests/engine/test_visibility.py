"""ChangeMessageVisibility: from when it counts, how far it goes, and that the microsecond is right."""

from __future__ import annotations

import pytest
from engine.world import World, refused, us

from busframe_emulator.engine import Limits


def test_the_time_counts_from_the_call() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    delivery = queue.one(visibility_s=30)
    world.pass_s(20)
    queue.hide(delivery, 15)
    world.pass_us(us(15) - 1)
    assert queue.counts() == (0, 1, 0)
    world.pass_us(1)
    assert queue.counts() == (1, 0, 0)


def test_a_shorter_time_shortens_it() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    queue.hide(queue.one(visibility_s=30), 1)
    world.pass_us(us(1) - 1)
    assert queue.bodies() == ""
    world.pass_us(1)
    assert queue.bodies() == "a"


def test_zero_shows_the_message_at_once() -> None:
    queue = World().queue()
    queue.send("a")
    queue.release(queue.one())
    assert queue.bodies() == "a"


def test_it_does_not_count_as_a_receive() -> None:
    queue = World().queue()
    queue.send("a")
    delivery = queue.one()
    queue.hide(delivery, 10)
    queue.release(delivery)
    assert queue.one().receive_count == 2


def test_the_time_is_not_remembered_for_the_next_receive() -> None:
    world = World()
    queue = world.queue(visibility_us=us(10))
    queue.send("a")
    queue.hide(queue.one(), 100)
    world.pass_s(100)
    queue.one()
    world.pass_s(10)
    assert queue.counts() == (1, 0, 0)


def test_a_message_can_be_hidden_for_twelve_hours_from_its_receive_and_not_longer() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    delivery = queue.one()
    world.pass_s(3600)
    delivery = queue.one()
    world.pass_s(10)
    text = (
        "Value 43191 for parameter VisibilityTimeout is invalid. "
        "Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
    )
    with refused("InvalidParameterValueException", text):
        queue.hide(delivery, 43_191)
    queue.hide(delivery, 43_190)
    world.pass_us(us(43_190) - 1)
    assert queue.counts() == (0, 1, 0)
    world.pass_us(1)
    assert queue.counts() == (1, 0, 0)


def test_twelve_hours_fail_as_soon_as_any_time_has_passed_since_the_receive() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    delivery = queue.one()
    world.pass_us(1)
    with refused("InvalidParameterValueException", "beyond the limit [43200 seconds]"):
        queue.hide(delivery, 43_200)


def test_a_refused_extension_leaves_the_message_as_it_was() -> None:
    world = World()
    queue = world.queue(visibility_us=us(10))
    queue.send("a")
    delivery = queue.one()
    world.pass_s(1)
    with refused("InvalidParameterValueException"):
        queue.hide(delivery, 43_200)
    world.pass_s(9)
    assert queue.counts() == (1, 0, 0)


def test_the_twelve_hours_begin_anew_with_each_receive() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    queue.one(visibility_s=43_200)
    world.pass_s(43_200)
    queue.hide(queue.one(), 43_200)


@pytest.mark.parametrize("microseconds", [1, 999_999, 1_000_000, 1_000_001, 43_200_000_000])
def test_an_invisibility_ends_to_the_microsecond(microseconds: int) -> None:
    world = World()
    queue = world.queue(visibility_us=microseconds)
    queue.send("a")
    queue.one()
    assert world.engine.next_due() == world.now_us + microseconds
    world.pass_us(microseconds - 1)
    assert queue.counts() == (0, 1, 0)
    world.pass_us(1)
    assert queue.counts() == (1, 0, 0)


def test_where_it_is_set_so_hiding_takes_a_visible_message_away_again() -> None:
    world = World(limits=Limits(rehide_expired=True))
    queue = world.queue(visibility_us=us(10))
    queue.send_all("a b")
    delivery = queue.one()
    world.pass_s(10)
    queue.hide(delivery, 5)
    assert queue.counts() == (1, 1, 0)
    assert queue.bodies(visibility_s=100) == "b"
    world.pass_s(5)
    assert queue.bodies() == "a"


@pytest.mark.parametrize("tenant", [None, "t"])
def test_a_visible_message_that_was_hidden_again_comes_back_behind_the_others(tenant: str | None) -> None:
    world = World(limits=Limits(rehide_expired=True))
    queue = world.queue()
    for body in "ab":
        queue.send(body, group=tenant)
    delivery = queue.one(visibility_s=5)
    world.pass_s(5)
    queue.send("c", group=tenant)
    queue.hide(delivery, 1)
    queue.release(delivery)
    assert queue.bodies() == "b c a"
