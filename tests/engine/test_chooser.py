"""What each choice does, where it is asked for, and that no answer breaks a rule."""

from __future__ import annotations

import pytest
from engine.histories import QUEUES, random_history
from engine.solo import Keyed, Solo, fingerprint, run_alone
from engine.world import Scripted, World, WorldQueue, refused, us

from busframe_emulator.engine import Limits, Redrive
from busframe_emulator.engine.requests import Send

FOR_ALL_QUEUES = {
    "send.lag",
    "recv.empty",
    "recv.fewer",
    "counts.stale",
    "attr.lag",
    "purge.lag",
    "purge.reach",
    "queue.lag",
}
FOR_STANDARD_QUEUES_ONLY = {"recv.pick", "recv.dup", "recv.overlimit", "delete.zombie", "delete.stale"}
LATE_PURGE: dict[tuple[str, tuple[str | int, ...]], int] = {("purge.lag", ("work", 1)): us(1)}
"""Only of a late purge it is asked what it takes."""


def fates(queue: WorldQueue) -> None:
    """Take a queue through everything that could raise a question."""
    queue.send("a", group="g")
    queue.send("b", group="h")
    old, _ = queue.receive(2, visibility_s=5)
    queue.world.pass_s(5)
    deliveries = queue.receive()
    queue.batch()
    if not queue.view().settings.fifo:
        queue.delete(old)
    for delivery in deliveries:
        queue.delete(delivery)
    queue.poll(5)
    queue.look()
    queue.set(delay_us=us(1))
    queue.purge()
    queue.remove()


# --- where it asks --------------------------------------------------------------------------------------------------


def test_a_standard_queue_asks_at_every_site() -> None:
    chooser = Scripted(LATE_PURGE)
    fates(World(chooser=chooser).queue())
    assert chooser.sites() == FOR_ALL_QUEUES | FOR_STANDARD_QUEUES_ONLY - {"recv.overlimit"}


def test_a_fifo_queue_asks_only_what_cannot_break_its_order() -> None:
    chooser = Scripted({("purge.lag", ("work.fifo", 1)): us(1)})
    fates(World(chooser=chooser).fifo())
    assert chooser.sites() == FOR_ALL_QUEUES


def test_no_question_is_asked_twice() -> None:
    chooser = Scripted()
    world = World(chooser=chooser)
    fates(world.queue())
    fates(world.fifo())
    assert len(set(chooser.asked)) == len(chooser.asked)


def test_a_long_poll_is_not_asked_whether_it_finds_nothing() -> None:
    chooser = Scripted({("recv.empty", ("work", 1)): 1})
    world = World(chooser=chooser)
    queue = world.queue()
    waiter = queue.poll()
    queue.send("a")
    assert world.answers() == {waiter: ["a"]}
    assert "recv.empty" not in chooser.sites()


@pytest.mark.parametrize("seed", range(5))
def test_a_chooser_that_always_answers_none_is_calm(seed: int) -> None:
    assert fingerprint(run_alone(seed, 300, chooser=Scripted())) == fingerprint(run_alone(seed, 300))


# --- send.lag -------------------------------------------------------------------------------------------------------


def test_a_lag_keeps_a_sent_message_back() -> None:
    world = World(chooser=Scripted({("send.lag", ("work", 2)): us(1)}))
    queue = world.queue()
    queue.send_all("a b c")
    assert queue.bodies() == "a c"
    world.pass_s(1)
    assert queue.bodies() == "b"


def test_a_lag_adds_to_a_delay() -> None:
    world = World(chooser=Scripted({("send.lag", ("work", 1)): us(1)}))
    queue = world.queue()
    queue.send("a", delay_s=5)
    world.pass_us(us(6) - 1)
    assert queue.bodies() == ""
    world.pass_us(1)
    assert queue.bodies() == "a"


def test_a_lag_keeps_the_order_of_a_group() -> None:
    world = World(chooser=Scripted({("send.lag", ("work.fifo", 1)): us(1)}))
    queue = world.fifo()
    queue.send_all("g1a g1b")
    assert queue.bodies() == ""
    world.pass_s(1)
    assert queue.bodies() == "g1a g1b"


