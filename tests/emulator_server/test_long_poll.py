"""A receive that waits is answered the moment there is something for it, and is called off when its client leaves."""

from __future__ import annotations

import json
import threading
from concurrent.futures import Future
from functools import partial
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest
from waiting_receives import until_waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.server.thread import ThreadedServer


class Poll:
    """A long poll under way in a thread."""

    def __init__(self, sqs: Any, queue_url: str, **options: Any) -> None:
        self.messages: list[Any] = []
        self._thread = threading.Thread(target=self._run, args=(sqs, queue_url, options))
        self._thread.start()

    def _run(self, sqs: Any, queue_url: str, options: Any) -> None:
        answer = sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=20, **options)
        self.messages = answer.get("Messages", [])

    def join(self) -> list[Any]:
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.messages


@pytest.fixture
def waiting(server: ThreadedServer) -> Callable[[int], None]:
    """Wait until so many receives wait in the server."""

    return partial(until_waiting, server)


def test_a_message_wakes_the_one_who_waits(sqs: Any, queue_url: str, waiting: Callable[[int], None]) -> None:
    poll = Poll(sqs, queue_url)
    waiting(1)
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    assert [message["Body"] for message in poll.join()] == ["x"]


def test_a_batch_wakes_with_all_it_brings(sqs: Any, queue_url: str, waiting: Callable[[int], None]) -> None:
    poll = Poll(sqs, queue_url, MaxNumberOfMessages=10, AttributeNames=["All"])
    waiting(1)
    sqs.send_message_batch(QueueUrl=queue_url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(3)])
    messages = poll.join()
    assert [message["Body"] for message in messages] == ["0", "1", "2"]
    assert messages[0]["Attributes"]["ApproximateReceiveCount"] == "1"


def test_twenty_seconds_end_with_nothing(
    sqs: Any, queue_url: str, waiting: Callable[[int], None], server: ThreadedServer
) -> None:
    poll = Poll(sqs, queue_url)
    waiting(1)
    server.advance(19.9)
    waiting(1)
    server.advance(0.1)
    assert poll.join() == []


def test_the_end_of_a_delay_wakes(
    sqs: Any, queue_url: str, waiting: Callable[[int], None], server: ThreadedServer
) -> None:
    sqs.send_message(QueueUrl=queue_url, MessageBody="later", DelaySeconds=15)
    poll = Poll(sqs, queue_url)
    waiting(1)
    server.advance(15)
    assert [message["Body"] for message in poll.join()] == ["later"]


def test_the_end_of_a_visibility_timeout_wakes(
    sqs: Any, queue_url: str, waiting: Callable[[int], None], server: ThreadedServer
) -> None:
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=10)
    poll = Poll(sqs, queue_url)
    waiting(1)
    server.advance(10)
    assert [message["Body"] for message in poll.join()] == ["x"]


def test_a_message_given_back_wakes(sqs: Any, queue_url: str, waiting: Callable[[int], None]) -> None:
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    [message] = sqs.receive_message(QueueUrl=queue_url)["Messages"]
    poll = Poll(sqs, queue_url)
    waiting(1)
    sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert [message["Body"] for message in poll.join()] == ["x"]


def test_a_dead_letter_wakes_the_one_who_waits_for_the_dead(
    sqs: Any, queue_url: str, waiting: Callable[[int], None]
) -> None:
    dead_url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    policy = '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":1}'
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": policy})
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=0)
    poll = Poll(sqs, dead_url)
    waiting(1)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue_url)
    assert [message["Body"] for message in poll.join()] == ["x"]


def test_the_timer_wakes_without_anybody_moving_the_clock(sqs: Any, queue_url: str) -> None:
    sqs.send_message(QueueUrl=queue_url, MessageBody="x", DelaySeconds=1)
    [message] = sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "x"


def test_many_wait_and_each_message_goes_to_one(sqs: Any, queue_url: str, waiting: Callable[[int], None]) -> None:
    polls = [Poll(sqs, queue_url) for _ in range(5)]
    waiting(5)
    sqs.send_message_batch(QueueUrl=queue_url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(5)])
    assert sorted(poll.join()[0]["Body"] for poll in polls) == ["0", "1", "2", "3", "4"]


def test_a_client_that_leaves_takes_no_message_with_it(
    sqs: Any, queue_url: str, waiting: Callable[[int], None], server: ThreadedServer
) -> None:
    client = HTTPConnection("127.0.0.1", server.port)
    body = f'{{"QueueUrl":"{queue_url}","WaitTimeSeconds":20}}'
    client.request("POST", "/", body, {"X-Amz-Target": "AmazonSQS.ReceiveMessage"})
    waiting(1)
    client.close()
    waiting(0)
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    [message] = sqs.receive_message(QueueUrl=queue_url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_a_hundred_idle_long_polls_leave_the_server_nothing_to_do(
    queue_url: str, waiting: Callable[[int], None], server: ThreadedServer
) -> None:
    clients = [HTTPConnection("127.0.0.1", server.port) for _ in range(100)]
    body = f'{{"QueueUrl":"{queue_url}","WaitTimeSeconds":20}}'
    for client in clients:
        client.request("POST", "/", body, {"X-Amz-Target": "AmazonSQS.ReceiveMessage"})
    waiting(100)
    asked: Future[tuple[int, float]] = Future()

    inside: Any = server  # no user can see a timer
    loop = inside._loop

    def look() -> None:
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]
        driver = inside._server._driver
        asked.set_result((len(timers), driver._timer.when() - loop.time()))

    loop.call_soon_threadsafe(look)
    count, due_in_s = asked.result(10)
    # One for all receives, and one by which idle connections are found: no tick, and none for each.
    assert count == 2
    assert due_in_s > 1
    for client in clients:
        client.close()


def test_deleting_the_queue_answers_those_who_wait(sqs: Any, queue_url: str, waiting: Callable[[int], None]) -> None:
    poll = Poll(sqs, queue_url)
    waiting(1)
    sqs.delete_queue(QueueUrl=queue_url)
    assert poll.join() == []


def test_stopping_answers_those_who_wait(
    sqs: Any, queue_url: str, waiting: Callable[[int], None], server: ThreadedServer
) -> None:
    poll = Poll(sqs, queue_url)
    waiting(1)
    server.stop()
    assert poll.join() == []


def test_time_does_not_go_back(server: ThreadedServer) -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        server.advance(-1)


def test_a_receive_that_shows_its_own_dead_letter_is_answered_with_it(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="own-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": redrive})
    sqs.send_message(QueueUrl=url, MessageBody="round and round")
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "round and round"
