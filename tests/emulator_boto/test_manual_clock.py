"""On a manual clock time passes when the test says so, and a long poll never gets stuck."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from emulator_boto.polling import Poll, until_waiting

from busframe_emulator.boto import driver

if TYPE_CHECKING:
    from busframe_emulator.boto import EmulatedSqs


@pytest.fixture
def sqs_clock() -> str:
    return "manual"


def now_s(client: Any) -> float:
    """What time it is, by a message sent now."""
    url = client.create_queue(QueueName="clock")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="x")
    [message] = client.receive_message(QueueUrl=url, AttributeNames=["SentTimestamp"])["Messages"]
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return int(message["Attributes"]["SentTimestamp"]) / 1000


def count(client: Any, queue_url: str, **options: Any) -> int:
    return len(client.receive_message(QueueUrl=queue_url, **options).get("Messages", ()))


def test_a_delay_ends_when_the_clock_is_moved(sqs: EmulatedSqs, sqs_client: Any, queue_url: str) -> None:
    sqs_client.send_message(QueueUrl=queue_url, MessageBody="x", DelaySeconds=900)
    sqs.advance(899.999)
    assert count(sqs_client, queue_url) == 0
    sqs.advance(0.001)
    assert count(sqs_client, queue_url) == 1


def test_a_visibility_timeout_ends_when_the_clock_is_moved(sqs: EmulatedSqs, sqs_client: Any, queue_url: str) -> None:
    sqs_client.send_message(QueueUrl=queue_url, MessageBody="x")
    assert count(sqs_client, queue_url, VisibilityTimeout=43_200) == 1
    sqs.advance(43_199)
    assert count(sqs_client, queue_url) == 0
    sqs.advance(1)
    assert count(sqs_client, queue_url) == 1


def test_the_clock_does_not_go_back(sqs: EmulatedSqs) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        sqs.advance(-1)


def test_a_lone_long_poll_takes_the_clocks_time_and_none_of_ours(sqs_client: Any, queue_url: str) -> None:
    before = now_s(sqs_client)
    assert count(sqs_client, queue_url, WaitTimeSeconds=20) == 0
    assert now_s(sqs_client) - before == pytest.approx(20)


def test_a_lone_long_poll_lasts_until_a_delayed_message_is_there(sqs_client: Any, queue_url: str) -> None:
    before = now_s(sqs_client)
    sqs_client.send_message(QueueUrl=queue_url, MessageBody="x", DelaySeconds=5)
    assert count(sqs_client, queue_url, WaitTimeSeconds=20) == 1
    assert now_s(sqs_client) - before == pytest.approx(5)


def test_a_long_poll_waits_for_those_who_may_still_send(sqs: EmulatedSqs, sqs_client: Any, queue_url: str) -> None:
    before = now_s(sqs_client)
    poll = Poll(sqs_client, queue_url)
    until_waiting(sqs, 1)
    sqs.advance(19.9)
    until_waiting(sqs, 1)
    sqs_client.send_message(QueueUrl=queue_url, MessageBody="x")
    assert poll.bodies() == ["x"]
    assert now_s(sqs_client) - before == pytest.approx(19.9)


def test_when_all_wait_the_clock_moves_to_what_is_due_first(sqs: EmulatedSqs, sqs_client: Any, queue_url: str) -> None:
    before = now_s(sqs_client)
    sqs_client.send_message(QueueUrl=queue_url, MessageBody="x", DelaySeconds=15)
    first, second = Poll(sqs_client, queue_url), Poll(sqs_client, queue_url)
    until_waiting(sqs, 2)
    assert count(sqs_client, queue_url, WaitTimeSeconds=10) == 0
    assert now_s(sqs_client) - before == pytest.approx(10)
    sqs.advance(10)
    assert sorted(first.bodies() + second.bodies()) == ["x"]


def test_threads_that_have_ended_are_not_waited_for(sqs: EmulatedSqs, sqs_client: Any, queue_url: str) -> None:
    go = threading.Event()

    def end() -> None:
        sqs_client.list_queues()
        ready.set()
        go.wait(10)

    ready = threading.Event()
    other = threading.Thread(target=end)
    other.start()
    assert ready.wait(10)
    poll = Poll(sqs_client, queue_url)
    until_waiting(sqs, 1)
    go.set()
    assert count(sqs_client, queue_url, WaitTimeSeconds=20) == 0
    assert poll.bodies() == []
    other.join()


def test_idle_threads_are_waited_for_within_limits(
    sqs_client: Any, queue_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "PATIENCE_S", 0)
    before = now_s(sqs_client)
    assert Poll(sqs_client, queue_url).bodies() == []
    assert now_s(sqs_client) == before
