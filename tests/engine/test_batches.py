"""Several requests in one: each has a fate of its own, but for what a FIFO queue refuses as a whole."""

from __future__ import annotations

import pytest
from engine.world import World, refused, us

from busframe_emulator.engine import SqsError
from busframe_emulator.engine.requests import Batch, ChangeVisibility, Delete


def test_a_batch_of_sends_keeps_its_order() -> None:
    queue = World().queue()
    assert queue.batch(*(queue.message(body) for body in "abc")) == ["Sent", "Sent", "Sent"]
    assert queue.bodies() == "a b c"


def test_a_bad_entry_fails_alone_and_in_words_of_its_own() -> None:
    world = World()
    queue = world.queue(message_bytes_max=1024)
    requests = [queue.message("a"), queue.message("b", size_bytes=1025), queue.message("c")]
    reply = world.engine.apply(world.now_us, Batch(queue=queue.address, requests=requests))
    error = reply.outcomes[1]
    assert isinstance(error, SqsError)
    assert error.shape == "InvalidParameterValueException"
    assert error.text == (
        "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes."
    )
    assert queue.bodies() == "a c"


def test_deletes_of_good_old_and_made_up_receipts_have_fates_of_their_own() -> None:
    queue = World().queue()
    queue.send_all("a b")
    a, b = queue.receive()
    outcomes = queue.batch(
        Delete(queue=queue.address, receipt=a.receipt),
        Delete(queue=queue.address, receipt="garbage"),
        Delete(queue=queue.address, receipt=a.receipt),
        Delete(queue=queue.address, receipt=b.receipt),
    )
    assert outcomes == ["Done", "ReceiptHandleIsInvalid", "Done", "Done"]
    assert queue.counts() == (0, 0, 0)


def test_changes_of_visibility_have_fates_of_their_own() -> None:
    world = World()
    queue = world.queue()
    queue.send_all("a b c")
    a, b, c = queue.receive()
    queue.delete(b)
    world.pass_us(1)

    def change(receipt: str, seconds: float) -> ChangeVisibility:
        return ChangeVisibility(queue=queue.address, receipt=receipt, visibility_us=us(seconds))

    outcomes = queue.batch(change(a.receipt, 0), change(b.receipt, 0), change(c.receipt, 43_200))
    assert outcomes == ["Done", "InvalidParameterValueException", "InvalidParameterValueException"]
    assert queue.counts() == (1, 1, 0)


def test_a_fifo_batch_without_a_group_somewhere_is_refused_as_a_whole() -> None:
    queue = World().fifo()
    # Not the error of a single send.
    with refused("InvalidParameterValueException", "The request must contain the parameter MessageGroupId."):
        queue.batch(queue.message("a", group="g"), queue.message("b"))
    assert queue.counts() == (0, 0, 0)


def test_a_fifo_batch_without_a_deduplication_id_somewhere_is_refused_as_a_whole() -> None:
    queue = World().fifo(content_deduplication=False)
    with refused("InvalidParameterValueException", "ContentBasedDeduplication enabled or MessageDeduplicationId"):
        queue.batch(queue.message("a", group="g", deduplication_id="1"), queue.message("b", group="g"))
    assert queue.counts() == (0, 0, 0)


def test_a_duplicate_within_a_batch_is_one_message() -> None:
    world = World()
    queue = world.fifo()
    requests = [queue.message("a", group="g"), queue.message("a", group="g")]
    first, second = world.engine.apply(world.now_us, Batch(queue=queue.address, requests=requests)).outcomes
    assert not isinstance(first, SqsError)
    assert not isinstance(second, SqsError)
    assert getattr(first, "message_id", 1) == getattr(second, "message_id", 2)
    assert queue.counts() == (1, 0, 0)


def test_a_waiter_takes_several_of_one_batch() -> None:
    world = World()
    queue = world.queue()
    waiter = queue.poll()
    queue.batch(*(queue.message(body) for body in "abc"))
    assert world.answers() == {waiter: ["a", "b", "c"]}


@pytest.mark.parametrize("size", [1, 10])
def test_a_batch_to_a_queue_that_is_not_there_is_refused_as_a_whole(size: int) -> None:
    queue = World().queue()
    queue.remove()
    with refused("QueueDoesNotExist"):
        queue.batch(*(queue.message("a") for _ in range(size)))
