"""What SQS may do later than it says it did: each choice forced, and how late it may be."""

from __future__ import annotations

import pytest
from engine.world import Scripted, World, WorldQueue, address, refused, us

from busframe_emulator.engine import Limits, Redrive
from busframe_emulator.engine.requests import ListMoves, ListQueues, ListSources, StartMove


def seen_counts(queue: WorldQueue) -> tuple[int, int, int]:
    """What GetQueueAttributes shows."""
    view = queue.look()
    return view.visible, view.in_flight, view.delayed


def names(world: World) -> list[str]:
    request = ListQueues(region="eu-west-1", account="111111111111")
    return list(world.engine.apply(world.now_us, request).names)


# --- counts.stale ---------------------------------------------------------------------------------------------------


def test_counts_can_be_those_of_an_earlier_look() -> None:
    world = World(chooser=Scripted({("counts.stale", ("work", look)): us(30) for look in (2, 3)}))
    queue = world.queue()
    queue.send_all("a b")
    assert seen_counts(queue) == (2, 0, 0)
    queue.receive(1, visibility_s=60)
    world.pass_us(us(30) - 1)
    assert seen_counts(queue) == (2, 0, 0)
    world.pass_us(1)
    assert seen_counts(queue) == queue.counts() == (1, 1, 0)


def test_counts_of_a_new_queue_can_be_nothing_yet() -> None:
    world = World(chooser=Scripted({("counts.stale", ("work", 1)): us(60)}))
    queue = world.queue()
    queue.send_all("a b")
    assert seen_counts(queue) == (0, 0, 0)
    assert seen_counts(queue) == (2, 0, 0)


def test_counts_are_right_a_minute_after_the_last_look_whatever_is_asked() -> None:
    world = World(chooser=Scripted({("counts.stale", ("work", 2)): us(3600)}))
    queue = world.queue()
    assert seen_counts(queue) == (0, 0, 0)
    queue.send("a")
    world.pass_s(60)
    assert seen_counts(queue) == (1, 0, 0)


# --- attr.lag -------------------------------------------------------------------------------------------------------


def test_changed_attributes_can_take_a_while_to_take_effect() -> None:
    world = World(chooser=Scripted({("attr.lag", ("work", 1)): us(10)}))
    queue = world.queue(delay_us=us(5))
    queue.set(delay_us=0)
    world.pass_us(us(10) - 1)
    queue.send("a")
    assert queue.counts() == (0, 0, 1)
    assert queue.look().settings.delay_us == us(5)
    world.pass_us(1)
    queue.send("b")
    assert queue.counts() == (1, 0, 1)
    assert queue.look().settings.delay_us == 0


def test_of_two_changes_the_later_one_stays() -> None:
    world = World(chooser=Scripted({("attr.lag", ("work", 1)): us(10), ("attr.lag", ("work", 3)): us(10)}))
    queue = world.queue()
    queue.set(delay_us=us(1), visibility_us=us(7))
    queue.set(delay_us=us(2))
    assert (queue.look().settings.delay_us, queue.look().settings.visibility_us) == (us(2), us(7))
    queue.set(delay_us=us(3))
    queue.set(visibility_us=us(8))
    world.pass_s(20)
    assert (queue.look().settings.delay_us, queue.look().settings.visibility_us) == (us(3), us(8))


def test_creating_again_compares_with_what_was_accepted_last() -> None:
    world = World(chooser=Scripted({("attr.lag", ("work", 1)): us(10)}))
    world.queue(delay_us=us(5)).set(delay_us=us(6))
    world.queue(delay_us=us(6))
    with refused("QueueNameExists"):
        world.queue(delay_us=us(5))


@pytest.mark.parametrize(
    ("settings", "longest_s"),
    [({"delay_us": us(1)}, 60), ({"retention_us": us(60)}, 900), ({"retention_us": us(60), "delay_us": us(1)}, 60)],
)
def test_changes_take_a_minute_at_most_and_that_of_the_retention_a_quarter_of_an_hour(
    settings: dict[str, object], longest_s: int
) -> None:
    world = World(chooser=Scripted({("attr.lag", ("work", 1)): us(10_000)}))
    queue = world.queue()
    before = queue.look().settings
    queue.set(**settings)
    world.pass_us(us(longest_s) - 1)
    assert queue.look().settings == before
    world.pass_us(1)
    assert queue.look().settings == queue.view().settings != before


def test_a_dead_letter_queue_that_is_named_late_has_its_source_late() -> None:
    world = World(chooser=Scripted({("attr.lag", ("work", 1)): us(10)}))
    dead, queue = world.queue("dead"), world.queue()
    queue.set(redrive=Redrive(dead.address, 1))
    request = ListSources(queue=dead.address)
    assert world.engine.apply(world.now_us, request).names == []
    world.pass_s(10)
    assert world.engine.apply(world.now_us, request).names == ["work"]


def test_a_queue_deleted_before_its_change_took_effect_leaves_nothing_due() -> None:
    world = World(chooser=Scripted({("attr.lag", ("work", 1)): us(10)}))
    queue = world.queue()
    queue.set(delay_us=us(1))
    queue.remove()
    assert world.engine.next_due() is None


