"""A receive that waits blocks its own thread and nobody else's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from emulator_boto.polling import Poll, until_waiting

from busframe_emulator.boto import emulated_sqs

if TYPE_CHECKING:
    from busframe_emulator.boto import EmulatedSqs


def test_a_message_wakes_the_thread_that_waits(sqs: EmulatedSqs, sqs_client: Any, queue_url: str) -> None:
    poll = Poll(sqs_client, queue_url)
    until_waiting(sqs, 1)
    sqs_client.send_message(QueueUrl=queue_url, MessageBody="x")
    assert poll.bodies() == ["x"]


def test_time_that_passes_by_itself_brings_what_was_delayed(sqs_client: Any, queue_url: str) -> None:
    sqs_client.send_message(QueueUrl=queue_url, MessageBody="x", DelaySeconds=1)
    [message] = sqs_client.receive_message(QueueUrl=queue_url, WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "x"


def test_who_waits_learns_that_something_is_due_earlier(sqs: EmulatedSqs, sqs_client: Any, queue_url: str) -> None:
    sqs_client.send_message(QueueUrl=queue_url, MessageBody="x")
    [message] = sqs_client.receive_message(QueueUrl=queue_url)["Messages"]
    poll = Poll(sqs_client, queue_url)
    until_waiting(sqs, 1)
    sqs_client.change_message_visibility(
        QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=1
    )
    assert poll.bodies() == ["x"]


def test_a_wait_ends_when_its_time_is_over(sqs: EmulatedSqs, sqs_client: Any, queue_url: str) -> None:
    assert "Messages" not in sqs_client.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1)
    poll = Poll(sqs_client, queue_url)
    until_waiting(sqs, 1)
    sqs.advance(19)
    until_waiting(sqs, 1)
    sqs.advance(1)
    assert poll.bodies() == []


def test_the_end_of_the_emulator_is_the_end_of_the_wait() -> None:
    with emulated_sqs() as sqs:
        client = sqs.client()
        poll = Poll(client, client.create_queue(QueueName="orders")["QueueUrl"])
        until_waiting(sqs, 1)
    assert poll.bodies() == []


def test_a_receive_may_be_answered_by_what_it_does_itself(sqs_client: Any, queue_url: str) -> None:
    # The queue is its own dead-letter queue, so the receive that moves the message there is the one to get it.
    arn = "arn:aws:sqs:us-east-1:000000000000:orders"
    policy = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":1}}'
    sqs_client.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": policy})
    sqs_client.send_message(QueueUrl=queue_url, MessageBody="x")
    sqs_client.receive_message(QueueUrl=queue_url, VisibilityTimeout=0)
    [message] = sqs_client.receive_message(QueueUrl=queue_url, WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "x"


def test_four_threads_send_and_four_receive_and_nothing_is_lost_or_doubled(sqs: EmulatedSqs, queue_url: str) -> None:
    each, threads = 200, 4
    received: list[str] = []
    all_there = threading.Event()

    def send(sender: int) -> None:
        client = sqs.client()
        for number in range(each):
            client.send_message(QueueUrl=queue_url, MessageBody=f"{sender}-{number}")

    def receive(_: int) -> None:
        client = sqs.client()
        while not all_there.is_set():
            answer = client.receive_message(QueueUrl=queue_url, WaitTimeSeconds=20, MaxNumberOfMessages=3)
            for message in answer.get("Messages", []):
                client.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                received.append(message["Body"])
            if len(received) == each * threads:
                all_there.set()
                sqs.advance(20)  # lets go of those who still wait

    with ThreadPoolExecutor(2 * threads) as pool:
        receivers = [pool.submit(receive, number) for number in range(threads)]
        senders = [pool.submit(send, number) for number in range(threads)]
        for job in (*senders, *receivers):
            job.result(60)
    assert sorted(received) == sorted(f"{sender}-{number}" for sender in range(threads) for number in range(each))


def test_clients_can_be_made_by_many_threads_at_once(sqs: EmulatedSqs) -> None:
    def create(name: str) -> str:
        return str(sqs.client().create_queue(QueueName=name)["QueueUrl"]).rpartition("/")[2]

    names = [f"q{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(create, names)) == names
