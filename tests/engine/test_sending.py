"""What a send does and refuses."""

from __future__ import annotations

from engine.world import World, refused

from busframe_emulator.engine import QueueAddress
from busframe_emulator.engine.requests import MessageAttribute


def test_a_message_comes_out_as_it_went_in() -> None:
    world = World()
    queue = world.queue()
    attributes = {"kind": MessageAttribute("String.label", "order"), "raw": MessageAttribute("Binary", b"\x00\xff")}
    sent = queue.send("hello", attributes=attributes, trace_header="Root=1-5759e988")
    sent_us = world.now_us
    world.pass_s(3)
    delivery = queue.one()
    assert delivery.message_id == sent.message_id
    assert delivery.body == "hello"
    assert delivery.attributes == attributes
    assert delivery.trace_header == "Root=1-5759e988"
    assert delivery.receive_count == 1
    assert delivery.sent_us == sent_us
    assert delivery.first_received_us == world.now_us
    assert delivery.source is None


def test_message_ids_and_receipts_never_repeat() -> None:
    world = World()
    queues = [world.queue(name) for name in ("a", "b", "c")]
    ids: list[str] = []
    receipts: list[str] = []
    for queue in queues:
        ids += [queue.send(str(number)).message_id for number in range(20)]
        for _ in range(2):
            for _ in range(2):
                receipts += [delivery.receipt for delivery in queue.receive(visibility_s=1)]
            world.pass_s(1)
    assert len(set(ids)) == len(ids) == 60
    assert len(set(receipts)) == len(receipts) == 120


def test_a_message_id_looks_like_a_random_uuid() -> None:
    message_id = World().queue().send("x").message_id
    assert [len(part) for part in message_id.split("-")] == [8, 4, 4, 4, 12]
    assert message_id[14] == "4"
    assert message_id[19] == "a"


def test_a_message_of_exactly_the_maximum_size_is_accepted_and_one_byte_more_is_refused() -> None:
    queue = World().queue(message_bytes_max=1024)
    queue.send("x", size_bytes=1024)
    text = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    with refused("InvalidParameterValueException", text):
        queue.send("x", size_bytes=1025)
    assert queue.counts() == (1, 0, 0)


def test_a_standard_queue_takes_a_group_and_returns_it_and_orders_nothing_by_it() -> None:
    queue = World().queue()
    queue.send("a", group="tenant")
    queue.send("b", group="tenant")
    first = queue.one()
    assert (first.body, first.group, first.sequence, first.deduplication_id) == ("a", "tenant", None, None)
    assert queue.bodies() == "b"


def test_a_standard_queue_refuses_a_deduplication_id() -> None:
    text = (
        "Value once for parameter MessageDeduplicationId is invalid. "
        "Reason: The request include parameter that is not valid for this queue type."
    )
    with refused("InvalidParameterValueException", text):
        World().queue().send("a", deduplication_id="once")


def test_a_fifo_queue_refuses_a_message_without_a_group() -> None:
    with refused("MissingRequiredParameterException", "The request must contain the parameter MessageGroupId."):
        World().fifo().send("a")


def test_a_fifo_queue_refuses_a_message_without_a_deduplication_id_unless_it_hashes_bodies() -> None:
    text = (
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
    )
    with refused("InvalidParameterValueException", text):
        World().fifo(content_deduplication=False).send("a", group="g")


def test_a_fifo_queue_says_group_deduplication_id_and_sequence_number() -> None:
    queue = World().fifo()
    sent = queue.send("Test", group="g")
    delivery = queue.one()
    assert delivery.group == "g"
    # The SHA-256 of "Test", as recorded on AWS.
    assert delivery.deduplication_id == "532eaabd9574880dbf76b9b8cc00832c20a6ec113d682299550d7a6e0f345e25"
    assert delivery.sequence == sent.sequence


def test_sequence_numbers_have_twenty_digits_and_grow() -> None:
    queue = World().fifo()
    numbers = [queue.send(str(number), group=f"g{number % 3}").sequence or "" for number in range(50)]
    assert {len(number) for number in numbers} == {20}
    assert numbers == sorted(set(numbers))


def test_a_send_to_a_queue_that_is_not_there_is_refused() -> None:
    world = World()
    queue = world.queue()
    queue.address = QueueAddress("eu-west-1", "111111111111", "elsewhere")
    with refused("QueueDoesNotExist", "The specified queue does not exist."):
        queue.send("a")
