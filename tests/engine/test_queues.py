"""Making, finding, changing and deleting queues."""

from __future__ import annotations

import pytest
from engine.world import World, WorldQueue, address, refused, us

from busframe_emulator.engine import Limits, QueueAddress, Redrive
from busframe_emulator.engine.requests import CreateQueue, GetQueue, ListQueues, ListSources, TagQueue


def test_a_queue_begins_with_the_documented_defaults() -> None:
    settings = World().queue().view().settings
    assert settings.delay_us == 0
    assert settings.message_bytes_max == 1_048_576
    assert settings.retention_us == us(345_600)
    assert settings.wait_us == 0
    assert settings.visibility_us == us(30)
    assert settings.managed_sse
    assert (settings.policy, settings.redrive, settings.redrive_allow, settings.kms_key) == (None, None, None, None)


def test_creating_again_is_fine_with_none_some_or_all_of_its_settings() -> None:
    world = World()
    queue = world.queue(delay_us=us(5), visibility_us=us(7))
    queue.send("a", delay_s=0)
    world.queue()
    world.queue(delay_us=us(5))
    world.queue(delay_us=us(5), visibility_us=us(7))
    assert queue.counts() == (1, 0, 0)


def test_creating_again_with_another_value_is_refused_and_the_attribute_named() -> None:
    world = World()
    world.queue(delay_us=us(5))
    text = "A queue already exists with the same name and a different value for attribute DelaySeconds"
    with refused("QueueNameExists", text):
        world.queue(delay_us=us(6))


def test_creating_again_compares_with_the_current_values() -> None:
    world = World()
    world.queue(delay_us=us(5)).set(delay_us=us(6))
    world.queue(delay_us=us(6))
    with refused("QueueNameExists"):
        world.queue(delay_us=us(5))


def test_creating_again_with_a_default_named_is_fine() -> None:
    world = World()
    world.queue()
    world.queue(visibility_us=us(30))


def test_creating_again_leaves_time_and_tags_alone() -> None:
    world = World()
    queue = world.queue()
    world.engine.apply(world.now_us, TagQueue(queue=queue.address, add={"team": "a"}))
    made = queue.view()
    world.pass_s(5)
    world.queue()
    assert queue.view() == made


@pytest.mark.parametrize("compares", [False, True])
def test_where_it_is_set_so_creating_again_with_other_tags_is_refused(*, compares: bool) -> None:
    world = World(limits=Limits(recreate_compares_tags=compares))
    for tags in ({"team": "a"}, {"team": "a"}, {}):
        world.engine.apply(world.now_us, CreateQueue(queue=address("work"), tags=tags))
    other = CreateQueue(queue=address("work"), tags={"team": "b"})
    if compares:
        with refused("QueueNameExists", "different tags"):
            world.engine.apply(world.now_us, other)
    else:
        world.engine.apply(world.now_us, other)
    assert WorldQueue(world, address("work")).view().tags == {"team": "a"}


def test_a_queue_says_when_it_was_made_and_last_changed() -> None:
    world = World()
    queue = world.queue()
    made_us = world.now_us
    world.pass_s(5)
    queue.set(delay_us=us(1))
    view = queue.view()
    assert (view.created_us, view.modified_us) == (made_us, world.now_us)


def test_a_deleted_queue_is_gone_with_its_messages() -> None:
    queue = World().queue()
    queue.send("a")
    queue.remove()
    with refused("QueueDoesNotExist", "The specified queue does not exist."):
        queue.find()
    with refused("QueueDoesNotExist"):
        queue.receive()
    with refused("QueueDoesNotExist"):
        queue.remove()


def test_its_name_is_refused_for_sixty_seconds_to_the_microsecond() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    queue.remove()
    world.pass_us(us(60) - 1)
    with refused("QueueDeletedRecently", "You must wait 60 seconds after deleting a queue"):
        world.queue()
    world.pass_us(1)
    assert world.queue().counts() == (0, 0, 0)


def test_other_names_are_free_meanwhile() -> None:
    world = World()
    world.queue().remove()
    world.queue("other")
    world.engine.apply(world.now_us, CreateQueue(queue=QueueAddress("us-east-1", "111111111111", "work")))


def test_the_window_after_a_delete_can_be_lifted() -> None:
    world = World(limits=Limits(recreate_after_us=0))
    world.queue().remove()
    world.queue()


def test_a_name_can_be_used_and_freed_again_and_again() -> None:
    world = World()
    for _ in range(3):
        world.queue().remove()
        with refused("QueueDeletedRecently"):
            world.queue()
        world.pass_s(60)


def test_queues_of_one_name_in_other_accounts_and_regions_are_other_queues() -> None:
    world = World()
    queue = world.queue()
    queue.send("a")
    for region, account in (("us-east-1", "111111111111"), ("eu-west-1", "222222222222")):
        other = QueueAddress(region, account, "work")
        world.engine.apply(world.now_us, CreateQueue(queue=other))
        assert world.engine.apply(world.now_us, GetQueue(queue=other)).visible == 0


def test_names_are_listed_in_alphabetical_order_by_prefix_and_page() -> None:
    world = World()
    for name in ("b2", "a", "b1", "c", "b3"):
        world.queue(name)
    world.engine.apply(world.now_us, CreateQueue(queue=QueueAddress("us-east-1", "111111111111", "elsewhere")))

    def names(prefix: str = "", after: str = "", limit: int = 1000) -> list[str]:
        request = ListQueues(region="eu-west-1", account="111111111111", prefix=prefix, after=after, limit=limit)
        return list(world.engine.apply(world.now_us, request).names)

    assert names() == ["a", "b1", "b2", "b3", "c"]
    assert names("b") == ["b1", "b2", "b3"]
    assert names("b", limit=2) == ["b1", "b2"]
    assert names("b", after="b2") == ["b3"]
    assert names("z") == []