def test_a_lag_keeps_a_dead_letter_back_too() -> None:
    world = World(chooser=Scripted({("send.lag", ("dead", 1)): us(1)}))
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    queue.receive(visibility_s=0)
    assert queue.bodies() == ""
    assert (queue.counts(), dead.counts()) == ((0, 0, 0), (0, 0, 1))
    world.pass_s(1)
    assert dead.bodies() == "a"


@pytest.mark.parametrize(("asked", "permitted_s"), [(us(3600), 2), (-5, 0)])
def test_a_lag_is_at_most_two_seconds_and_never_negative(asked: int, permitted_s: int) -> None:
    world = World(chooser=Scripted({("send.lag", ("work", 1)): asked}))
    queue = world.queue()
    queue.send("a")
    if permitted_s:
        world.pass_us(us(permitted_s) - 1)
        assert queue.counts() == (0, 0, 1)
        world.pass_us(1)
    assert queue.counts() == (1, 0, 0)


# --- receiving ------------------------------------------------------------------------------------------------------


def test_a_short_poll_can_find_nothing() -> None:
    queue = World(chooser=Scripted({("recv.empty", ("work", 1)): 1})).queue()
    queue.send("a")
    assert queue.bodies() == ""
    assert queue.bodies() == "a"


@pytest.mark.parametrize(("asked", "given"), [(1, "a"), (2, "a b"), (9, "a b c"), (0, "a"), (-1, "a")])
def test_a_receive_can_return_fewer_but_not_none(asked: int, given: str) -> None:
    queue = World(chooser=Scripted({("recv.fewer", ("work", 1)): asked})).queue()
    queue.send_all("a b c")
    assert queue.bodies(3) == given


@pytest.mark.parametrize(("index", "given"), [(1, "b a c"), (2, "c a b"), (99, "c a b"), (0, "a b c"), (-1, "a b c")])
def test_a_standard_queue_can_give_a_message_from_further_back(index: int, given: str) -> None:
    queue = World(chooser=Scripted({("recv.pick", ("work", 1, 0)): index})).queue()
    queue.send_all("a b c")
    assert queue.bodies() == given


def test_each_slot_of_a_receive_is_picked_on_its_own() -> None:
    queue = World(chooser=Scripted({("recv.pick", ("work", 1, 1)): 1})).queue()
    queue.send_all("a b c")
    assert queue.bodies() == "a c b"


def test_what_is_gone_from_the_line_is_not_counted_in_a_pick() -> None:
    queue = World(chooser=Scripted({("recv.pick", ("work", 5, 0)): 1})).queue()
    queue.send_all("a b c d")
    first, second, third = (queue.one() for _ in "abc")
    for delivery in (third, first, second):
        queue.release(delivery)
    queue.delete(first)
    assert queue.bodies(1) == "d"
    assert queue.bodies() == "b c"


def test_a_message_is_picked_from_at_most_forty_nine_places_back() -> None:
    queue = World(chooser=Scripted({("recv.pick", ("work", 1, 0)): 60})).queue()
    queue.send_all(" ".join(str(number) for number in range(100)))
    assert queue.bodies(1) == "49"


@pytest.mark.parametrize(("in_flight", "refused_now"), [(8, False), (9, True)])
def test_a_short_poll_near_the_in_flight_limit_can_be_told_that_it_is_reached(
    in_flight: int, *, refused_now: bool
) -> None:
    script: dict[tuple[str, tuple[str | int, ...]], int] = {("recv.overlimit", ("work", n)): 1 for n in range(2, 9)}
    queue = World(chooser=Scripted(script), limits=Limits(in_flight_max=10)).queue()
    queue.send_all("a b c d e f g h i j")
    queue.receive(in_flight)
    if refused_now:
        with refused("OverLimit", "Too many messages"):
            queue.receive(1)
    else:
        assert queue.bodies(1) == "i"


