"""Message move tasks over HTTP, in both protocols, and receives that are asked for again."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen
from xml.etree import ElementTree as ET

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.server.thread import ThreadedServer

ARN = "arn:aws:sqs:us-east-1:000000000000:"
DEAD = f"{ARN}dead"
FORMAT = "Value dead for parameter SourceArn is invalid. Reason: Must be arn:aws:sqs:region:account:queue."
RATE = (
    "Value 501 for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and 500, if provided."
)


def refusal(call: Callable[..., Any], **parameters: object) -> tuple[str, str, int]:
    """Code, text and status of the refusal."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error: Any = caught.value
    answer = error.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def dead_url(sqs: Any) -> str:
    """A dead-letter queue with one message that came from "orders"."""
    url = str(sqs.create_queue(QueueName="dead")["QueueUrl"])
    policy = json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 1})
    orders = sqs.create_queue(QueueName="orders", Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})
    sqs.send_message(QueueUrl=orders["QueueUrl"], MessageBody="a")
    sqs.receive_message(QueueUrl=orders["QueueUrl"])
    assert "Messages" not in sqs.receive_message(QueueUrl=orders["QueueUrl"])
    return url


def task_of(sqs: Any) -> Any:
    (task,) = sqs.list_message_move_tasks(SourceArn=DEAD)["Results"]
    return task


def test_a_task_moves_messages_back_and_says_so(sqs: Any, dead_url: str) -> None:
    handle = sqs.start_message_move_task(SourceArn=DEAD)["TaskHandle"]
    named = json.loads(b64decode(handle))
    assert list(named) == ["taskId", "sourceArn"]
    assert named["sourceArn"] == DEAD
    message = sqs.receive_message(QueueUrl="orders", WaitTimeSeconds=5)["Messages"][0]
    assert message["Body"] == "a"
    assert "Messages" not in sqs.receive_message(QueueUrl=dead_url)
    task = task_of(sqs)
    started = task.pop("StartedTimestamp")
    sent = sqs.send_message(QueueUrl="orders", MessageBody="b")
    assert sent["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert started > 1_600_000_000_000
    if task["Status"] == "COMPLETED":
        assert "TaskHandle" not in task
    assert (task["SourceArn"], task["ApproximateNumberOfMessagesMoved"]) == (DEAD, 1)
    assert task["ApproximateNumberOfMessagesToMove"] == 1
    assert {"DestinationArn", "MaxNumberOfMessagesPerSecond", "FailureReason"}.isdisjoint(task)


def test_a_running_task_shows_its_handle_and_can_be_cancelled(sqs: Any, dead_url: str) -> None:
    sqs.create_queue(QueueName="there")
    started = sqs.start_message_move_task(SourceArn=DEAD, DestinationArn=f"{ARN}there", MaxNumberOfMessagesPerSecond=1)
    task = task_of(sqs)
    assert (task["Status"], task["TaskHandle"]) == ("RUNNING", started["TaskHandle"])
    assert (task["DestinationArn"], task["MaxNumberOfMessagesPerSecond"]) == (f"{ARN}there", 1)
    cancelled = sqs.cancel_message_move_task(TaskHandle=started["TaskHandle"])
    assert cancelled["ApproximateNumberOfMessagesMoved"] == 0
    assert task_of(sqs)["Status"] == "CANCELLED"
    assert "TaskHandle" not in task_of(sqs)
    assert sqs.receive_message(QueueUrl=dead_url)["Messages"][0]["Body"] == "a"


def test_a_queue_without_tasks_has_an_empty_list(sqs: Any, dead_url: str) -> None:
    assert dead_url
    assert sqs.list_message_move_tasks(SourceArn=DEAD)["Results"] == []


def test_the_reason_of_a_failure_is_named(sqs: Any, dead_url: str) -> None:
    sqs.purge_queue(QueueUrl=dead_url)
    sqs.send_message(QueueUrl=dead_url, MessageBody="from nowhere")
    sqs.start_message_move_task(SourceArn=DEAD)
    while (task := task_of(sqs))["Status"] == "RUNNING":
        pass
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert "TaskHandle" not in task


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        (
            {"SourceArn": f"{ARN}orders"},
            "InvalidParameterValue",
            "Source queue must be configured as a Dead Letter Queue.",
        ),
        (
            {"SourceArn": f"{ARN}nowhere"},
            "ResourceNotFoundException",
            "The resource that you specified for the SourceArn parameter doesn't exist.",
        ),
        (
            {"SourceArn": "arn:aws:sqs:eu-west-1:000000000000:dead"},
            "ResourceNotFoundException",
            "The resource that you specified for the SourceArn parameter doesn't exist.",
        ),
        (
            {"SourceArn": DEAD, "DestinationArn": f"{ARN}nowhere"},
            "ResourceNotFoundException",
            "The resource that you specified for the DestinationArn parameter doesn't exist.",
        ),
        (
            {"SourceArn": "dead"},
            "InvalidParameterValue",
            FORMAT,
        ),
        (
            {"SourceArn": DEAD, "MaxNumberOfMessagesPerSecond": 501},
            "InvalidParameterValue",
            RATE,
        ),
    ],
)
def test_a_task_that_cannot_be_is_refused(
    sqs: Any, dead_url: str, parameters: dict[str, Any], code: str, text: str
) -> None:
    assert dead_url
    status = 404 if code == "ResourceNotFoundException" else 400
    assert refusal(sqs.start_message_move_task, **parameters) == (code, text, status)


