"""What is over leaves nothing behind."""

from __future__ import annotations

import gc
from types import BuiltinFunctionType, FunctionType, ModuleType

import pytest
from engine.world import World, WorldQueue, address, us

from busframe_emulator.engine import Engine, Limits, Redrive
from busframe_emulator.engine.requests import DEFAULT_SENDER, Send, StartMove


def weight(engine: Engine) -> int:
    """How many objects hang on the engine, whatever it is made of."""
    seen: set[int] = set()
    todo: list[object] = [engine]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType | FunctionType | BuiltinFunctionType):
            continue
        seen.add(id(thing))
        todo += gc.get_referents(thing)
    return len(seen)


SOME = 25_000
"""What the engine may keep for speed: a thousand or so entries not yet swept out, each with a message on it."""


def send_receive_delete(queue: WorldQueue, count: int, *, groups: int = 1) -> None:
    for number in range(count):
        queue.send(str(number), group=f"g{number % groups}")
        queue.delete(queue.one(visibility_s=43_200))


@pytest.mark.parametrize("kind", ["standard", "fifo"])
def test_messages_deleted_long_before_their_timeout_are_not_kept_until_then(kind: str) -> None:
    world = World(limits=Limits(deduplication_us=1))
    queue = world.queue() if kind == "standard" else world.fifo()
    for _ in range(20):
        send_receive_delete(queue, 1000)
        world.pass_us(1)
    assert weight(world.engine) < SOME


@pytest.mark.slow
def test_a_hundred_thousand_messages_deleted_long_before_their_timeout_are_not_kept_until_then() -> None:
    world = World()
    send_receive_delete(world.queue(), 100_000)
    assert weight(world.engine) < SOME


def test_extending_again_and_again_keeps_one_timer() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    delivery = queue.one()
    for _ in range(20_000):
        queue.hide(delivery, 43_200)
    assert weight(world.engine) < SOME


def test_groups_without_messages_are_forgotten() -> None:
    world = World(limits=Limits(deduplication_us=1))
    queue = world.fifo()
    for number in range(20):
        for group in range(1000):
            queue.send("a", group=f"g{number} {group}", deduplication_id=f"{number} {group}")
            queue.delete(queue.one())
        world.pass_us(1)
    assert weight(world.engine) < SOME


def test_deduplication_ids_are_forgotten_with_their_window() -> None:
    world = World()
    queue = world.fifo()
    for _ in range(20):
        send_receive_delete(queue, 1000)
        world.pass_s(300)
        queue.purge()
    send_receive_delete(queue, 1)
    assert weight(world.engine) < SOME


@pytest.mark.parametrize("kind", ["standard", "fifo"])
def test_messages_that_nobody_receives_go_with_their_retention(kind: str) -> None:
    world = World(limits=Limits(deduplication_us=1))
    queue = world.queue(retention_us=us(60)) if kind == "standard" else world.fifo(retention_us=us(60))
    for number in range(20_000):
        queue.send(str(number), group=f"g{number}")
        if number % 1000 == 0:
            world.pass_s(61)
    world.pass_s(61)
    assert weight(world.engine) < SOME


def test_polling_an_empty_queue_leaves_nothing() -> None:
    world = World()
    queue = world.queue()
    for _ in range(5000):
        queue.poll(20)
        world.pass_s(20)
        world.answers()
        queue.receive()
    assert weight(world.engine) < 1000


def test_polls_that_are_cancelled_leave_nothing_for_long() -> None:
    world = World()
    queue = world.queue()
    for _ in range(20_000):
        world.engine.cancel(queue.poll(20))
    assert weight(world.engine) < SOME


def test_deleted_queues_leave_nothing_for_long() -> None:
    world = World()
    for number in range(3000):
        queue = world.fifo(f"q{number}.fifo")
        queue.send_all("g1a g1b g2a")
        queue.receive()
        queue.poll(20)
        queue.remove()
        world.answers()
        world.pass_s(1)
    assert weight(world.engine) < 80_000
    world.pass_s(400_000)
    assert weight(world.engine) < 3000


def test_a_message_that_goes_round_through_its_own_dead_letter_queue_is_one_message() -> None:
    world = World()
    queue = world.queue(redrive=Redrive(address("work"), 1))
    queue.send("a")
    for _ in range(10_000):
        queue.one(visibility_s=0)
        assert queue.receive() == []
    assert weight(world.engine) < SOME


def test_dead_letters_deleted_leave_nothing_for_long() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    for number in range(10_000):
        queue.send(str(number))
        queue.one(visibility_s=0)
        queue.receive()
        dead.delete(dead.one())
    assert weight(world.engine) < SOME


def test_tenants_without_messages_are_forgotten() -> None:
    world = World()
    queue = world.queue()
    for number in range(20_000):
        queue.send("a", group=f"t{number}")
        queue.delete(queue.one())
    assert weight(world.engine) < SOME


def test_messages_of_a_fair_queue_that_nobody_receives_go_with_their_retention() -> None:
    world = World()
    queue = world.queue(retention_us=us(60))
    for number in range(20_000):
        queue.send(str(number), group=f"t{number % 7}")
        if number % 1000 == 0:
            world.pass_s(61)
    world.pass_s(61)
    assert weight(world.engine) < SOME


def test_attempts_to_receive_are_forgotten_with_their_messages_or_their_window() -> None:
    world = World(limits=Limits(deduplication_us=1))
    queue = world.fifo()
    for number in range(20_000):
        queue.send("a", group="g")
        world.pass_us(1)
        (delivery,) = queue.receive(1, attempt_id=str(number))
        queue.delete(delivery)
    assert weight(world.engine) < SOME
    world.pass_s(300)
    assert weight(world.engine) < 3000


def test_move_tasks_leave_nothing_but_the_newest() -> None:
    world = World()
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    for number in range(2000):
        queue.send(str(number))
        queue.one(visibility_s=0)
        queue.receive()
        world.engine.apply(world.now_us, StartMove(source=dead.address))
        world.pass_s(1)
        queue.delete(queue.one())
    assert weight(world.engine) < SOME


def test_messages_that_have_nothing_but_a_sender_weigh_as_much_as_those_without_one() -> None:
    def weigh_a_thousand(sender: str) -> int:
        queue = World().queue()
        for _ in range(1000):
            queue.world.engine.apply(queue.world.now_us, Send(queue.address, "a", 1, sender=sender))
        return weight(queue.world.engine)

    assert weigh_a_thousand("somebody") - weigh_a_thousand(DEFAULT_SENDER) < 10
