"""A FIFO queue knows for five minutes what was sent to it."""

from __future__ import annotations

import pytest
from engine.world import World, us

WINDOW_US = us(300)


def test_a_duplicate_is_answered_as_the_first_was_and_not_enqueued() -> None:
    queue = World().fifo(content_deduplication=False)
    first = queue.send("a", group="g", deduplication_id="once")
    again = queue.send("other body", group="h", deduplication_id="once")
    assert again.duplicate
    assert not first.duplicate
    assert (again.message_id, again.sequence) == (first.message_id, first.sequence)
    assert queue.bodies() == "a"


def test_the_window_holds_to_the_microsecond() -> None:
    world = World()
    queue = world.fifo()
    queue.send("a", group="g")
    world.pass_us(WINDOW_US - 1)
    assert queue.send("a", group="g").duplicate
    world.pass_us(1)
    assert not queue.send("a", group="g").duplicate


def test_a_duplicate_does_not_extend_the_window() -> None:
    world = World()
    queue = world.fifo()
    queue.send("a", group="g")
    world.pass_s(200)
    assert queue.send("a", group="g").duplicate
    world.pass_s(100)
    assert not queue.send("a", group="g").duplicate


def test_a_send_after_the_window_opens_a_new_one() -> None:
    world = World()
    queue = world.fifo()
    queue.send("a", group="g")
    world.pass_s(300)
    second = queue.send("a", group="g")
    world.pass_s(299)
    assert queue.send("a", group="g").message_id == second.message_id


@pytest.mark.parametrize("until", ["received", "deleted", "expired"])
def test_the_window_outlives_the_message(until: str) -> None:
    world = World()
    queue = world.fifo(retention_us=us(60))
    queue.send("a", group="g")
    delivery = queue.one()
    if until == "deleted":
        queue.delete(delivery)
    elif until == "expired":
        world.pass_s(60)
        assert queue.counts() == (0, 0, 0)
    assert queue.send("a", group="g").duplicate


def test_the_same_body_is_a_duplicate_in_any_group() -> None:
    queue = World().fifo()
    queue.send("a", group="g")
    assert queue.send("a", group="h").duplicate


def test_an_id_of_its_own_wins_over_the_hash_of_the_body() -> None:
    queue = World().fifo()
    queue.send("a", group="g")
    assert not queue.send("a", group="g", deduplication_id="another").duplicate
    assert queue.send("b", group="g", deduplication_id="another").duplicate


def test_the_hash_of_a_body_is_an_id_like_any_other() -> None:
    queue = World().fifo()
    queue.send("Test", group="g")
    hashed = "532eaabd9574880dbf76b9b8cc00832c20a6ec113d682299550d7a6e0f345e25"
    assert queue.send("else", group="g", deduplication_id=hashed).duplicate


def test_where_the_scope_is_the_group_other_groups_may_use_the_same_id() -> None:
    queue = World().fifo(deduplication_scope="messageGroup")
    queue.send("a", group="g")
    assert not queue.send("a", group="h").duplicate
    assert queue.send("a", group="g").duplicate


@pytest.mark.parametrize(("made", "changed"), [("queue", "messageGroup"), ("messageGroup", "queue")])
def test_a_changed_scope_is_shown_and_changes_nothing(made: str, changed: str) -> None:
    queue = World().fifo(deduplication_scope=made)
    queue.send("before", group="g")
    queue.set(deduplication_scope=changed)
    assert queue.view().settings.deduplication_scope == changed
    queue.send("after", group="g")
    whole_queue = made == "queue"
    assert queue.send("before", group="h").duplicate is whole_queue
    assert queue.send("after", group="h").duplicate is whole_queue


def test_content_deduplication_can_be_switched_on_later() -> None:
    queue = World().fifo(content_deduplication=False)
    queue.send("a", group="g", deduplication_id="1")
    queue.set(content_deduplication=True)
    assert not queue.send("a", group="g").duplicate
    assert queue.send("a", group="g").duplicate


def test_a_purge_forgets_all_ids() -> None:
    queue = World().fifo()
    queue.send("a", group="g")
    queue.purge()
    assert not queue.send("a", group="g").duplicate


def test_queues_do_not_share_ids() -> None:
    world = World()
    world.fifo("one.fifo").send("a", group="g")
    assert not world.fifo("two.fifo").send("a", group="g").duplicate


def test_a_refused_send_is_not_remembered() -> None:
    queue = World().fifo(message_bytes_max=1024)
    assert queue.batch(queue.message("a", group="g", size_bytes=2000)) == ["InvalidParameterValueException"]
    assert not queue.send("a", group="g").duplicate
