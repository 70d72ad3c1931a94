"""A boto3 client in process answers as one over the wire does."""

from __future__ import annotations

import json
from hashlib import md5
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from busframe_emulator.boto import emulated_sqs

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.pytest_plugin import SqsEmulator

PASSING = {"MessageId", "ReceiptHandle", "RequestId", "SentTimestamp", "ApproximateFirstReceiveTimestamp"} | {
    "x-amzn-requestid",
    "content-length",
}
"""What differs from one call to the next; and no body is made in process that could have a length."""


def without_what_passes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_what_passes(part) for name, part in value.items() if name not in PASSING}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [without_what_passes(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
    return value


class Recorder:
    """Makes calls and keeps what came of them: answers, and refusals with the type that botocore gave them."""

    def __init__(self, client: Any, endpoint: str) -> None:
        self._client = client
        self._endpoint = endpoint
        self.answers: list[Any] = []

    def __call__(self, method: str, **given: Any) -> Any:
        try:
            answer = getattr(self._client, method)(**given)
        except ClientError as error:
            answer = {"type": type(error).__name__, "text": str(error), **error.response}
        text = without_what_passes(answer)
        self.answers.append((method, json.loads(json.dumps(text, default=repr).replace(self._endpoint, "<endpoint>"))))
        return answer


def everything(call: Recorder) -> None:
    """Every action there is, and refusals of all kinds."""
    url = call("create_queue", QueueName="orders", tags={"team": "a"})["QueueUrl"]
    dead = call("create_queue", QueueName="dead")["QueueUrl"]
    arn = call("get_queue_attributes", QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    call("set_queue_attributes", QueueUrl=url, Attributes={"RedrivePolicy": policy})
    call("list_dead_letter_source_queues", QueueUrl=dead)
    call("list_queues")
    call("list_queues", QueueNamePrefix="none")
    call("get_queue_url", QueueName="orders")
    call("tag_queue", QueueUrl=url, Tags={"stage": "test"})
    call("untag_queue", QueueUrl=url, TagKeys=["team"])
    call("list_queue_tags", QueueUrl=url)
    call("add_permission", QueueUrl=url, Label="l", AWSAccountIds=["111122223333"], Actions=["SendMessage"])
    call("remove_permission", QueueUrl=url, Label="l")
    attributes = {
        "text": {"DataType": "String", "StringValue": "é\n"},
        "bytes": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
    }
    call("send_message", QueueUrl=url, MessageBody="one", MessageAttributes=attributes)
    call(
        "send_message_batch",
        QueueUrl=url,
        Entries=[{"Id": "a", "MessageBody": "two"}, {"Id": "b", "MessageBody": "\x01"}],
    )
    messages = call(
        "receive_message", QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    )["Messages"]
    call("receive_message", QueueUrl=url)
    first, second = (message["ReceiptHandle"] for message in messages)
    call("change_message_visibility", QueueUrl=url, ReceiptHandle=first, VisibilityTimeout=60)
    entry = {"Id": "x", "ReceiptHandle": first}
    call("change_message_visibility_batch", QueueUrl=url, Entries=[{**entry, "VisibilityTimeout": 60}])
    call("delete_message", QueueUrl=url, ReceiptHandle=second)
    call("delete_message_batch", QueueUrl=url, Entries=[entry, {"Id": "y", "ReceiptHandle": "garbage"}])
    call("purge_queue", QueueUrl=url)
    call("purge_queue", QueueUrl=url)
    call("delete_message", QueueUrl=url, ReceiptHandle="garbage")
    call("send_message", QueueUrl=url, MessageBody="")
    call("send_message", QueueUrl=url, MessageBody="x", DelaySeconds=901)
    call("send_message", QueueUrl=url, MessageBody="\x01")
    call("delete_message_batch", QueueUrl=url, Entries=[])
    call("send_message", QueueUrl="nowhere", MessageBody="x")
    call("create_queue", QueueName="orders", Attributes={"DelaySeconds": "5"})
    call("delete_queue", QueueUrl=url)
    call("create_queue", QueueName="orders")


def test_answers_and_errors_are_those_of_the_wire(sqs_client: Any, sqs_emulator: SqsEmulator) -> None:
    in_process = Recorder(sqs_client, "https://sqs.us-east-1.amazonaws.com")
    everything(in_process)
    over_the_wire = Recorder(sqs_emulator.client(), sqs_emulator.url)
    everything(over_the_wire)
    assert in_process.answers == over_the_wire.answers


def test_checksums_are_right(sqs_client: Any, queue_url: str) -> None:
    attributes = {
        "a": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
        "b": {"DataType": "Number.int", "StringValue": "42"},
        "C": {"DataType": "String.json", "StringValue": '{"x":1}'},
    }
    sent = sqs_client.send_message(QueueUrl=queue_url, MessageBody="héllo", MessageAttributes=attributes)
    [message] = sqs_client.receive_message(QueueUrl=queue_url, MessageAttributeNames=["All"])["Messages"]
    digest = md5("héllo".encode(), usedforsecurity=False).hexdigest()
    assert sent["MD5OfMessageBody"] == message["MD5OfBody"] == digest
    # Computed by the SDK for JavaScript.
    assert sent["MD5OfMessageAttributes"] == "38cbad521ffed2675a7949431d9395a3"
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["MessageAttributes"] == attributes
    assert type(message["MessageAttributes"]["a"]["BinaryValue"]) is bytes


def test_each_entry_of_a_batch_has_its_own_fate(sqs_client: Any, queue_url: str) -> None:
    entries = [{"Id": "good", "MessageBody": "x"}, {"Id": "late", "MessageBody": "x", "DelaySeconds": 901}]
    result = sqs_client.send_message_batch(QueueUrl=queue_url, Entries=entries)
    assert [entry["Id"] for entry in result["Successful"]] == ["good"]
    assert [(entry["Id"], entry["Code"]) for entry in result["Failed"]] == [("late", "InvalidParameterValue")]


def test_a_fifo_queue_keeps_order_and_drops_duplicates(sqs_client: Any) -> None:
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs_client.create_queue(QueueName="orders.fifo", Attributes=attributes)["QueueUrl"]
    for body in "abbc":
        sqs_client.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    messages = sqs_client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in messages] == ["a", "b", "c"]


def test_exceptions_have_their_types(sqs_client: Any) -> None:
    with pytest.raises(sqs_client.exceptions.QueueDoesNotExist) as caught:
        sqs_client.get_queue_url(QueueName="nowhere")
    assert caught.value.response["Error"] == {
        "Message": "The specified queue does not exist.",
        "Code": "AWS.SimpleQueueService.NonExistentQueue",
        "QueryErrorCode": "QueueDoesNotExist",
        "Type": "Sender",
    }


def test_botocore_still_checks_parameters_before_anything_is_asked(sqs_client: Any, queue_url: str) -> None:
    with pytest.raises(ParamValidationError, match="MessageBody"):
        sqs_client.send_message(QueueUrl=queue_url)
    with pytest.raises(ParamValidationError, match="DelaySeconds"):
        sqs_client.send_message(QueueUrl=queue_url, MessageBody="x", DelaySeconds="soon")


def test_a_paginator_turns_the_pages(sqs_client: Any) -> None:
    for number in range(7):
        sqs_client.create_queue(QueueName=f"q{number}")
    pages = list(sqs_client.get_paginator("list_queues").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["QueueUrls"]) for page in pages] == [3, 3, 1]


def test_a_queue_url_may_have_any_host_or_none(sqs_client: Any, queue_url: str) -> None:
    assert queue_url == "https://sqs.us-east-1.amazonaws.com/000000000000/orders"
    for url in (queue_url, "http://localhost:4566/000000000000/orders", "orders"):
        sqs_client.send_message(QueueUrl=url, MessageBody="x")
    assert len(sqs_client.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)["Messages"]) == 3


