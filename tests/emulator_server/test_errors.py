"""Refusals: status, `__type`, the legacy code in x-amzn-query-error, and Amazon's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


SQS = "com.amazonaws.sqs#"
CORAL = "com.amazon.coral.service#"
CODE = "AWS.SimpleQueueService."


def value(parameter: str, given: object, reason: str) -> tuple[int, str, str, str]:
    text = f"Value {given} for parameter {parameter} is invalid. Reason: {reason}"
    return 400, f"{CORAL}InvalidParameterValueException", "InvalidParameterValue", text


def invalid(text: str) -> tuple[int, str, str, str]:
    return 400, f"{CORAL}InvalidParameterValueException", "InvalidParameterValue", text


def missing(name: str) -> tuple[int, str, str, str]:
    text = f"The request must contain the parameter {name}."
    return 400, f"{CORAL}MissingRequiredParameterException", "MissingParameter", text


def batch(shape: str, text: str) -> tuple[int, str, str, str]:
    return 400, SQS + shape, CODE + shape, text


ALLOWED = "the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]."
GROUP_REASON = "can only include alphanumeric and punctuation characters. 1 to 128 in length."
NO_QUEUE = (400, f"{SQS}QueueDoesNotExist", f"{CODE}NonExistentQueue", "The specified queue does not exist.")
STANDARD_NAME = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
FIFO_NAME = (
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo "
    "suffix and be 1 to 80 in length."
)
BAD_ID = (
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
    "It can be at most 80 letters long."
)


def attribute_name(text: str) -> tuple[int, str, str, str]:
    return 400, f"{SQS}InvalidAttributeName", "InvalidAttributeName", text


def attribute_value(text: str) -> tuple[int, str, str, str]:
    return 400, f"{SQS}InvalidAttributeValue", "InvalidAttributeValue", text


def sending(**attribute: object) -> dict[str, object]:
    return {"MessageBody": "x", "MessageAttributes": {"X": attribute}}


def creating(name: str, **attributes: str) -> dict[str, object]:
    return {"QueueName": name, "Attributes": attributes, "QueueUrl": None}


def entries(*ids: str) -> dict[str, object]:
    return {"Entries": [{"Id": entry_id, "MessageBody": "x"} for entry_id in ids]}


CASES: list[tuple[str, dict[str, object], tuple[int, str, str, str]]] = [
    ("SendMessage", {}, missing("MessageBody")),
    ("SendMessage", {"MessageBody": ""}, missing("MessageBody")),
    ("SendMessage", {"MessageBody": None}, missing("MessageBody")),
    (
        "SendMessage",
        {"MessageBody": "a\x07b"},
        (
            400,
            f"{SQS}InvalidMessageContents",
            "InvalidMessageContents",
            f"Invalid binary character '#x7' was found in the message body, {ALLOWED}",
        ),
    ),
    ("SendMessage", {"QueueUrl": "nobody", "MessageBody": "\x01"}, NO_QUEUE),
    ("SendMessage", {"QueueUrl": "", "MessageBody": "x"}, NO_QUEUE),
    ("SendMessage", {"QueueUrl": None, "MessageBody": "x"}, NO_QUEUE),
    (
        "SendMessage",
        {"MessageBody": "x", "DelaySeconds": 54524},
        value("DelaySeconds", 54524, "DelaySeconds must be >= 0 and <= 900."),
    ),
    (
        "SendMessage",
        {"MessageBody": "x", "MessageGroupId": "a b"},
        value("MessageGroupId", "a b", f"MessageGroupId {GROUP_REASON}"),
    ),
    (
        "SendMessage",
        {"MessageBody": "x", "MessageGroupId": ""},
        value("MessageGroupId", "", f"MessageGroupId {GROUP_REASON}"),
    ),
    (
        "SendMessage",
        {"MessageBody": "x", "MessageDeduplicationId": "x" * 129},
        value("MessageDeduplicationId", "x" * 129, f"MessageDeduplicationId {GROUP_REASON}"),
    ),
    (
        "SendMessage",
        {"MessageBody": "x", "MessageDeduplicationId": "x"},
        value("MessageDeduplicationId", "x", "The request include parameter that is not valid for this queue type."),
    ),
    (
        "SendMessage",
        {"MessageBody": "x" * 1_048_577},
        invalid("One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes."),
    ),
    (
        "SendMessage",
        {"MessageBody": "x", "MessageAttributes": {str(n): {} for n in range(11)}},
        invalid("Number of message attributes [11] exceeds the allowed maximum [10]."),
    ),
    (
        "SendMessage",
        sending(DataType="Text", StringValue="x"),
        invalid(
            "The type of message (user) attribute 'X' is invalid. You must use only the following supported type "
            "prefixes: Binary, Number, String."
        ),
    ),
    (
        "SendMessage",
        sending(DataType="String", StringValue=""),
        invalid("Message (user) attribute 'X' must contain a non-empty value of type 'String'."),
    ),
    (
        "SendMessage",
        sending(DataType="Number", StringValue="forty"),
        invalid("Can't cast the value of message (user) attribute 'X' to a number."),
    ),
    (
        "SendMessage",
        {"MessageBody": "x", "MessageAttributes": {"": {"DataType": "String", "StringValue": "x"}}},
        invalid("The request must contain non-empty message attribute name."),
    ),
    (
        "SendMessage",
        sending(DataType="String", StringValue="a\uffff"),
        invalid(f"Invalid binary character '#xFFFF' was found in the value of message (user) attribute 'X', {ALLOWED}"),
    ),
    *(
        (
            "SendMessage",
            sending(DataType="Number", StringValue=number),
            invalid(
                "The value of message (user) attribute 'X' is not a number of at most 38 digits between 10^-128 and "
                "10^+126."
            ),
        )
        for number in ("1e127", "-12.5e126", "0.1e-128", "1" * 39)
    ),
    (
        "ReceiveMessage",
        {"MaxNumberOfMessages": 11},
        value("MaxNumberOfMessages", 11, "Must be between 1 and 10, if provided."),
    ),
    (
        "ReceiveMessage",
        {"MaxNumberOfMessages": 0},
        value("MaxNumberOfMessages", 0, "Must be between 1 and 10, if provided."),
    ),
    ("ReceiveMessage", {"WaitTimeSeconds": 21}, value("WaitTimeSeconds", 21, "Must be >= 0 and <= 20, if provided.")),
    ("ReceiveMessage", {"WaitTimeSeconds": -1}, value("WaitTimeSeconds", -1, "Must be >= 0 and <= 20, if provided.")),
    (
        "DeleteMessage",
        {"ReceiptHandle": "garbage"},
        (
            404,
            f"{SQS}ReceiptHandleIsInvalid",
            "ReceiptHandleIsInvalid",
            'The input receipt handle "garbage" is not a valid receipt handle.',
        ),
    ),
    ("DeleteMessage", {}, missing("ReceiptHandle")),
    ("ChangeMessageVisibility", {"ReceiptHandle": "x"}, missing("VisibilityTimeout")),
    (
        "SendMessageBatch",
        {"Entries": []},
        batch("EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request."),
    ),
    (
        "DeleteMessageBatch",
        {"Entries": []},
        batch("EmptyBatchRequest", "There should be at least one DeleteMessageBatchRequestEntry in the request."),
    ),
    ("SendMessageBatch", {}, missing("SendMessageBatchRequestEntry.1.Id")),
    ("SendMessageBatch", {"Entries": [{"Id": "a"}]}, missing("SendMessageBatchRequestEntry.1.MessageBody")),
    (
        "SendMessageBatch",
        entries(*(str(n) for n in range(20))),
        batch("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent 20."),
    ),
    ("SendMessageBatch", entries("a", "a"), batch("BatchEntryIdsNotDistinct", "Id a repeated.")),
    ("SendMessageBatch", entries("a.b"), batch("InvalidBatchEntryId", BAD_ID)),
    ("SendMessageBatch", entries(""), batch("InvalidBatchEntryId", BAD_ID)),
    (
        "SendMessageBatch",
        {"Entries": [{"Id": "a", "MessageBody": "x" * 1_048_000}, {"Id": "b", "MessageBody": "x" * 577}]},
        batch(
            "BatchRequestTooLong", "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes."
        ),
    ),
    ("CreateQueue", {"QueueName": "no good"}, invalid(STANDARD_NAME)),
    ("CreateQueue", {"QueueName": "x" * 81}, invalid(STANDARD_NAME)),
    ("CreateQueue", {"QueueName": "x.fifo"}, invalid(STANDARD_NAME)),
    ("CreateQueue", {}, missing("QueueName")),
    ("CreateQueue", creating("x", FifoQueue="true"), invalid(FIFO_NAME)),
    ("CreateQueue", creating("x", FifoQueue="false"), attribute_name("Unknown Attribute FifoQueue.")),
    (
        "CreateQueue",
        creating("x", ContentBasedDeduplication="true"),
        attribute_name("Unknown Attribute ContentBasedDeduplication."),
    ),
    (
        "CreateQueue",
        creating("x", DeduplicationScope="queue"),
        attribute_name("You can specify the DeduplicationScope only when FifoQueue is set to true."),
    ),
    ("CreateQueue", creating("x", Foobar="1"), attribute_name("Unknown Attribute Foobar.")),
    (
        "CreateQueue",
        creating("x", DelaySeconds="901"),
        attribute_value("Invalid value for the parameter DelaySeconds."),
    ),
    ("CreateQueue", creating("x", DelaySeconds="٣"), attribute_value("Invalid value for the parameter DelaySeconds.")),
    (
        "CreateQueue",
        creating("orders", DelaySeconds="5"),
        (
            400,
            f"{SQS}QueueNameExists",
            "QueueAlreadyExists",
            "A queue already exists with the same name and a different value for attribute DelaySeconds",
        ),
    ),
    (
        "CreateQueue",
        creating("x", KmsMasterKeyId="alias/x", SqsManagedSseEnabled="true"),
        attribute_name(
            "You can use one type of server-side encryption (SSE) at one time. "
            "You can either enable KMS SSE or SQS SSE."
        ),
    ),
    ("SetQueueAttributes", {}, missing("Attribute.Name")),
    ("SetQueueAttributes", {"Attributes": {}}, missing("Attribute.Name")),
    (
        "SetQueueAttributes",
        {"Attributes": {"Policy": f'{{"Id":"{"x" * 8192}"}}'}},
        attribute_value("Invalid value for the parameter Policy. Reason: It can have 8192 bytes, and has 8201."),
    ),
    ("TagQueue", {"Tags": {}}, missing("Tags")),
    ("UntagQueue", {"TagKeys": []}, missing("TagKeys")),
    ("UntagQueue", {"TagKeys": [""]}, invalid("Tag keys must be between 1 and 128 characters in length.")),
    ("ListQueues", {"NextToken": "%%%", "MaxResults": 1}, invalid("Invalid or expired next token.")),
    ("GetQueueAttributes", {"AttributeNames": ["Foobar"]}, attribute_name("Unknown Attribute Foobar.")),
    (
        "SetQueueAttributes",
        {"Attributes": {"RedrivePolicy": '{"deadLetterTargetArn":"x"}'}},
        value(
            "RedrivePolicy",
            '{"deadLetterTargetArn":"x"}',
            "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
        ),
    ),
    ("GetQueueUrl", {"QueueName": "nobody"}, NO_QUEUE),
    ("DeleteQueue", {"QueueUrl": "nobody"}, NO_QUEUE),
]


@pytest.mark.usefixtures("queue_url")
@pytest.mark.parametrize(("action", "members", "error"), CASES)
def test_a_fault_is_refused_as_amazon_refuses_it(
    post: Callable[..., Any], action: str, members: dict[str, object], error: tuple[int, str, str, str]
) -> None:
    status, kind, code, text = error
    answer = post(action, {"QueueUrl": "orders", **members})
    assert answer.document == {"__type": kind, "message": text}
    assert answer.status == status
    assert answer.headers["x-amzn-query-error"] == f"{code};Sender"
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize("number", ["0", "-0.0e9999", "1e126", "1e-128", "9" * 38, "0" * 40 + "1.50", "12.5e125"])
def test_a_number_of_38_digits_in_its_range_is_taken(post: Callable[..., Any], queue_url: str, number: str) -> None:
    attribute = {"DataType": "Number", "StringValue": number}
    body = {"QueueUrl": queue_url, "MessageBody": "x", "MessageAttributes": {"X": attribute}}
    assert post("SendMessage", body).status == 200


def test_a_fifo_message_without_group_fails_alone_in_one_way_and_in_a_batch_in_another(
    sqs: Any, post: Callable[..., Any]
) -> None:
    sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})
    text = "The request must contain the parameter MessageGroupId."
    alone = post("SendMessage", {"QueueUrl": "q.fifo", "MessageBody": "x", "MessageDeduplicationId": "1"})
    assert alone.headers["x-amzn-query-error"] == "MissingParameter;Sender"
    assert alone.document["message"] == text
    entry = {"Id": "a", "MessageBody": "x", "MessageDeduplicationId": "1"}
    batch_answer = post("SendMessageBatch", {"QueueUrl": "q.fifo", "Entries": [entry]})
    assert batch_answer.headers["x-amzn-query-error"] == "InvalidParameterValue;Sender"
    assert batch_answer.document["message"] == text


def test_a_queue_made_fifo_stays_fifo(sqs: Any, post: Callable[..., Any]) -> None:
    sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})
    assert post("SetQueueAttributes", {"QueueUrl": "q.fifo", "Attributes": {"FifoQueue": "true"}}).status == 200
    answer = post("SetQueueAttributes", {"QueueUrl": "q.fifo", "Attributes": {"FifoQueue": "false"}})
    assert answer.document["message"] == (
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
    )


def test_an_unknown_action_is_refused_by_name(post: Callable[..., Any]) -> None:
    answer = post("Dance", {})
    assert answer.status == 400
    assert answer.headers["x-amzn-query-error"] == "InvalidAction;Sender"
    assert answer.document == {
        "__type": "com.amazon.coral.service#UnknownOperationException",
        "message": "The action Dance is not valid for this endpoint.",
    }


def test_there_is_no_checksum_header(post: Callable[..., Any]) -> None:
    assert "x-amz-crc32" not in post("ListQueues", {}).headers


def test_an_action_without_result_answers_an_empty_body(post: Callable[..., Any], queue_url: str) -> None:
    answer = post("PurgeQueue", {"QueueUrl": queue_url})
    assert (answer.status, answer.text) == (200, "")


def test_the_path_of_a_queue_is_as_good_as_the_root(post: Callable[..., Any], queue_url: str) -> None:
    sent = post("SendMessage", {"QueueUrl": queue_url, "MessageBody": "x"}, path="/000000000000/orders")
    assert sent.status == 200


def test_a_batch_answers_with_both_lists(post: Callable[..., Any], queue_url: str) -> None:
    answer = post("SendMessageBatch", {"QueueUrl": queue_url, "Entries": [{"Id": "a", "MessageBody": "\x01"}]})
    assert answer.document["Successful"] == []
    assert answer.document["Failed"][0]["Code"] == "InvalidMessageContents"


def test_a_trace_header_of_the_request_becomes_the_messages(post: Callable[..., Any], sqs: Any, queue_url: str) -> None:
    post("SendMessage", {"QueueUrl": queue_url, "MessageBody": "x"}, **{"X-Amzn-Trace-Id": "Root=1-2-3"})
    [message] = sqs.receive_message(QueueUrl=queue_url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1-2-3"