def test_a_second_task_is_refused_while_the_first_runs(sqs: Any, dead_url: str) -> None:
    assert dead_url
    sqs.start_message_move_task(SourceArn=DEAD, MaxNumberOfMessagesPerSecond=1)
    text = "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
    assert refusal(sqs.start_message_move_task, SourceArn=DEAD) == ("InvalidParameterValue", text, 400)


@pytest.mark.parametrize("handle", ["x", "e30=", b64encode(b'{"taskId":1,"sourceArn":"x"}').decode(), "\xe4"])
def test_a_handle_that_is_none_is_refused(sqs: Any, handle: str) -> None:
    text = "Value for parameter TaskHandle is invalid."
    assert refusal(sqs.cancel_message_move_task, TaskHandle=handle) == ("InvalidParameterValue", text, 400)


def test_a_handle_of_no_task_is_refused(sqs: Any, dead_url: str) -> None:
    assert dead_url
    for name, text in (
        ("dead", "Task does not exist."),
        ("nowhere", "The resource that you specified for the SourceArn parameter doesn't exist."),
    ):
        handle = b64encode(json.dumps({"taskId": "x", "sourceArn": ARN + name}).encode()).decode()
        assert refusal(sqs.cancel_message_move_task, TaskHandle=handle) == ("ResourceNotFoundException", text, 404)


@pytest.mark.parametrize("number", [0, 11])
def test_at_most_ten_tasks_are_listed(sqs: Any, dead_url: str, number: int) -> None:
    assert dead_url
    code, text, _ = refusal(sqs.list_message_move_tasks, SourceArn=DEAD, MaxResults=number)
    assert code == "InvalidParameterValue"
    assert text.startswith(f"Value {number} for parameter MaxResults is invalid.")


def test_the_query_protocol_has_the_same_actions(server: ThreadedServer, dead_url: str) -> None:
    def ask(action: str, **parameters: str) -> ET.Element:
        query = urlencode({"Action": action, "Version": "2012-11-05", **parameters})
        with urlopen(f"{server.url}/?{query}") as answer:  # noqa: S310 - our own server
            root = ET.fromstring(answer.read())  # noqa: S314 - our own server
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    assert dead_url
    started = ask("StartMessageMoveTask", SourceArn=DEAD, MaxNumberOfMessagesPerSecond="1")
    handle = started.findtext("StartMessageMoveTaskResult/TaskHandle") or ""
    listed = ask("ListMessageMoveTasks", SourceArn=DEAD, MaxResults="10")
    entries = listed.findall("ListMessageMoveTasksResult/ListMessageMoveTasksResultEntry")
    assert [(entry.findtext("Status"), entry.findtext("TaskHandle")) for entry in entries] == [("RUNNING", handle)]
    cancelled = ask("CancelMessageMoveTask", TaskHandle=handle)
    assert cancelled.findtext("CancelMessageMoveTaskResult/ApproximateNumberOfMessagesMoved") == "0"


# --- ReceiveRequestAttemptId ----------------------------------------------------------------------------------------


def test_a_receive_with_the_same_attempt_id_brings_the_same_receipts(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"})[
        "QueueUrl"
    ]
    for body in ("a", "b"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    first = sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="x")["Messages"]
    assert [message["Body"] for message in first] == ["a"]
    assert sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="x")["Messages"] == first
    assert "Messages" not in sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="y")
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    second = sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="x")["Messages"]
    assert [message["Body"] for message in second] == ["b"]
