"""Message move tasks: dead letters on their way back. A long file, since a task has a long life."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine.world import START_US, World, WorldQueue, address, refused, us

from busframe_emulator.engine import Limits, QueueAddress, Redrive
from busframe_emulator.engine.requests import CancelMove, CreateQueue, ListMoves, MessageAttribute, StartMove

if TYPE_CHECKING:
    from busframe_emulator.engine.requests import MoveTaskView


def start(source: WorldQueue, destination: WorldQueue | None = None, *, per_s: int | None = None) -> str:
    request = StartMove(source=source.address, destination=destination.address if destination else None, per_s=per_s)
    return source.world.engine.apply(source.world.now_us, request).task_id


def tasks(source: WorldQueue, limit: int = 10) -> list[MoveTaskView]:
    return list(source.world.engine.apply(source.world.now_us, ListMoves(source=source.address, limit=limit)).tasks)


def newest(source: WorldQueue) -> MoveTaskView:
    return tasks(source, 1)[0]


def cancel(source: WorldQueue, task_id: str) -> int:
    return source.world.engine.apply(source.world.now_us, CancelMove(source=source.address, task_id=task_id)).moved


def fail(queue: WorldQueue, bodies: str) -> None:
    """Send, and receive too often (the limit is 1)."""
    queue.send_all(bodies)
    while queue.receive(visibility_s=0):
        pass


def pair(world: World, *, fifo: bool = False) -> tuple[WorldQueue, WorldQueue]:
    """A queue, and its dead-letter queue."""
    make, suffix = (world.fifo, ".fifo") if fifo else (world.queue, "")
    dead = make(f"dead{suffix}")
    return make(f"work{suffix}", redrive=Redrive(dead.address, 1)), dead


@pytest.mark.parametrize("fifo", [False, True])
def test_without_a_destination_each_message_goes_back_to_its_own_queue(*, fifo: bool) -> None:
    world = World()
    work, dead = pair(world, fifo=fifo)
    other = (world.fifo if fifo else world.queue)("other.fifo" if fifo else "other", redrive=Redrive(dead.address, 1))
    fail(work, "g1a g1b")
    fail(other, "g1c")
    fail(work, "g2d")
    start(dead)
    world.pass_s(1)
    assert (work.bodies(), other.bodies(), dead.counts()) == ("g1a g1b g2d", "g1c", (0, 0, 0))
    task = newest(dead)
    assert (task.status, task.moved, task.to_move, task.failure) == ("COMPLETED", 4, 4, None)


def test_with_a_destination_all_go_there() -> None:
    world = World()
    work, dead = pair(world)
    there = world.queue("there")
    fail(work, "a b")
    dead.send("c")
    start(dead, there)
    world.pass_s(1)
    assert (work.bodies(), there.bodies(), dead.counts()) == ("", "a b c", (0, 0, 0))


@pytest.mark.parametrize("per_s", [1, 3, 7, 500])
def test_messages_are_moved_at_an_even_rate_to_the_microsecond(per_s: int) -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a b c d")
    began_us = world.now_us
    start(dead, per_s=per_s)
    for number in range(1, 5):
        due_us = began_us + number * us(1) // per_s
        world.pass_us(due_us - 1 - world.now_us)
        assert newest(dead).moved == number - 1
        world.pass_us(1)
        assert newest(dead).moved == number
        assert work.counts() == (number, 0, 0)


def test_without_a_rate_there_is_one_all_the_same() -> None:
    world = World(limits=Limits(moves_per_s=10))
    work, dead = pair(world)
    fail(work, "a b c")
    start(dead)
    world.pass_us(us(0.2))
    assert newest(dead).moved == 2
    assert newest(dead).per_s is None


def test_a_moved_message_is_a_new_one() -> None:
    world = World()
    work, dead = pair(world)
    attributes = {"kind": MessageAttribute("String", "order")}
    before = work.send("a", attributes=attributes, trace_header="Root=1", group="tenant")
    work.receive(visibility_s=0)
    work.receive()
    start(dead, per_s=1)
    world.pass_s(1)
    after = work.one(visibility_s=0)
    assert (after.body, after.attributes, after.trace_header, after.group) == ("a", attributes, "Root=1", "tenant")
    assert after.message_id != before.message_id
    assert (after.sent_us, after.receive_count, after.source) == (world.now_us, 1, None)
    assert work.bodies() == ""
    assert dead.counts() == (1, 0, 0)


def test_retention_begins_anew() -> None:
    world = World()
    work, dead = pair(world)
    work.set(retention_us=us(100))
    fail(work, "a")
    world.pass_s(90)
    start(dead, per_s=1)
    world.pass_s(1)
    world.pass_us(us(100) - 1)
    assert work.counts() == (1, 0, 0)
    world.pass_us(1)
    assert work.counts() == (0, 0, 0)


def test_the_delay_of_the_destination_applies() -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a")
    work.set(delay_us=us(5))
    start(dead, per_s=1)
    world.pass_s(1)
    assert work.counts() == (0, 0, 1)
    world.pass_s(5)
    assert work.bodies() == "a"


def test_a_moved_message_wakes_who_waits_for_it() -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a")
    waiter = work.poll(20)
    start(dead, per_s=2)
    world.pass_us(us(0.5) - 1)
    assert world.answers() == {}
    world.pass_us(1)
    assert world.answers() == {waiter: ["a"]}


def test_what_fails_again_or_arrives_meanwhile_stays_for_another_task() -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a b")
    start(dead, per_s=1)
    dead.send("c")
    world.pass_s(1)
    assert (work.bodies(visibility_s=0), work.bodies()) == ("a", "")
    world.pass_s(60)
    assert newest(dead).status == "COMPLETED"
    assert newest(dead).moved == 2
    assert work.bodies() == "b"
    assert dead.bodies() == "c a"


def test_what_is_in_flight_or_delayed_when_its_turn_comes_stays() -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a b")
    assert dead.bodies(1) == "a"
    dead.send("c", delay_s=60)
    start(dead)
    world.pass_s(1)
    assert work.bodies() == "b"
    assert dead.counts() == (0, 1, 1)
    assert (newest(dead).status, newest(dead).moved, newest(dead).to_move) == ("COMPLETED", 1, 1)


def test_on_a_fifo_queue_what_is_behind_a_message_in_flight_stays() -> None:
    world = World()
    work, dead = pair(world, fifo=True)
    fail(work, "g1a g1b g2c")
    assert dead.bodies(1) == "g1a"
    start(dead)
    world.pass_s(1)
    assert work.bodies() == "g2c"
    world.pass_s(30)
    assert dead.bodies() == "g1a g1b"


def test_on_a_fifo_queue_a_moved_message_is_not_taken_for_a_duplicate() -> None:
    world = World()
    work, dead = pair(world, fifo=True)
    work.send("a", group="g", deduplication_id="d")
    for _ in range(3):
        assert work.bodies(visibility_s=0) == "a"
        assert work.bodies() == ""
        start(dead)
        world.pass_s(1)
    delivery = work.one()
    assert (delivery.body, delivery.group) == ("a", "g")
    assert delivery.sequence is not None
    assert work.send("a", group="g", deduplication_id="d").duplicate


# --- how it ends ----------------------------------------------------------------------------------------------------


def test_an_empty_queue_is_soon_done() -> None:
    world = World()
    _, dead = pair(world)
    start(dead, per_s=10)
    assert newest(dead).status == "RUNNING"
    world.pass_us(us(0.1))
    assert (newest(dead).status, newest(dead).moved, newest(dead).to_move) == ("COMPLETED", 0, 0)
    assert world.engine.next_due() is None


def test_a_message_that_came_from_nowhere_fails_the_task_and_stays() -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a")
    dead.send_all("b c")
    start(dead)
    world.pass_s(1)
    task = newest(dead)
    assert (task.status, task.moved, task.failure) == ("FAILED", 1, "CouldNotDetermineMessageSource")
    assert (work.bodies(), dead.bodies()) == ("a", "b c")


def test_a_message_whose_queue_was_deleted_fails_the_task_and_stays() -> None:
    world = World()
    work, dead = pair(world)
    world.queue("other", redrive=Redrive(dead.address, 1))
    fail(work, "a")
    work.remove()
    start(dead)
    world.pass_s(1)
    task = newest(dead)
    assert (task.status, task.failure) == ("FAILED", "AWS.SimpleQueueService.NonExistentQueue")
    assert dead.bodies() == "a"


def test_a_destination_that_is_deleted_fails_the_task_and_the_rest_stays() -> None:
    world = World()
    work, dead = pair(world)
    there = world.queue("there")
    fail(work, "a b")
    start(dead, there, per_s=1)
    world.pass_s(1)
    there.remove()
    world.pass_s(1)
    task = newest(dead)
    assert (task.status, task.moved, task.failure) == ("FAILED", 1, "AWS.SimpleQueueService.NonExistentQueue")
    assert dead.bodies() == "b"


def test_a_cancelled_task_keeps_what_it_moved_where_it_is() -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a b c")
    task_id = start(dead, per_s=1)
    world.pass_s(2)
    assert cancel(dead, task_id) == 2
    world.pass_s(60)
    assert (newest(dead).status, newest(dead).moved) == ("CANCELLED", 2)
    assert (work.bodies(), dead.bodies()) == ("a b", "c")


def test_a_purge_leaves_a_running_task_nothing() -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a b c")
    start(dead, per_s=1)
    world.pass_s(1)
    dead.purge()
    dead.send("d")
    world.pass_s(1)
    assert (newest(dead).status, newest(dead).moved) == ("COMPLETED", 1)
    assert dead.bodies() == "d"


def test_a_deleted_queue_takes_its_tasks_along() -> None:
    world = World(limits=Limits(recreate_after_us=0))
    work, dead = pair(world)
    fail(work, "a b c")
    start(dead, per_s=1)
    dead.remove()
    world.pass_s(60)
    assert work.counts() == (0, 0, 0)
    with refused("ResourceNotFoundException", "SourceArn parameter doesn't exist."):
        tasks(dead)
    world.queue("dead")
    assert tasks(dead) == []


def test_a_task_that_takes_longer_than_thirty_six_hours_has_failed_and_the_rest_stays() -> None:
    world = World(limits=Limits(move_task_us_max=us(2.5)))
    work, dead = pair(world)
    fail(work, "a b c")
    start(dead, per_s=1)
    world.pass_us(us(2.5) - 1)
    assert (newest(dead).status, newest(dead).moved) == ("RUNNING", 2)
    world.pass_us(1)
    assert (newest(dead).status, newest(dead).moved, newest(dead).failure) == ("FAILED", 2, "TaskTimedOut")
    assert (work.bodies(), dead.bodies()) == ("a b", "c")
    assert Limits().move_task_us_max == us(36 * 3600)


# --- the list -------------------------------------------------------------------------------------------------------


def test_tasks_are_listed_newest_first_and_no_more_than_ten_are_remembered() -> None:
    world = World()
    _, dead = pair(world)
    assert tasks(dead) == []
    begun: list[str] = []
    for _ in range(12):
        begun.insert(0, start(dead))
        world.pass_s(1)
    assert [task.task_id for task in tasks(dead)] == begun[:10]
    assert [task.task_id for task in tasks(dead, 2)] == begun[:2]
    assert len(set(begun)) == 12
    assert newest(dead).started_us == START_US + us(11)


def test_a_view_of_a_task_does_not_change_with_it() -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a")
    start(dead)
    view = newest(dead)
    world.pass_s(1)
    assert (view.status, view.moved) == ("RUNNING", 0)


# --- refusals -------------------------------------------------------------------------------------------------------


def test_only_one_task_runs_on_a_queue_at_a_time() -> None:
    world = World()
    work, dead = pair(world)
    fail(work, "a")
    start(dead, per_s=1)
    with refused("InvalidParameterValueException", "There is already a task running. Only one active task is allowed"):
        start(dead)
    world.pass_s(2)
    start(dead)


def test_an_account_has_so_many_tasks_running_at_a_time_in_a_region() -> None:
    world = World(limits=Limits(move_tasks_max=2))
    sources = [world.queue(f"dead{number}") for number in range(3)]
    for number, source in enumerate(sources):
        world.queue(f"work{number}", redrive=Redrive(source.address, 1))
    abroad = QueueAddress("us-east-1", "111111111111", "dead")
    world.engine.apply(world.now_us, CreateQueue(queue=abroad, settings={"redrive": Redrive(abroad, 1)}))
    start(sources[0], per_s=1)
    start(WorldQueue(world, abroad), per_s=1)
    start(sources[1], per_s=1)
    with refused("InvalidParameterValueException", "There are already 2 tasks running"):
        start(sources[2])
    world.pass_s(1)
    start(sources[2])
    assert Limits().move_tasks_max == 100


def test_the_source_has_to_be_a_dead_letter_queue() -> None:
    world = World()
    work, dead = pair(world)
    with refused("InvalidParameterValueException", "Source queue must be configured as a Dead Letter Queue."):
        start(work)
    work.set(redrive=None)
    with refused("InvalidParameterValueException", "Source queue must be configured as a Dead Letter Queue."):
        start(dead)


def test_both_queues_have_to_be_there() -> None:
    world = World()
    _, dead = pair(world)
    nowhere = WorldQueue(world, address("nowhere"))
    with refused("ResourceNotFoundException", "specified for the SourceArn parameter doesn't exist."):
        start(nowhere)
    with refused("ResourceNotFoundException", "specified for the DestinationArn parameter doesn't exist."):
        start(dead, nowhere)


def test_the_destination_is_another_queue_of_the_same_type() -> None:
    world = World()
    _, dead = pair(world)
    with refused("InvalidParameterValueException", "of another type"):
        start(dead, world.fifo())
    with refused("InvalidParameterValueException", "names the source queue"):
        start(dead, dead)


def test_only_a_running_task_of_that_queue_can_be_cancelled() -> None:
    world = World()
    work, dead = pair(world)
    task_id = start(dead)
    with refused("ResourceNotFoundException", "Task does not exist."):
        cancel(dead, "nobody's")
    with refused("ResourceNotFoundException", "Task does not exist."):
        cancel(work, task_id)
    with refused("ResourceNotFoundException", "specified for the SourceArn parameter doesn't exist."):
        cancel(WorldQueue(world, address("nowhere")), task_id)
    world.pass_s(1)
    with refused("InvalidParameterValueException", "Value for parameter TaskHandle is invalid."):
        cancel(dead, task_id)