# --- purge.lag, purge.reach -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fifo", [False, True])
def test_a_purge_can_take_what_was_sent_before_it_late(*, fifo: bool) -> None:
    name = "work.fifo" if fifo else "work"
    world = World(chooser=Scripted({("purge.lag", (name, 1)): us(10)}))
    queue = world.fifo() if fifo else world.queue()
    queue.send_all("g1a g1b g1c")
    queue.purge()
    first = queue.receive(1)
    assert [delivery.body for delivery in first] == ["g1a"]
    world.pass_us(us(10) - 1)
    assert sum(queue.counts()) == 3
    queue.send_all("g1d")
    world.pass_us(1)
    assert queue.counts() == (1, 0, 0)
    assert queue.bodies() == "g1d"


def test_a_late_purge_can_take_what_was_sent_since() -> None:
    world = World(chooser=Scripted({("purge.lag", ("work", 1)): us(10), ("purge.reach", ("work", 1)): 1}))
    queue = world.queue()
    queue.send_all("a")
    queue.purge()
    queue.send_all("b")
    world.pass_s(10)
    assert queue.counts() == (0, 0, 0)
    queue.send_all("c")
    assert queue.bodies() == "c"


def test_a_purge_takes_a_minute_at_most() -> None:
    world = World(chooser=Scripted({("purge.lag", ("work", 1)): us(3600)}))
    queue = world.queue()
    queue.send("a")
    queue.purge()
    with refused("PurgeQueueInProgress"):
        queue.purge()
    world.pass_s(60)
    assert queue.counts() == (0, 0, 0)
    queue.purge()


def test_a_late_purge_forgets_deduplication_ids_at_once_and_those_sent_since_not() -> None:
    world = World(chooser=Scripted({("purge.lag", ("work.fifo", 1)): us(10)}))
    queue = world.fifo()
    queue.send("a", group="g")
    queue.purge()
    assert not queue.send("a", group="g").duplicate
    world.pass_s(10)
    assert queue.send("a", group="g").duplicate
    assert queue.bodies() == "a"


def test_a_late_purge_does_not_reach_the_next_queue_of_that_name() -> None:
    chooser = Scripted({("purge.lag", ("work", 1)): us(60), ("purge.reach", ("work", 1)): 1})
    world = World(chooser=chooser, limits=Limits(recreate_after_us=0))
    queue = world.queue()
    queue.purge()
    queue.remove()
    world.queue()
    queue.send("a")
    world.pass_s(60)
    assert queue.bodies() == "a"


# --- queue.lag ------------------------------------------------------------------------------------------------------


def test_a_new_queue_can_be_there_a_second_later() -> None:
    world = World(chooser=Scripted({("queue.lag", ("work", "created", 1)): us(3600)}))
    queue = world.queue(delay_us=us(1))
    world.queue(delay_us=us(1))
    with refused("QueueNameExists"):
        world.queue(delay_us=us(2))
    world.pass_us(us(1) - 1)
    with refused("QueueDoesNotExist"):
        queue.send("a")
    assert names(world) == []
    world.pass_us(1)
    queue.send("a", delay_s=0)
    assert (names(world), queue.bodies()) == (["work"], "a")


def test_a_deleted_queue_can_be_there_for_another_minute_and_loses_what_it_gets() -> None:
    world = World(chooser=Scripted({("queue.lag", ("work", "deleted", 1)): us(3600)}))
    queue = world.queue()
    queue.send("a")
    queue.remove()
    queue.remove()
    assert queue.bodies(visibility_s=100) == "a"
    waiter = queue.poll(200)
    with refused("QueueDeletedRecently"):
        world.queue()
    assert names(world) == ["work"]
    world.pass_us(us(60) - 1)
    queue.send("b", delay_s=900)
    world.pass_us(1)
    assert world.answers() == {waiter: []}
    assert names(world) == []
    with refused("QueueDoesNotExist"):
        queue.find()
    assert world.queue().counts() == (0, 0, 0)


def test_where_names_are_free_at_once_a_queue_that_is_still_leaving_leaves_for_the_new_one() -> None:
    chooser = Scripted({("queue.lag", ("work", "deleted", 1)): us(60)})
    world = World(chooser=chooser, limits=Limits(recreate_after_us=0))
    queue = world.queue()
    queue.send("a")
    queue.remove()
    assert world.queue().counts() == (0, 0, 0)
    queue.send("b")
    world.pass_s(60)
    assert queue.bodies() == "b"


def test_a_queue_that_is_still_leaving_takes_its_move_tasks_along() -> None:
    chooser = Scripted({("queue.lag", ("dead", "deleted", 1)): us(10)})
    world = World(chooser=chooser, limits=Limits(recreate_after_us=0))
    dead = world.queue("dead")
    world.queue(redrive=Redrive(dead.address, 1))
    dead.remove()
    world.engine.apply(world.now_us, StartMove(source=dead.address, per_s=1))
    world.pass_s(10)
    world.queue("dead")
    assert world.engine.apply(world.now_us, ListMoves(source=address("dead"), limit=10)).tasks == []


def test_a_late_purge_forgets_attempt_ids_at_once() -> None:
    world = World(chooser=Scripted({("purge.lag", ("work.fifo", 1)): us(10)}))
    queue = world.fifo()
    queue.send("a", group="g")
    assert [delivery.body for delivery in queue.receive(attempt_id="x")] == ["a"]
    queue.purge()
    assert queue.receive(attempt_id="x") == []