def test_tags_are_set_overwritten_and_removed() -> None:
    world = World()
    queue = world.queue()
    world.engine.apply(world.now_us, TagQueue(queue=queue.address, add={"team": "a", "cost": ""}))
    world.engine.apply(world.now_us, TagQueue(queue=queue.address, add={"team": "b"}, remove=("cost", "unknown")))
    assert queue.view().tags == {"team": "b"}


def test_tags_can_come_with_the_queue() -> None:
    world = World()
    tags = {"team": "a"}
    world.engine.apply(world.now_us, CreateQueue(queue=address("work"), tags=tags))
    tags["team"] = "changed by the caller"
    assert world.engine.apply(world.now_us, GetQueue(queue=address("work"))).tags == {"team": "a"}


@pytest.mark.parametrize("setting", ["visibility_us", "wait_us", "delay_us"])
def test_a_changed_setting_counts_from_the_next_request(setting: str) -> None:
    queue = World().queue()
    queue.set(**{setting: us(9)})
    assert getattr(queue.view().settings, setting) == us(9)


def test_a_changed_visibility_timeout_leaves_messages_in_flight_alone() -> None:
    world = World()
    queue = world.queue(visibility_us=us(10))
    queue.send("a")
    queue.one()
    queue.set(visibility_us=us(1))
    world.pass_s(9)
    assert queue.counts() == (0, 1, 0)
    world.pass_s(1)
    queue.one()
    world.pass_s(1)
    assert queue.counts() == (1, 0, 0)


# --- purge ----------------------------------------------------------------------------------------------------------


def test_a_purge_removes_visible_delayed_and_in_flight_messages() -> None:
    world = World()
    queue = world.queue()
    queue.send_all("a b")
    queue.send("c", delay_s=5)
    delivery = queue.receive(1)[0]
    assert queue.counts() == (1, 1, 1)
    queue.purge()
    assert queue.counts() == (0, 0, 0)
    world.pass_s(100)
    assert queue.bodies() == ""
    queue.delete(delivery)


def test_a_purged_fifo_queue_has_no_closed_groups() -> None:
    queue = World().fifo()
    queue.send_all("g1a g1b")
    queue.receive(1)
    queue.purge()
    queue.send_all("g1c")
    assert queue.bodies() == "g1c"


def test_a_second_purge_is_refused_for_sixty_seconds_to_the_microsecond() -> None:
    world = World()
    queue = world.queue()
    queue.purge()
    world.pass_us(us(60) - 1)
    queue.send("a")
    with refused("PurgeQueueInProgress", "Only one PurgeQueue operation on work is allowed every 60 seconds."):
        queue.purge()
    assert queue.counts() == (1, 0, 0)
    world.pass_us(1)
    queue.purge()
    assert queue.counts() == (0, 0, 0)


def test_queues_are_purged_independently() -> None:
    world = World()
    world.queue("a").purge()
    world.queue("b").purge()


def test_the_window_after_a_purge_can_be_lifted() -> None:
    queue = World(limits=Limits(purge_interval_us=0)).queue()
    queue.purge()
    queue.purge()


def test_a_message_sent_after_a_purge_lives_as_long_as_any() -> None:
    world = World()
    queue = world.queue(retention_us=us(60))
    queue.send("a")
    world.pass_s(30)
    queue.purge()
    queue.send("b")
    world.pass_us(us(60) - 1)
    assert queue.counts() == (1, 0, 0)
    world.pass_us(1)
    assert queue.counts() == (0, 0, 0)


def test_the_sources_of_a_dead_letter_queue_are_those_that_name_it_now() -> None:
    world = World()
    dead, other = world.queue("dead"), world.queue("other")

    def sources(after: str = "", limit: int = 10) -> str:
        request = ListSources(queue=dead.address, after=after, limit=limit)
        return " ".join(world.engine.apply(world.now_us, request).names)

    queues = {name: world.queue(name, redrive=Redrive(dead.address, 1)) for name in ("c", "a", "d", "b")}
    dead.set(redrive=Redrive(dead.address, 5))
    assert sources() == "a b c d dead"
    assert (sources(limit=2), sources(after="b"), sources(after="bb", limit=1)) == ("a b", "c d dead", "c")
    queues["a"].set(redrive=Redrive(other.address, 1))
    queues["b"].set(redrive=None)
    queues["c"].set(redrive=Redrive(dead.address, 9))
    queues["d"].remove()
    assert sources() == "c dead"
    other.remove()
    queues["a"].set(redrive=Redrive(dead.address, 1))
    assert sources() == "a c dead"


def test_the_sources_of_a_queue_that_is_not_there_cannot_be_asked_for() -> None:
    world = World()
    with refused("QueueDoesNotExist"):
        world.engine.apply(world.now_us, ListSources(queue=address("nowhere")))


def test_any_prefix_and_any_place_to_go_on_from_can_be_listed() -> None:
    world = World()
    names = sorted(["a", "ab", "abc", "abx", "b", "B", "a-", "a_", "abc.fifo"])
    for name in names:
        world.queue(name, fifo=name.endswith(".fifo"))
    for prefix in ["", "z", "0", *names]:
        for after in ["", "z", "0", *names]:
            request = ListQueues(region="eu-west-1", account="111111111111", prefix=prefix, after=after, limit=3)
            expected = [name for name in names if name.startswith(prefix) and name > after][:3]
            assert list(world.engine.apply(world.now_us, request).names) == expected
