"""What clients find after the emulator was ended and started again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from busframe_emulator.server.persistence.errors import DataDirectoryError
from busframe_emulator.server.thread import run_in_thread

if TYPE_CHECKING:
    from emulator_data.home import Home


def bodies(received: dict[str, Any]) -> list[str]:
    return [message["Body"] for message in received.get("Messages", ())]


def test_a_message_comes_back_whole(home: Home) -> None:
    sqs = home.start()
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody="ö\n\U0001f600",
        MessageAttributes={
            "text": {"DataType": "String.label", "StringValue": "ä"},
            "number": {"DataType": "Number", "StringValue": "17"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\0\xff"},
        },
        MessageSystemAttributes={
            "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}
        },
    )
    asked = {"QueueUrl": url, "AttributeNames": ["All"], "MessageAttributeNames": ["All"], "VisibilityTimeout": 0}
    (before,) = sqs.receive_message(**asked)["Messages"]
    sqs = home.start()
    (after,) = sqs.receive_message(**asked)["Messages"]
    assert after["MessageId"] == before["MessageId"] == sent["MessageId"]
    assert after["Attributes"].pop("ApproximateReceiveCount") == "2"
    assert before["Attributes"].pop("ApproximateReceiveCount") == "1"
    for varying in (before, after):
        del varying["ReceiptHandle"]
    assert after == before


def test_a_queue_keeps_its_attributes_tags_policy_and_times(home: Home) -> None:
    sqs = home.start()
    dead = sqs.create_queue(QueueName="dead", Attributes={"RedriveAllowPolicy": '{"redrivePermission":"allowAll"}'})
    arn = sqs.get_queue_attributes(QueueUrl=dead["QueueUrl"], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = sqs.create_queue(
        QueueName="orders",
        Attributes={
            "VisibilityTimeout": "77",
            "RedrivePolicy": f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"3"}}',
            "KmsMasterKeyId": "alias/x",
        },
        tags={"team": "shop", "gone": "soon"},
    )["QueueUrl"]
    sqs.untag_queue(QueueUrl=url, TagKeys=["gone"])
    sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    home.advance(5)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "3"})
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    sqs = home.start()
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] == before
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "shop"}
    (source,) = sqs.list_dead_letter_source_queues(QueueUrl=dead["QueueUrl"])["queueUrls"]
    assert source.endswith("/orders")
    sqs.remove_permission(QueueUrl=url, Label="l")


def test_a_message_in_flight_stays_hidden_to_its_deadline_and_its_receipt_is_good(home: Home) -> None:
    sqs = home.start()
    url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="kept")
    sqs.send_message(QueueUrl=url, MessageBody="done")
    kept, done = (sqs.receive_message(QueueUrl=url)["Messages"][0] for _ in range(2))
    home.advance(20)
    sqs = home.start()
    assert bodies(sqs.receive_message(QueueUrl=url)) == []
    sqs.delete_message(QueueUrl=url, ReceiptHandle=done["ReceiptHandle"])
    home.advance(9)
    assert bodies(sqs.receive_message(QueueUrl=url)) == []
    home.advance(1)
    assert bodies(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["kept"]
    assert kept["Body"] == "kept"


def test_what_was_deleted_stays_deleted(home: Home) -> None:
    sqs = home.start()
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    for body in ("a", "b"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    sqs = home.start()
    receipt = sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=receipt)
    sqs = home.start()
    home.advance(3600)
    assert bodies(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["b"]


def test_a_delayed_message_comes_when_it_is_due(home: Home) -> None:
    sqs = home.start()
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=60)
    home.advance(59)
    sqs = home.start()
    assert bodies(sqs.receive_message(QueueUrl=url)) == []
    home.advance(1)
    assert bodies(sqs.receive_message(QueueUrl=url)) == ["later"]


def test_a_fifo_queue_keeps_order_groups_duplicates_and_numbers(home: Home) -> None:
    sqs = home.start()
    url = sqs.create_queue(QueueName="o.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]

    def send(body: str, group: str) -> Any:
        return sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body)

    first = send("a0", "a")
    send("a1", "a")
    send("b0", "b")
    (held,) = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert held["Body"] == "a0"
    home.advance(10)
    sqs = home.start()
    again = send("a0", "a")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    assert bodies(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["b0"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0)
    assert bodies(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["a0", "a1"]
    home.advance(290)
    assert int(send("a0", "a")["SequenceNumber"]) > int(first["SequenceNumber"])


def test_a_receive_attempt_can_be_repeated(home: Home) -> None:
    sqs = home.start()
    url = sqs.create_queue(QueueName="o.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="d")
    before = sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="mine")["Messages"]
    sqs = home.start()
    assert sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="mine")["Messages"] == before
    assert bodies(sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="another")) == []


def test_a_move_task_goes_on_at_its_rate(home: Home) -> None:
    sqs = home.start()
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"1"}}'
    url = sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})[
        "QueueUrl"
    ]
    for number in range(6):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    while bodies(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)):
        pass
    handle = sqs.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    home.advance(2)
    sqs = home.start()
    (task,) = sqs.list_message_move_tasks(SourceArn=arn)["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"], task["TaskHandle"]) == ("RUNNING", 2, handle)
    home.advance(5)
    (task,) = sqs.list_message_move_tasks(SourceArn=arn)["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 6)
    sqs = home.start()
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=30)
    assert bodies(received) == list("012345")


def test_the_minute_after_a_deletion_and_a_purge_is_kept(home: Home) -> None:
    sqs = home.start()
    url = sqs.create_queue(QueueName="purged")["QueueUrl"]
    gone = sqs.create_queue(QueueName="gone")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    sqs.purge_queue(QueueUrl=url)
    sqs.delete_queue(QueueUrl=gone)
    home.advance(59)
    sqs = home.start()
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress):
        sqs.purge_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.QueueDeletedRecently):
        sqs.create_queue(QueueName="gone")
    assert bodies(sqs.receive_message(QueueUrl=url)) == []
    home.advance(2)
    sqs.purge_queue(QueueUrl=url)
    sqs.create_queue(QueueName="gone")
    sqs = home.start()
    assert len(sqs.list_queues()["QueueUrls"]) == 2


def test_a_reset_is_final(home: Home) -> None:
    sqs = home.start()
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    home.reset()
    sqs = home.start()
    assert "QueueUrls" not in sqs.list_queues()


def test_a_clock_that_stands_does_not_move_while_the_emulator_is_down(home: Home) -> None:
    sqs = home.start()
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    home.advance(100_000)
    sqs.send_message(QueueUrl=url, MessageBody="x")
    names = ["SentTimestamp"]
    before = sqs.receive_message(QueueUrl=url, AttributeNames=names, VisibilityTimeout=0)["Messages"][0]["Attributes"]
    sqs = home.start()
    sqs.send_message(QueueUrl=url, MessageBody="y")
    received = sqs.receive_message(QueueUrl=url, AttributeNames=names, MaxNumberOfMessages=10)["Messages"]
    assert [message["Attributes"] for message in received] == [before, before]


def test_a_clock_that_was_moved_ahead_never_goes_back(home: Home) -> None:
    sqs = home.start(manual_clock=False)
    url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "1800"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    sqs.receive_message(QueueUrl=url)
    home.advance(1700)
    sqs = home.start(manual_clock=False)
    home.advance(90)
    sqs = home.start(manual_clock=False)
    assert bodies(sqs.receive_message(QueueUrl=url)) == []
    home.advance(10)
    assert bodies(sqs.receive_message(QueueUrl=url)) == ["x"]


def test_a_clock_that_was_left_alone_stays_with_the_machines(home: Home) -> None:
    for number in range(4):
        sqs = home.start(manual_clock=False)
        sqs.create_queue(QueueName=f"q{number}")
        assert abs(home.offset_s()) < 0.1


def test_two_emulators_cannot_have_one_directory(home: Home) -> None:
    home.start()
    with pytest.raises(DataDirectoryError, match="in use"):
        run_in_thread(data=home.directory)
