"""A current boto3 does its work; it checks no checksum by itself, so these tests do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.server.thread import ThreadedServer


def test_create_send_long_poll_delete(sqs: Any, queue_url: str) -> None:
    sent = sqs.send_message(QueueUrl=queue_url, MessageBody="message")
    assert sent["MD5OfMessageBody"] == "78e731027d8fd50ed642340b7c9a63b3"
    assert "SequenceNumber" not in sent
    [message] = sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "message"
    assert message["MessageId"] == sent["MessageId"]
    assert "Attributes" not in message
    sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    assert "Messages" not in sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=0)


def test_a_body_beyond_ascii_comes_back_as_it_was(sqs: Any, queue_url: str) -> None:
    body = 'héllo \U0001f680 "quoted"\n\ttext\r'
    sqs.send_message(QueueUrl=queue_url, MessageBody=body)
    assert sqs.receive_message(QueueUrl=queue_url)["Messages"][0]["Body"] == body


def test_message_attributes_come_back_only_when_asked_for(sqs: Any, queue_url: str) -> None:
    attributes = {
        "General": {"DataType": "String", "StringValue": "Kenobi"},
        "Hello": {"DataType": "String", "StringValue": "There"},
        "Help.Me": {"DataType": "String", "StringValue": "Me"},
    }
    sent = sqs.send_message(QueueUrl=queue_url, MessageBody="x", MessageAttributes=attributes)
    assert sent["MD5OfMessageAttributes"] == "4c360f3fdafd970e05fae2f149d997f5"

    def receive(*names: str) -> Any:
        return sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=0, MessageAttributeNames=names)["Messages"][0]

    assert "MessageAttributes" not in receive()
    assert "MD5OfMessageAttributes" not in receive("Nobody", "^illegal^")
    for everything in ("All", ".*", "*"):
        assert receive(everything)["MessageAttributes"] == attributes
        assert receive(everything)["MD5OfMessageAttributes"] == "4c360f3fdafd970e05fae2f149d997f5"
    assert receive("Hello")["MessageAttributes"] == {"Hello": attributes["Hello"]}
    assert receive("Hello")["MD5OfMessageAttributes"] == "a311262e065454b75da111d535b8dacd"
    assert set(receive("Hel.*")["MessageAttributes"]) == {"Hello", "Help.Me"}


def test_binary_attributes_keep_their_bytes_and_labels(sqs: Any, queue_url: str) -> None:
    attributes = {
        "a": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
        "b": {"DataType": "Number.int", "StringValue": "42"},
        "C": {"DataType": "String.json", "StringValue": '{"x":1}'},
    }
    sent = sqs.send_message(QueueUrl=queue_url, MessageBody="x", MessageAttributes=attributes)
    assert sent["MD5OfMessageAttributes"] == "38cbad521ffed2675a7949431d9395a3"
    [message] = sqs.receive_message(QueueUrl=queue_url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == attributes


def test_system_attributes_tell_the_story_of_a_delivery(sqs: Any, queue_url: str) -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    sent = sqs.send_message(
        QueueUrl=queue_url,
        MessageBody="x",
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": trace}},
    )
    assert sent["MD5OfMessageSystemAttributes"] == "5ae4d5d7636402d80f4eb6d213245a88"
    assert "MD5OfMessageAttributes" not in sent
    sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=0)
    [message] = sqs.receive_message(QueueUrl=queue_url, MessageSystemAttributeNames=["All"])["Messages"]
    facts = message["Attributes"]
    assert facts["ApproximateReceiveCount"] == "2"
    assert facts["AWSTraceHeader"] == trace
    assert int(facts["SentTimestamp"]) <= int(facts["ApproximateFirstReceiveTimestamp"])
    assert set(facts) == {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "AWSTraceHeader",
    }


def test_both_names_for_system_attributes_add_up(sqs: Any, queue_url: str) -> None:
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    [message] = sqs.receive_message(
        QueueUrl=queue_url, AttributeNames=["SenderId"], MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )["Messages"]
    assert set(message["Attributes"]) == {"SenderId", "ApproximateReceiveCount"}


def test_a_fifo_queue_numbers_and_orders_its_messages(sqs: Any) -> None:
    url = sqs.create_queue(
        QueueName="orders.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    )["QueueUrl"]
    numbers = [sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")["SequenceNumber"] for body in "abc"]
    assert numbers == sorted(numbers)
    assert all(len(number) == 20 for number in numbers)
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    assert [message["Body"] for message in messages] == ["a", "b", "c"]
    assert messages[0]["Attributes"]["MessageGroupId"] == "g"
    assert messages[0]["Attributes"]["SequenceNumber"] == numbers[0]


def test_each_entry_of_a_batch_has_its_own_fate(sqs: Any, queue_url: str) -> None:
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"MaximumMessageSize": "1024"})
    entries = [
        {"Id": "good", "MessageBody": "message"},
        {"Id": "control", "MessageBody": "\x01"},
        {"Id": "long", "MessageBody": "x" * 1025},
        {"Id": "late", "MessageBody": "x", "DelaySeconds": 901},
    ]
    result = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
    assert [(entry["Id"], entry["MD5OfMessageBody"]) for entry in result["Successful"]] == [
        ("good", "78e731027d8fd50ed642340b7c9a63b3")
    ]
    assert {entry["Id"]: entry["Code"] for entry in result["Failed"]} == {
        "control": "InvalidMessageContents",
        "long": "InvalidParameterValue",
        "late": "InvalidParameterValue",
    }
    assert all(entry["SenderFault"] for entry in result["Failed"])
    reasons = {entry["Id"]: entry["Message"] for entry in result["Failed"]}
    assert reasons["long"] == (
        "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes."
    )


def test_batches_settle_what_was_received(sqs: Any, queue_url: str) -> None:
    sqs.send_message_batch(QueueUrl=queue_url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(4)])
    messages = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)["Messages"]
    receipts = [message["ReceiptHandle"] for message in messages]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=queue_url,
        Entries=[
            {"Id": "back", "ReceiptHandle": receipts[0], "VisibilityTimeout": 0},
            {"Id": "beyond", "ReceiptHandle": receipts[1], "VisibilityTimeout": 43_201},
        ],
    )
    assert [entry["Id"] for entry in changed["Successful"]] == ["back"]
    assert [entry["Code"] for entry in changed["Failed"]] == ["InvalidParameterValue"]
    deleted = sqs.delete_message_batch(
        QueueUrl=queue_url,
        Entries=[{"Id": "one", "ReceiptHandle": receipts[1]}, {"Id": "garbage", "ReceiptHandle": "garbage"}],
    )
    assert [entry["Id"] for entry in deleted["Successful"]] == ["one"]
    assert [entry["Code"] for entry in deleted["Failed"]] == ["ReceiptHandleIsInvalid"]
    counts = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "1"
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "2"


def test_a_change_of_visibility_gives_a_message_back(sqs: Any, queue_url: str) -> None:
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    [message] = sqs.receive_message(QueueUrl=queue_url)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=queue_url)
    sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert sqs.receive_message(QueueUrl=queue_url)["Messages"][0]["MessageId"] == message["MessageId"]


def test_a_new_queue_has_the_attributes_amazon_gives_it(sqs: Any, queue_url: str) -> None:
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue_url)
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    for timestamp in ("CreatedTimestamp", "LastModifiedTimestamp"):
        assert len(attributes.pop(timestamp)) == 10
    assert attributes == {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:orders",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "VisibilityTimeout": "30",
    }


def test_a_dead_letter_queue_takes_what_was_received_too_often(sqs: Any, queue_url: str) -> None:
    dead_url = sqs.create_queue(QueueName="orders-dead")["QueueUrl"]
    dead_arn = "arn:aws:sqs:us-east-1:000000000000:orders-dead"
    policy = json.dumps({"maxReceiveCount": "1", "deadLetterTargetArn": dead_arn})
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": policy})
    shown = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])["Attributes"]
    assert shown == {"RedrivePolicy": f'{{"deadLetterTargetArn":"{dead_arn}","maxReceiveCount":1}}'}
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue_url)
    [message] = sqs.receive_message(QueueUrl=dead_url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == "arn:aws:sqs:us-east-1:000000000000:orders"
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": ""})
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])


def test_queues_are_listed_in_pages_to_those_who_ask_for_pages(sqs: Any, server: ThreadedServer) -> None:
    assert "QueueUrls" not in sqs.list_queues()
    for name in ("b", "a", "c", "other"):
        sqs.create_queue(QueueName=name)
    urls = [f"{server.url}/000000000000/{name}" for name in ("a", "b", "c", "other")]
    everything = sqs.list_queues()
    assert everything["QueueUrls"] == urls
    assert "NextToken" not in everything
    first = sqs.list_queues(MaxResults=3)
    assert first["QueueUrls"] == urls[:3]
    second = sqs.list_queues(MaxResults=3, NextToken=first["NextToken"])
    assert second["QueueUrls"] == urls[3:]
    assert "NextToken" not in second
    assert sqs.list_queues(QueueNamePrefix="o")["QueueUrls"] == urls[3:]


def test_a_deleted_queue_is_gone_and_its_name_rests_for_a_minute(
    sqs: Any, queue_url: str, server: ThreadedServer
) -> None:
    sqs.delete_queue(QueueUrl=queue_url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="orders")
    with pytest.raises(sqs.exceptions.QueueDeletedRecently):
        sqs.create_queue(QueueName="orders")
    server.advance(60)
    sqs.create_queue(QueueName="orders")


def test_a_purge_empties_the_queue_once_a_minute(sqs: Any, queue_url: str, server: ThreadedServer) -> None:
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    sqs.purge_queue(QueueUrl=queue_url)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue_url)
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress) as caught:
        sqs.purge_queue(QueueUrl=queue_url)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    server.advance(60)
    sqs.purge_queue(QueueUrl=queue_url)


def test_regions_and_accounts_do_not_see_each_other(client_of: Callable[..., Any], server: ThreadedServer) -> None:
    here, there = client_of("eu-west-1"), client_of("us-west-2")
    url = here.create_queue(QueueName="q")["QueueUrl"]
    arn = here.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert arn == "arn:aws:sqs:eu-west-1:000000000000:q"
    with pytest.raises(there.exceptions.QueueDoesNotExist):
        there.send_message(QueueUrl=url, MessageBody="x")
    other = client_of("eu-west-1", "111122223333")
    assert "QueueUrls" not in other.list_queues()
    assert other.create_queue(QueueName="q")["QueueUrl"] == f"{server.url}/111122223333/q"
    found = here.get_queue_url(QueueName="q", QueueOwnerAWSAccountId="111122223333")
    assert found["QueueUrl"] == f"{server.url}/111122223333/q"


def test_a_bare_name_or_another_host_will_do_as_queue_url(sqs: Any, queue_url: str) -> None:
    sqs.send_message(QueueUrl="orders", MessageBody="by name")
    sqs.send_message(QueueUrl="https://sqs.us-east-1.amazonaws.com/000000000000/orders", MessageBody="by path")
    messages = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)["Messages"]
    assert {message["Body"] for message in messages} == {"by name", "by path"}
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.send_message(QueueUrl="https://nowhere.example/", MessageBody="x")


def test_a_message_names_its_sender(client_of: Callable[..., Any], queue_url: str) -> None:
    for access_key in ("AKIDONE", "AKIDTWO", "AKIDONE"):
        client_of(access_key=access_key).send_message(QueueUrl=queue_url, MessageBody="x")
    answer = client_of().receive_message(QueueUrl=queue_url, AttributeNames=["SenderId"], MaxNumberOfMessages=10)
    one, two, again = (message["Attributes"]["SenderId"] for message in answer["Messages"])
    assert one == again != two
    assert one.startswith("AIDA")
    assert len(one) == 21