def test_a_long_poll_is_never_told_that_a_limit_is_reached() -> None:
    script: dict[tuple[str, tuple[str | int, ...]], int] = {("recv.overlimit", ("work", n)): 1 for n in range(2, 9)}
    world = World(chooser=Scripted(script), limits=Limits(in_flight_max=2))
    queue = world.queue()
    queue.send_all("a b")
    queue.receive()
    waiter = queue.poll()
    world.pass_s(20)
    assert world.answers() == {waiter: []}


# --- recv.dup -------------------------------------------------------------------------------------------------------


def test_a_copy_of_one_message_is_none_of_another_by_the_same_sender() -> None:
    world = World(chooser=Scripted({("recv.dup", ("work", 1, 1)): 1}))
    queue = world.queue()
    for body in "abc":
        world.engine.apply(world.now_us, Send(queue.address, body, 1, sender="anna" if body < "c" else "carl"))
    assert [(delivery.body, delivery.sender) for delivery in queue.receive()] == [
        ("a", "anna"),
        ("b", "anna"),
        ("c", "carl"),
    ]
    assert [(delivery.body, delivery.sender) for delivery in queue.receive()] == [("a", "anna")]
    assert queue.receive() == []


def test_a_standard_queue_can_hand_out_a_second_copy_while_the_first_is_in_flight() -> None:
    queue = World(chooser=Scripted({("recv.dup", ("work", 1, 1)): 1})).queue()
    sent = queue.send("a")
    first, second = queue.one(), queue.one()
    assert first.message_id == second.message_id == sent.message_id
    assert (first.receive_count, second.receive_count) == (1, 2)
    assert queue.bodies() == ""
    assert queue.counts() == (0, 1, 0)


def test_deleting_the_message_deletes_its_copy() -> None:
    queue = World(chooser=Scripted({("recv.dup", ("work", 1, 1)): 1})).queue()
    queue.send("a")
    queue.delete(queue.one())
    assert queue.bodies() == ""


def test_a_copy_wakes_a_waiter() -> None:
    world = World(chooser=Scripted({("recv.dup", ("work", 1, 1)): 1}))
    queue = world.queue()
    first, second = queue.poll(), queue.poll()
    queue.send("a")
    assert world.answers() == {first: ["a"], second: ["a"]}


def test_a_copy_that_outlives_the_invisibility_is_no_second_message() -> None:
    world = World(chooser=Scripted({("recv.dup", ("work", 1, 1)): 1}))
    queue = world.queue()
    queue.send("a")
    queue.one(visibility_s=5)
    world.pass_s(5)
    assert queue.bodies(visibility_s=0) == "a"
    assert queue.counts() == (1, 0, 0)
    queue.delete(queue.one())
    assert queue.counts() == (0, 0, 0)


def test_a_copy_of_a_message_received_too_often_is_moved_once() -> None:
    world = World(chooser=Scripted({("recv.dup", ("work", 1, 1)): 1}))
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    queue.send("a")
    queue.one(visibility_s=5)
    world.pass_s(5)
    assert queue.bodies() == ""
    assert (queue.counts(), dead.counts()) == ((0, 0, 0), (1, 0, 0))


# --- delete.zombie, delete.stale ------------------------------------------------------------------------------------


def test_a_deleted_message_can_come_back() -> None:
    world = World(chooser=Scripted({("delete.zombie", ("work", 1, 1)): us(5)}))
    queue = world.queue()
    queue.send("a")
    delivery = queue.one()
    queue.delete(delivery)
    assert queue.counts() == (0, 0, 0)
    queue.delete(delivery)
    world.pass_us(us(5) - 1)
    assert queue.bodies() == ""
    world.pass_us(1)
    again = queue.one()
    assert (again.message_id, again.receive_count) == (delivery.message_id, 2)
    queue.delete(again)
    world.pass_s(1000)
    assert queue.counts() == (0, 0, 0)


def test_a_deleted_message_comes_back_within_a_minute() -> None:
    world = World(chooser=Scripted({("delete.zombie", ("work", 1, 1)): us(3600)}))
    queue = world.queue()
    queue.send("a")
    queue.delete(queue.one())
    world.pass_s(60)
    assert queue.bodies() == "a"


