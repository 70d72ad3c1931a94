"""Queue attributes, sizes and names, as SDKs and scripts meet them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

ARN = "arn:aws:sqs:us-east-1:000000000000"
ENCRYPTION = ["KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"]


def attributes(sqs: Any, url: str, *names: str) -> dict[str, str]:
    return dict(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names).get("Attributes", {}))


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error: Any = caught.value
    return error.response["Error"]["Code"], error.response["Error"]["Message"]


def test_true_and_false_come_back_in_small_letters(sqs: Any) -> None:
    given = {"FifoQueue": "True", "ContentBasedDeduplication": "TRUE", "SqsManagedSseEnabled": "False"}
    url = sqs.create_queue(QueueName="q.fifo", Attributes=given)["QueueUrl"]
    assert attributes(sqs, url, *given) == {name: text.lower() for name, text in given.items()}


def test_nothing_is_told_unless_asked_for_and_nothing_that_is_not_set(sqs: Any, queue_url: str) -> None:
    assert attributes(sqs, queue_url) == {}
    assert attributes(sqs, queue_url, "Policy", "RedrivePolicy", "RedriveAllowPolicy", *ENCRYPTION, "FifoQueue") == {
        "SqsManagedSseEnabled": "true"
    }


def test_one_kind_of_encryption_puts_the_other_out(sqs: Any, queue_url: str) -> None:
    def change(**given: str) -> dict[str, str]:
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes=given)
        return attributes(sqs, queue_url, *ENCRYPTION)

    kms = {"KmsMasterKeyId": "alias/key", "KmsDataKeyReusePeriodSeconds": "6000"}
    assert change(**kms) == {**kms, "SqsManagedSseEnabled": "false"}
    assert change(KmsMasterKeyId="", KmsDataKeyReusePeriodSeconds="300") == {"SqsManagedSseEnabled": "false"}
    change(**kms)
    assert change(SqsManagedSseEnabled="true") == {"SqsManagedSseEnabled": "true"}
    code, _ = refusal(change, KmsMasterKeyId="k", SqsManagedSseEnabled="true")
    assert code == "InvalidAttributeName"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FifoQueue", "Unknown Attribute FifoQueue."),
        ("ContentBasedDeduplication", "Unknown Attribute ContentBasedDeduplication."),
        ("DeduplicationScope", "You can specify the DeduplicationScope only when FifoQueue is set to true."),
        ("FifoThroughputLimit", "You can specify the FifoThroughputLimit only when FifoQueue is set to true."),
        ("QueueArn", "Unknown Attribute QueueArn."),
    ],
)
def test_a_standard_queue_has_nothing_of_a_fifo_queue(sqs: Any, queue_url: str, name: str, text: str) -> None:
    change = {"QueueUrl": queue_url, "Attributes": {name: "true"}}
    assert refusal(sqs.set_queue_attributes, **change) == ("InvalidAttributeName", text)


def test_a_limit_for_each_group_needs_deduplication_in_each_group(sqs: Any) -> None:
    fifo = {"FifoQueue": "true"}
    url = sqs.create_queue(QueueName="q.fifo", Attributes=fifo)["QueueUrl"]
    fast = {"FifoThroughputLimit": "perMessageGroupId"}
    assert refusal(sqs.set_queue_attributes, QueueUrl=url, Attributes=fast)[0] == "InvalidAttributeValue"
    both = {**fast, "DeduplicationScope": "messageGroup"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=both)
    assert attributes(sqs, url, *both) == both


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("garbage", "Redrive policy is not a valid JSON map."),
        ({"maxReceiveCount": "42"}, "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."),
        (
            {"deadLetterTargetArn": f"{ARN}:dead"},
            "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
        ),
        ({"deadLetterTargetArn": f"{ARN}:dead", "maxReceiveCount": "fail"}, "Invalid value for maxReceiveCount."),
        ({"deadLetterTargetArn": "dead", "maxReceiveCount": 1}, "Invalid value for deadLetterTargetArn."),
        *(
            (
                {"deadLetterTargetArn": f"{ARN}:dead", "maxReceiveCount": count},
                f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive.",
            )
            for count in (0, 1001)
        ),
        ({"deadLetterTargetArn": f"{ARN}:nobody", "maxReceiveCount": 1}, "Dead letter target does not exist."),
    ],
)
def test_a_redrive_policy_that_leads_nowhere_is_refused(sqs: Any, queue_url: str, policy: Any, reason: str) -> None:
    sqs.create_queue(QueueName="dead")
    text = policy if isinstance(policy, str) else json.dumps(policy, separators=(",", ":"))
    change = {"QueueUrl": queue_url, "Attributes": {"RedrivePolicy": text}}
    said = f"Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}"
    assert refusal(sqs.set_queue_attributes, **change) == ("InvalidParameterValue", said)
    assert attributes(sqs, queue_url, "RedrivePolicy") == {}


def test_a_redrive_policy_comes_back_in_one_form_and_goes_when_it_is_empty(sqs: Any, queue_url: str) -> None:
    given = json.dumps({"maxReceiveCount": "3", "deadLetterTargetArn": f"{ARN}:orders"}, indent=2)
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": given})
    canonical = f'{{"deadLetterTargetArn":"{ARN}:orders","maxReceiveCount":3}}'
    assert attributes(sqs, queue_url, "RedrivePolicy") == {"RedrivePolicy": canonical}
    assert sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": canonical})["QueueUrl"] == queue_url
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"RedrivePolicy": ""})
    assert attributes(sqs, queue_url, "RedrivePolicy") == {}


@pytest.mark.parametrize(
    "policy",
    [
        {"redrivePermission": "byQueue"},
        {"redrivePermission": "byQueue", "sourceQueueArns": []},
        {"redrivePermission": "allowAll", "sourceQueueArns": [f"{ARN}:a"]},
        {"redrivePermission": "byQueue", "sourceQueueArns": [f"{ARN}:{n}" for n in range(11)]},
        {"redrivePermission": "byQueue", "sourceQueueArns": ["a"]},
        {"redrivePermission": "maybe"},
        {},
    ],
)
def test_a_redrive_allow_policy_that_makes_no_sense_is_refused(sqs: Any, queue_url: str, policy: object) -> None:
    change = {"QueueUrl": queue_url, "Attributes": {"RedriveAllowPolicy": json.dumps(policy)}}
    assert refusal(sqs.set_queue_attributes, **change)[0] == "InvalidParameterValue"


def test_a_message_may_be_as_large_as_the_queue_says_with_all_that_counts(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="small", Attributes={"MaximumMessageSize": "1024"})["QueueUrl"]
    counted = {"née": {"DataType": "String.x", "StringValue": "äö"}}  # 4 + 8 + 4 bytes
    free = {"AWSTraceHeader": {"DataType": "String", "StringValue": "x" * 100}}
    whole = {"QueueUrl": url, "MessageAttributes": counted, "MessageSystemAttributes": free}
    sqs.send_message(MessageBody="x" * 1008, **whole)
    text = "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."
    assert refusal(sqs.send_message, MessageBody="x" * 1009, **whole) == ("InvalidParameterValue", text)


@pytest.mark.parametrize("values", [{"StringListValues": ["x"]}, {"BinaryListValues": [b"x"]}])
def test_lists_of_values_are_reserved(sqs: Any, queue_url: str, values: dict[str, Any]) -> None:
    given = {"x": {"DataType": "String", **values}}
    code, _ = refusal(sqs.send_message, QueueUrl=queue_url, MessageBody="x", MessageAttributes=given)
    assert code == "AWS.SimpleQueueService.UnsupportedOperation"


@pytest.mark.parametrize("name", ["aws.x", "Amazon.x", ".x", "x.", "x..y", "a b", "x" * 257, "x:y"])
def test_a_name_of_a_message_attribute_that_breaks_the_rules_is_refused(sqs: Any, queue_url: str, name: str) -> None:
    given = {name: {"DataType": "String", "StringValue": "x"}}
    code, _ = refusal(sqs.send_message, QueueUrl=queue_url, MessageBody="x", MessageAttributes=given)
    assert code == "InvalidParameterValue"


def test_a_receipt_of_another_queue_is_refused_by_name(sqs: Any, queue_url: str) -> None:
    other = sqs.create_queue(QueueName="other")["QueueUrl"]
    sqs.send_message(QueueUrl=other, MessageBody="x")
    [message] = sqs.receive_message(QueueUrl=other)["Messages"]
    receipt = message["ReceiptHandle"]
    said = f'The receipt handle "{receipt}" is not valid for this queue.'
    assert refusal(sqs.delete_message, QueueUrl=queue_url, ReceiptHandle=receipt) == ("ReceiptHandleIsInvalid", said)
    entries = [{"Id": "1", "ReceiptHandle": receipt}]
    [failed] = sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)["Failed"]
    assert failed == {"Id": "1", "SenderFault": True, "Code": "ReceiptHandleIsInvalid", "Message": said}


@pytest.mark.parametrize(
    "form",
    [
        "orders",
        "/000000000000/orders",
        "https://sqs.us-east-1.amazonaws.com/000000000000/orders",
        "https://queue.amazonaws.com/000000000000/orders",
        "https://us-east-1.queue.amazonaws.com/000000000000/orders",
        "http://sqs:9324/000000000000/orders",
    ],
)
@pytest.mark.usefixtures("queue_url")
def test_every_form_of_a_queue_url_leads_to_the_queue(post: Callable[..., Any], form: str) -> None:
    answer = post("GetQueueAttributes", {"QueueUrl": form, "AttributeNames": ["QueueArn"]})
    assert answer.document == {"Attributes": {"QueueArn": f"{ARN}:orders"}}


@pytest.mark.parametrize("form", ["", "https://queue.amazonaws.com/", "http://localhost/orders", "Orders", "://", "/"])
@pytest.mark.usefixtures("queue_url")
def test_what_leads_to_no_queue_is_a_queue_that_does_not_exist(post: Callable[..., Any], form: str) -> None:
    answer = post("GetQueueAttributes", {"QueueUrl": form})
    assert answer.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
