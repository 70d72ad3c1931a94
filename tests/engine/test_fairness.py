"""Fair queues: a tenant that has more than its share in flight waits for those that have not."""

from __future__ import annotations

from collections import Counter

import pytest
from engine.world import Scripted, World, WorldQueue, us

from busframe_emulator.engine import Limits, Redrive
from busframe_emulator.engine.fairness import FairOrder
from busframe_emulator.engine.standard import StandardOrder

SMALL = Limits(noisy_in_flight_min=2, noisy_percent=50)


def send(queue: WorldQueue, tenant: str | None, count: int = 1, *, first: int = 1) -> None:
    for number in range(first, first + count):
        queue.send(f"{tenant or 'nobody'}{number}", group=tenant)


def tenants(queue: WorldQueue, limit: int = 10) -> str:
    """Receive; the tenants of what came."""
    return " ".join(delivery.group or "-" for delivery in queue.receive(limit))


def test_while_nobody_is_noisy_messages_come_in_order() -> None:
    world = World()
    queue = world.queue()
    for tenant in ("a", "b", None, "a", None, "c", "b"):
        send(queue, tenant)
    assert tenants(queue) == "a b - a - c b"


def test_a_quiet_tenant_overtakes_the_backlog_of_a_noisy_one() -> None:
    world = World()
    queue = world.queue()
    send(queue, "loud", 100)
    assert tenants(queue, 10) == " ".join(["loud"] * 10)
    for _ in range(2):
        queue.receive(10)
    send(queue, "calm", 2)
    assert tenants(queue, 4) == "calm calm loud loud"


def test_a_message_without_a_group_is_a_tenant_of_its_own() -> None:
    queue = World(limits=SMALL).queue()
    send(queue, "loud", 3)
    send(queue, None, 20)
    queue.receive(10)
    send(queue, "calm")
    assert tenants(queue, 10) == "- - - - - - - - - -"
    assert tenants(queue, 10) == "- - - calm"


@pytest.mark.parametrize(("in_flight", "noisy"), [(29, False), (30, True)])
def test_it_takes_thirty_in_flight_to_be_noisy(in_flight: int, *, noisy: bool) -> None:
    queue = World().queue()
    send(queue, "loud", 50)
    for _ in range(in_flight):
        queue.receive(1)
    send(queue, "calm")
    assert tenants(queue, 1) == ("calm" if noisy else "loud")


@pytest.mark.parametrize(("others", "noisy"), [(359, True), (360, False)])
def test_it_takes_more_than_a_tenth_of_what_is_in_flight_to_be_noisy(others: int, *, noisy: bool) -> None:
    queue = World().queue()
    send(queue, "loud", 40)
    for _ in range(4):
        queue.receive(10)
    send(queue, None, others)
    for _ in range(others):
        queue.receive(1)
    send(queue, "loud")
    send(queue, "calm")
    assert tenants(queue, 1) == ("calm" if noisy else "loud")


def test_among_noisy_tenants_the_one_with_the_fewest_in_flight_comes_first() -> None:
    queue = World(limits=Limits(noisy_in_flight_min=2, noisy_percent=10)).queue()
    send(queue, "a", 5)
    queue.receive(4)
    send(queue, "b", 6)
    assert tenants(queue) == "b b b b a b b"


def test_whether_a_tenant_is_noisy_is_asked_anew_for_every_message() -> None:
    queue = World(limits=Limits(noisy_in_flight_min=3, noisy_percent=50)).queue()
    send(queue, "loud", 8)
    send(queue, "calm", 2)
    assert tenants(queue) == "loud loud loud calm calm loud loud loud loud loud"


def test_a_tenant_is_quiet_again_when_its_messages_are_no_longer_in_flight() -> None:
    world = World(limits=SMALL)
    queue = world.queue()
    send(queue, "loud", 6)
    deliveries = queue.receive(2, visibility_s=60)
    send(queue, "calm")
    assert tenants(queue, 1) == "calm"
    send(queue, "calm")
    for delivery in deliveries:
        queue.delete(delivery)
    assert tenants(queue, 1) == "loud"


@pytest.mark.parametrize(("silent_us", "noisy"), [(us(300) - 1, True), (us(300), False)])
def test_a_tenant_that_has_sent_nothing_for_five_minutes_is_quiet(silent_us: int, *, noisy: bool) -> None:
    world = World(limits=SMALL)
    queue = world.queue(visibility_us=us(1000))
    send(queue, "loud", 6)
    queue.receive(2)
    world.pass_us(silent_us)
    send(queue, "calm")
    assert tenants(queue, 1) == ("calm" if noisy else "loud")


def test_a_dead_letter_counts_as_sent_by_its_tenant() -> None:
    world = World(limits=SMALL)
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    send(queue, "loud", 4)
    queue.receive(visibility_s=0)
    world.pass_s(1000)
    queue.receive()
    send(dead, "calm")
    assert tenants(dead, 3) == "loud loud calm"