def test_a_deleted_message_does_not_come_back_after_its_retention() -> None:
    world = World(chooser=Scripted({("delete.zombie", ("work", 1, 1)): us(60)}))
    queue = world.queue(retention_us=us(60))
    queue.send("a")
    world.pass_s(30)
    queue.delete(queue.one())
    world.pass_s(60)
    assert queue.bodies() == ""


def test_a_copy_of_a_deleted_message_that_will_come_back_is_gone_until_then() -> None:
    chooser = Scripted({("recv.dup", ("work", 1, 1)): 1, ("delete.zombie", ("work", 1, 1)): us(5)})
    world = World(chooser=chooser)
    queue = world.queue()
    queue.send("a")
    queue.delete(queue.one())
    assert queue.bodies(visibility_s=0) == ""
    world.pass_s(5)
    assert queue.bodies(visibility_s=0) == "a"
    assert queue.counts() == (1, 0, 0)


def test_an_old_receipt_can_delete() -> None:
    world = World(chooser=Scripted({("delete.stale", ("work", 1, 1)): 1}))
    queue = world.queue()
    queue.send("a")
    old = queue.one(visibility_s=0)
    queue.one()
    queue.delete(old)
    assert queue.counts() == (0, 0, 0)


# --- any script is a legal one --------------------------------------------------------------------------------------


def test_no_answers_bring_the_engine_out_of_its_rules() -> None:
    for seed in range(100):
        history = random_history(seed, 150)
        solo = Solo(history.plans, chooser=Keyed(seed))
        for step in history.steps:
            solo.take(step)
            due_us = solo.engine.next_due()
            assert due_us is None or due_us > solo.now_us
            for where, counts in zip(QUEUES, solo.counts(), strict=True):
                assert counts is None or min(counts) >= 0, (seed, step, where.name, counts)


def test_copies_stay_within_the_in_flight_limit() -> None:
    script: dict[tuple[str, tuple[str | int, ...]], int] = {
        ("recv.dup", ("work", message, 1)): 1 for message in range(1, 6)
    }
    queue = World(chooser=Scripted(script), limits=Limits(in_flight_max=3)).queue()
    queue.send_all("a b c d e")
    assert queue.bodies() == "a b c"
    assert queue.counts() == (2, 3, 0)


def test_a_receive_that_waits_is_the_same_receive_however_often_it_is_tried() -> None:
    world = World(chooser=Scripted({("recv.fewer", ("work", 1)): 1}))
    queue = world.queue(delay_us=us(1))
    waiter = queue.poll()
    queue.batch(queue.message("a"), queue.message("b"))
    world.pass_s(1)
    assert world.answers() == {waiter: ["a"]}
    assert queue.bodies() == "b"


def test_a_message_whose_copy_was_not_taken_comes_back_behind_the_others() -> None:
    world = World(chooser=Scripted({("recv.dup", ("work", 1, 1)): 1}))
    queue = world.queue()
    queue.send("a")
    delivery = queue.one()
    queue.send("b")
    queue.release(delivery)
    assert queue.bodies() == "b a"


def test_a_visible_message_that_was_deleted_comes_back_behind_the_others() -> None:
    world = World(chooser=Scripted({("delete.zombie", ("work", 1, 1)): us(5)}))
    queue = world.queue()
    queue.send("a")
    delivery = queue.one(visibility_s=0)
    queue.send("b")
    queue.delete(delivery)
    world.pass_s(5)
    assert queue.bodies() == "b a"


def test_a_copy_is_handed_out_when_a_delete_makes_room_in_flight() -> None:
    chooser = Scripted({("recv.dup", ("work", 1, 1)): 1, ("delete.zombie", ("work", 2, 1)): us(5)})
    world = World(chooser=chooser, limits=Limits(in_flight_max=2))
    queue = world.queue()
    queue.send_all("a b")
    _, other = queue.receive(2)
    waiter = queue.poll()
    queue.delete(other)
    assert world.answers() == {waiter: ["a"]}
