"""ReceiveRequestAttemptId: asking again for what was handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine.world import World, refused, us

from busframe_emulator.engine import Redrive

if TYPE_CHECKING:
    from engine.world import WorldQueue

    from busframe_emulator.engine.events import Event


def three() -> tuple[World, WorldQueue]:
    world = World()
    queue = world.fifo()
    queue.send_all("g1a g1b g2c")
    return world, queue


def test_the_same_id_brings_the_same_messages_and_receipts() -> None:
    world, queue = three()
    first = queue.receive(2, attempt_id="x")
    world.pass_s(10)
    assert [delivery.body for delivery in first] == ["g1a", "g1b"]
    assert queue.receive(2, attempt_id="x") == first
    assert queue.receive(10, attempt_id="x") == first
    assert queue.counts() == (1, 2, 0)


def test_another_id_or_none_brings_other_messages() -> None:
    _, queue = three()
    queue.receive(2, attempt_id="x")
    assert [delivery.body for delivery in queue.receive(1, attempt_id="y")] == ["g2c"]
    assert queue.bodies() == ""


def test_asking_again_hides_the_messages_for_the_whole_time() -> None:
    world, queue = three()
    queue.receive(2, attempt_id="x")
    world.pass_s(20)
    queue.receive(2, attempt_id="x")
    world.pass_us(us(30) - 1)
    assert queue.counts() == (1, 2, 0)
    world.pass_us(1)
    assert queue.counts() == (3, 0, 0)


def test_asking_again_may_hide_them_for_another_time() -> None:
    world, queue = three()
    queue.receive(2, attempt_id="x")
    queue.receive(2, visibility_s=5, attempt_id="x")
    world.pass_s(5)
    assert queue.counts() == (3, 0, 0)


def test_asking_again_for_no_time_at_all_gives_them_back() -> None:
    _, queue = three()
    first = queue.receive(2, attempt_id="x")
    assert queue.receive(2, visibility_s=0, attempt_id="x") == first
    assert queue.counts() == (3, 0, 0)
    assert queue.receive(2, attempt_id="x") != first


def test_asking_again_does_not_count_toward_the_dead_letter_queue() -> None:
    world = World()
    dead = world.fifo("dead.fifo")
    queue = world.fifo(redrive=Redrive(dead.address, 1))
    queue.send("a", group="g")
    for _ in range(5):
        assert [delivery.receive_count for delivery in queue.receive(attempt_id="x")] == [1]
    assert dead.counts() == (0, 0, 0)


def test_the_receipts_stay_good() -> None:
    _, queue = three()
    queue.receive(2, attempt_id="x")
    for delivery in queue.receive(2, attempt_id="x"):
        queue.delete(delivery)
    assert queue.bodies() == "g2c"


def test_an_id_is_forgotten_five_minutes_after_it_was_first_used() -> None:
    world, queue = three()
    first = queue.receive(2, visibility_s=3600, attempt_id="x")
    world.pass_us(us(300) - 1)
    assert queue.receive(2, visibility_s=3600, attempt_id="x") == first
    world.pass_us(1)
    assert [delivery.body for delivery in queue.receive(2, attempt_id="x")] == ["g2c"]


def test_after_a_delete_the_id_is_as_good_as_new() -> None:
    _, queue = three()
    first = queue.receive(2, attempt_id="x")
    queue.delete(first[0])
    again = queue.receive(2, attempt_id="x")
    assert [delivery.body for delivery in again] == ["g2c"]
    assert queue.receive(2, attempt_id="x") == again


@pytest.mark.parametrize("seconds", [0, 1, 30])
def test_after_a_change_of_visibility_the_id_is_as_good_as_new(seconds: int) -> None:
    _, queue = three()
    first = queue.receive(2, attempt_id="x")
    queue.hide(first[1], seconds)
    assert [delivery.body for delivery in queue.receive(2, attempt_id="x")] == ["g2c"]


def test_what_became_visible_again_is_received_anew() -> None:
    world, queue = three()
    first = queue.receive(2, attempt_id="x")
    world.pass_s(30)
    again = queue.receive(2, attempt_id="x")
    assert [delivery.receive_count for delivery in again] == [1, 2]
    assert [delivery.body for delivery in again] == ["g2c", "g1a"]
    with refused("InvalidParameterValueException", "The receipt handle has expired."):
        queue.delete(first[0])


def test_what_somebody_else_received_meanwhile_is_not_handed_out_again() -> None:
    world, queue = three()
    queue.receive(2, attempt_id="x")
    world.pass_s(30)
    assert queue.bodies() == "g2c g1a g1b"
    assert queue.receive(2, attempt_id="x") == []


def test_an_empty_answer_is_not_remembered() -> None:
    world = World()
    queue = world.fifo()
    assert queue.receive(attempt_id="x") == []
    queue.send("a", group="g")
    assert [delivery.body for delivery in queue.receive(attempt_id="x")] == ["a"]


def test_a_receive_that_waited_can_be_asked_for_again() -> None:
    world = World()
    queue = world.fifo()
    waiter = queue.poll(20, attempt_id="x")
    queue.send("a", group="g")
    (answer,) = world.engine.take_answers()
    assert answer[0] == waiter
    assert queue.receive(attempt_id="x") == list(answer[1].deliveries)


def test_one_who_asks_again_while_the_first_still_waits_is_told_the_same() -> None:
    world = World()
    queue = world.fifo()
    first, between, second = (queue.poll(20, attempt_id=attempt_id) for attempt_id in ("x", None, "x"))
    queue.send("a", group="g")
    assert world.answers() == {first: ["a"], second: ["a"]}
    world.engine.cancel(between)
    assert queue.counts() == (0, 1, 0)


def test_a_purge_forgets_the_ids() -> None:
    _, queue = three()
    queue.receive(2, attempt_id="x")
    queue.purge()
    assert queue.receive(2, attempt_id="x") == []


def test_a_standard_queue_knows_no_attempts() -> None:
    world = World()
    queue = world.queue()
    queue.send_all("a b")
    assert [delivery.body for delivery in queue.receive(1, attempt_id="x")] == ["a"]
    assert [delivery.body for delivery in queue.receive(1, attempt_id="x")] == ["b"]


def test_asking_again_is_told_as_what_it_is() -> None:
    events: list[Event] = []
    world = World(sink=events.append)
    queue = world.fifo()
    queue.send("a", group="g")
    queue.receive(attempt_id="x")
    queue.receive(attempt_id="x")
    kinds = [(event.kind, event.delivery) for event in events]
    assert kinds == [("queue_created", 0), ("sent", 0), ("delivered", 1), ("delivered_again", 1)]
