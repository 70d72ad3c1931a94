"""A receive that waits: what wakes it, what it is given, how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine.world import Scripted, World, address, refused, us

from busframe_emulator.engine import Limits, Redrive
from busframe_emulator.engine.requests import Deliveries, Parked, Receive

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.world import WorldQueue


def by_send(world: World) -> tuple[WorldQueue, int]:
    queue = world.queue()
    waiter = queue.poll()
    queue.send("a")
    return queue, waiter


def by_the_end_of_a_delay(world: World) -> tuple[WorldQueue, int]:
    queue = world.queue(delay_us=us(3))
    queue.send("a")
    waiter = queue.poll()
    world.pass_us(us(3) - 1)
    assert world.answers() == {}
    world.pass_us(1)
    return queue, waiter


def by_the_end_of_an_invisibility(world: World) -> tuple[WorldQueue, int]:
    queue = world.queue()
    queue.send("a")
    queue.one(visibility_s=3)
    waiter = queue.poll()
    world.pass_us(us(3) - 1)
    assert world.answers() == {}
    world.pass_us(1)
    return queue, waiter


def by_a_release(world: World) -> tuple[WorldQueue, int]:
    queue = world.queue()
    queue.send("a")
    delivery = queue.one()
    waiter = queue.poll()
    queue.release(delivery)
    return queue, waiter


def by_a_release_in_a_batch(world: World) -> tuple[WorldQueue, int]:
    queue = world.queue()
    waiter = queue.poll()
    queue.batch(queue.message("a"))
    return queue, waiter


def by_a_dead_letter(world: World) -> tuple[WorldQueue, int]:
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    queue.one(visibility_s=0)
    waiter = dead.poll()
    assert queue.bodies() == ""
    return dead, waiter


def by_a_dead_letter_that_the_end_of_an_invisibility_moves_on(world: World) -> tuple[WorldQueue, int]:
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    queue.one(visibility_s=3)
    queue.poll()
    waiter = dead.poll()
    world.pass_s(3)
    return dead, waiter


def by_its_own_dead_letter(world: World) -> tuple[WorldQueue, int]:
    queue = world.queue(redrive=Redrive(address("work"), 1))
    queue.send("a")
    queue.one(visibility_s=0)
    return queue, queue.poll()


def by_the_delete_of_the_head_of_its_group(world: World) -> tuple[WorldQueue, int]:
    queue = world.fifo()
    queue.send("head", group="g")
    delivery = queue.one()
    queue.send("a", group="g")
    waiter = queue.poll()
    queue.delete(delivery)
    return queue, waiter


def by_the_expiry_of_the_head_of_its_group(world: World) -> tuple[WorldQueue, int]:
    queue = world.fifo(retention_us=us(60))
    queue.send("head", group="g")
    queue.one(visibility_s=1000)
    world.pass_s(50)
    queue.send("a", group="g")
    waiter = queue.poll()
    world.pass_us(us(10) - 1)
    assert world.answers() == {}
    world.pass_us(1)
    return queue, waiter


def by_a_shorter_retention_that_takes_the_head_of_its_group(world: World) -> tuple[WorldQueue, int]:
    queue = world.fifo()
    queue.send("head", group="g")
    queue.one(visibility_s=1000)
    world.pass_s(100)
    queue.send("a", group="g")
    waiter = queue.poll()
    queue.set(retention_us=us(60))
    return queue, waiter


CAUSES = (
    by_send,
    by_the_end_of_a_delay,
    by_the_end_of_an_invisibility,
    by_a_release,
    by_a_release_in_a_batch,
    by_a_dead_letter,
    by_a_dead_letter_that_the_end_of_an_invisibility_moves_on,
    by_its_own_dead_letter,
    by_the_delete_of_the_head_of_its_group,
    by_the_expiry_of_the_head_of_its_group,
    by_a_shorter_retention_that_takes_the_head_of_its_group,
)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: str(cause.__name__))
def test_a_waiter_is_answered_at_once_when_a_message_becomes_visible(
    cause: Callable[[World], tuple[WorldQueue, int]],
) -> None:
    world = World()
    queue, waiter = cause(world)
    now_us = world.now_us
    ((number, answer),) = [pair for pair in world.engine.take_answers() if pair[1].deliveries]
    assert number == waiter
    (delivery,) = answer.deliveries
    assert delivery.body == "a"
    world.pass_us(us(30) - 1)
    assert queue.counts()[1] == 1, "it is hidden from the moment it was handed out"
    world.pass_us(1)
    assert queue.counts()[1] == 0
    assert world.now_us == now_us + us(30)


def test_room_in_flight_wakes_a_waiter() -> None:
    world = World(limits=Limits(in_flight_max=1))
    queue = world.queue()
    queue.send_all("a b")
    delivery = queue.one()
    waiter = queue.poll()
    queue.delete(delivery)
    assert world.answers() == {waiter: ["b"]}


def test_room_in_flight_wakes_a_waiter_where_the_delete_will_not_last() -> None:
    chooser = Scripted({("delete.zombie", ("work", 1, 1)): us(5)})
    world = World(chooser=chooser, limits=Limits(in_flight_max=1))
    queue = world.queue()
    queue.send_all("a b")
    delivery = queue.one()
    waiter = queue.poll()
    queue.delete(delivery)
    assert world.answers() == {waiter: ["b"]}


def test_a_message_that_is_there_is_answered_at_once() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    reply = world.engine.apply(world.now_us, Receive(queue=queue.address, wait_us=us(20)))
    assert isinstance(reply, Deliveries)
    assert [delivery.body for delivery in reply.deliveries] == ["a"]


@pytest.mark.parametrize("microseconds", [1, 1_000_000, 20_000_000])
def test_a_wait_ends_empty_to_the_microsecond(microseconds: int) -> None:
    world = World()
    queue = world.queue()
    waiter = queue.poll(microseconds / 1e6)
    world.pass_us(microseconds - 1)
    assert world.answers() == {}
    world.pass_us(1)
    assert world.answers() == {waiter: []}


def test_the_wait_of_the_queue_applies_where_a_receive_names_none() -> None:
    world = World()
    queue = world.queue(wait_us=us(4))
    reply = world.engine.apply(world.now_us, Receive(queue=queue.address))
    assert isinstance(reply, Parked)
    world.pass_s(4)
    assert world.answers() == {reply.waiter: []}


def test_a_wait_of_zero_overrides_that_of_the_queue() -> None:
    assert World().queue(wait_us=us(4)).receive() == []


def test_one_message_answers_one_waiter_and_the_first_comes_first() -> None:
    world = World()
    queue = world.queue()
    first, second = queue.poll(), queue.poll()
    queue.send("a")
    assert world.answers() == {first: ["a"]}
    queue.send("b")
    assert world.answers() == {second: ["b"]}


def test_a_waiter_is_given_no_more_than_it_asked_for() -> None:
    world = World()
    queue = world.queue()
    first, second, third = queue.poll(limit=1), queue.poll(limit=2), queue.poll()
    queue.batch(*(queue.message(body) for body in "abcde"))
    assert world.answers() == {first: ["a"], second: ["b", "c"], third: ["d", "e"]}


def test_what_becomes_visible_at_one_instant_goes_to_one_waiter() -> None:
    world = World()
    queue = world.queue(delay_us=us(5))
    queue.batch(*(queue.message(body) for body in "abc"))
    waiter = queue.poll()
    world.pass_s(5)
    assert world.answers() == {waiter: ["a", "b", "c"]}


def test_a_waiter_hides_for_the_time_it_asked_for() -> None:
    world = World()
    queue = world.queue()
    queue.poll(visibility_s=2)
    queue.send("a")
    world.pass_us(us(2) - 1)
    assert queue.counts() == (0, 1, 0)
    world.pass_us(1)
    assert queue.counts() == (1, 0, 0)


def test_a_message_that_waiters_leave_visible_is_handed_to_each() -> None:
    world = World()
    queue = world.queue()
    waiters = [queue.poll(visibility_s=0) for _ in range(3)]
    queue.send("a")
    assert world.answers() == {waiter: ["a"] for waiter in waiters}


def test_on_a_fifo_queue_a_message_of_a_group_in_flight_wakes_nobody() -> None:
    world = World()
    queue = world.fifo()
    queue.send_all("g1a")
    queue.one()
    waiter = queue.poll()
    queue.send_all("g1b")
    assert world.answers() == {}
    queue.send_all("g2a")
    assert world.answers() == {waiter: ["g2a"]}


def test_a_cancelled_waiter_takes_nothing() -> None:
    world = World()
    queue = world.queue()
    gone, there = queue.poll(), queue.poll()
    world.engine.cancel(gone)
    queue.send("a")
    assert world.answers() == {there: ["a"]}


def test_cancelling_twice_or_too_late_or_somebody_unknown_is_fine() -> None:
    world = World()
    queue = world.queue()
    waiter = queue.poll()
    queue.send("a")
    world.engine.cancel(waiter)
    assert world.answers() == {waiter: ["a"]}
    world.engine.cancel(waiter)
    world.engine.cancel(999)


def test_a_cancelled_waiter_leaves_nothing_due() -> None:
    world = World()
    world.engine.cancel(world.queue().poll())
    assert world.engine.next_due() is None


def test_waiters_of_a_deleted_queue_are_answered_empty() -> None:
    world = World()
    queue = world.queue()
    waiters = [queue.poll(), queue.poll()]
    queue.remove()
    assert world.answers() == {waiter: [] for waiter in waiters}
    assert world.engine.next_due() is None


def test_waiting_on_a_queue_that_is_not_there_is_refused() -> None:
    queue = World().queue()
    queue.remove()
    with refused("QueueDoesNotExist"):
        queue.poll()


def test_a_purge_leaves_waiters_waiting() -> None:
    world = World()
    queue = world.queue()
    waiter = queue.poll()
    queue.purge()
    assert world.answers() == {}
    queue.send("a")
    assert world.answers() == {waiter: ["a"]}


def test_a_driver_that_comes_late_finds_each_thing_done_at_its_time() -> None:
    world = World()
    queue = world.queue(delay_us=us(5), visibility_us=us(30))
    queue.send("a")
    waiter = queue.poll(limit=1)
    world.pass_s(12)
    assert world.answers() == {waiter: ["a"]}
    # It was handed out at five seconds, so it is back at thirty-five.
    world.pass_us(us(23) - 1)
    assert queue.counts() == (0, 1, 0)
    world.pass_us(1)
    assert queue.one().first_received_us == world.now_us - us(30)


def test_a_wait_that_ended_while_the_driver_slept_takes_nothing_sent_later() -> None:
    world = World()
    queue = world.queue()
    waiter = queue.poll(5)
    world.now_us += us(6)
    queue.send("a")
    assert world.answers() == {waiter: []}
    assert queue.bodies() == "a"