@pytest.mark.parametrize("how", ["release", "time", "delete", "expiry", "dead letter"])
def test_every_way_out_of_flight_counts(how: str) -> None:
    world = World(limits=SMALL)
    dead = world.queue("dead")
    queue = world.queue(retention_us=us(100))
    send(queue, "loud", 2)
    deliveries = queue.receive(2, visibility_s=200 if how == "expiry" else 10)
    for delivery in deliveries:
        if how == "release":
            queue.release(delivery)
        elif how == "delete":
            queue.delete(delivery)
    if how == "time":
        world.pass_s(10)
    if how == "expiry":
        world.pass_s(100)
    if how == "dead letter":
        world.pass_s(10)
        queue.set(redrive=Redrive(dead.address, 1))
        assert queue.bodies() == ""
        queue.set(redrive=None)
    assert queue.view().in_flight == 0
    for delivery in queue.receive(10):
        queue.delete(delivery)
    send(queue, "loud", 1)
    send(queue, "calm", 1)
    assert tenants(queue, 1) == "loud"


def test_dead_letters_with_groups_are_served_fairly_too() -> None:
    world = World(limits=SMALL)
    dead = world.queue("dead")
    queue = world.queue(redrive=Redrive(dead.address, 1))
    send(queue, "loud", 4)
    send(queue, "calm", 1)
    queue.receive(visibility_s=0)
    queue.receive()
    assert tenants(dead, 3) == "loud loud calm"


def test_a_noisy_tenant_alone_has_all_receivers() -> None:
    queue = World().queue()
    send(queue, "loud", 200)
    assert sum(len(queue.receive(10)) for _ in range(20)) == 200


def test_nobody_starves_behind_a_flood() -> None:
    """One tenant sends ten times what can be worked off, nine others a little: theirs is worked off at once."""
    world = World()
    queue = world.queue(visibility_us=us(600))
    busy: list[tuple[int, str]] = []
    waited: Counter[str] = Counter()
    sent_us: dict[str, int] = {}
    for second in range(300):
        send(queue, "flood", 100, first=second * 100)
        if second % 10 == 0:
            for number in range(9):
                body = f"t{number}-{second}"
                queue.send(body, group=f"t{number}")
                sent_us[body] = second
        # Each message takes ten seconds, and there are a hundred workers.
        done = [receipt for since, receipt in busy if since <= second - 10]
        busy = [entry for entry in busy if entry[0] > second - 10]
        for receipt in done:
            queue.delete(receipt)
        while len(busy) < 100:
            deliveries = queue.receive(min(10, 100 - len(busy)))
            busy += [(second, delivery.receipt) for delivery in deliveries]
            for delivery in deliveries:
                if delivery.body in sent_us:
                    waited[delivery.group or ""] = max(
                        waited[delivery.group or ""], second - sent_us.pop(delivery.body)
                    )
        world.pass_s(1)
    assert len(waited) == 9
    # No more than until the next worker is free.
    assert max(waited.values()) <= 10
    assert all(second > 290 for second in sent_us.values())


# --- what it costs --------------------------------------------------------------------------------------------------


def test_a_queue_without_groups_has_the_plain_order() -> None:
    queue = World().queue()
    send(queue, None, 3)
    queues, _ = queue.world.engine.look(queue.world.now_us)
    assert isinstance(queues[queue.address].order, StandardOrder)
    send(queue, "a")
    assert isinstance(queues[queue.address].order, FairOrder)


def test_what_was_in_line_before_the_first_group_keeps_its_place() -> None:
    queue = World().queue()
    send(queue, None, 4)
    first = queue.receive(2)
    send(queue, "a")
    send(queue, None, 1, first=5)
    for delivery in first:
        queue.release(delivery)
    assert queue.bodies() == "nobody3 nobody4 a1 nobody5 nobody1 nobody2"


# --- chance ---------------------------------------------------------------------------------------------------------


def test_chance_may_pick_within_a_line_and_keep_copies() -> None:
    world = World(chooser=Scripted({("recv.pick", ("work", 1, 0)): 2, ("recv.dup", ("work", 3, 1)): 1}))
    queue = world.queue()
    send(queue, "a", 3)
    assert queue.bodies(1) == "a3"
    assert queue.counts() == (2, 1, 0)
    assert queue.bodies(10) == "a1 a2 a3"
    assert queue.counts() == (0, 3, 0)


def test_a_message_with_a_copy_in_line_is_in_flight_all_the_same() -> None:
    queue = World(chooser=Scripted({("recv.dup", ("work", 1, 1)): 1}), limits=SMALL).queue()
    send(queue, "loud", 2)
    queue.receive(2)
    send(queue, "calm")
    assert tenants(queue) == "calm loud"


def test_a_message_that_was_deleted_and_is_to_come_back_is_not_in_flight() -> None:
    zombies = Scripted({("delete.zombie", ("work", 1, 1)): us(10), ("delete.zombie", ("work", 2, 1)): us(10)})
    queue = World(chooser=zombies, limits=SMALL).queue()
    send(queue, "loud", 2)
    for delivery in queue.receive(2):
        queue.delete(delivery)
    send(queue, "loud")
    send(queue, "calm")
    assert tenants(queue) == "loud calm"


def test_a_message_that_is_hidden_again_is_in_flight_again() -> None:
    world = World(limits=Limits(noisy_in_flight_min=2, noisy_percent=50, rehide_expired=True))
    queue = world.queue()
    send(queue, "loud", 2)
    deliveries = queue.receive(2)
    world.pass_s(30)
    for delivery in deliveries:
        queue.hide(delivery, 10)
    send(queue, "loud")
    send(queue, "calm")
    assert tenants(queue) == "calm loud"