def test_what_is_answered_belongs_to_the_caller(sqs_client: Any) -> None:
    url = sqs_client.create_queue(QueueName="orders", tags={"team": "a"})["QueueUrl"]
    sqs_client.list_queue_tags(QueueUrl=url)["Tags"]["team"] = "changed"
    assert sqs_client.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a"}


def test_two_emulators_do_not_know_each_other(sqs_client: Any, queue_url: str) -> None:
    with emulated_sqs() as other:
        with pytest.raises(sqs_client.exceptions.ClientError):
            other.client().send_message(QueueUrl=queue_url, MessageBody="x")
        other.client().create_queue(QueueName="orders")
        other.client().send_message(QueueUrl=queue_url, MessageBody="theirs")
        assert "Messages" not in sqs_client.receive_message(QueueUrl=queue_url)


def everywhere_but_home(make: Callable[..., Any]) -> list[Any]:
    return [make(region_name="eu-west-1"), make(account="111122223333")]


def test_region_and_account_are_those_of_the_client(sqs: Any, queue_url: str) -> None:
    for client in everywhere_but_home(sqs.client):
        assert "QueueUrls" not in client.list_queues()
    abroad, other = everywhere_but_home(sqs.client)
    url = abroad.create_queue(QueueName="q")["QueueUrl"]
    assert url == "https://sqs.eu-west-1.amazonaws.com/000000000000/q"
    arn = abroad.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert arn == "arn:aws:sqs:eu-west-1:000000000000:q"
    assert other.create_queue(QueueName="q")["QueueUrl"].endswith("/111122223333/q")
    assert other.get_queue_url(QueueName="orders", QueueOwnerAWSAccountId="000000000000")["QueueUrl"] == queue_url
