"""A line for every request that a person can read, and no request can forge."""

from __future__ import annotations

import re
from io import StringIO

import pytest

from busframe_emulator.server.access_log import AccessLog
from busframe_emulator.server.request import TARGET, Request
from busframe_emulator.wire.message import Response

OK = Response(200, b"application/json", b"{}")


def line(method: bytes, url: bytes, body: bytes = b"", target: bytes = b"", response: Response = OK) -> list[str]:
    """The words of the line for a request, after the time."""
    request = Request()
    request.method, request.url, request.body = method, url, body
    if target:
        request.headers[TARGET] = target
    printed = StringIO()
    log = AccessLog(printed)
    log.begin(request)
    log.end(request, response)
    text = printed.getvalue()
    assert text.count("\n") == 1
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", text.split()[0])
    return text.split()[1:]


@pytest.mark.parametrize(
    ("body", "queue"),
    [
        (b'{"QueueUrl":"http://x/000000000000/orders","MessageBody":"x"}', "orders"),
        (b'{"QueueName":"orders"}', "orders"),
        (b'{"QueueUrl":"http://x/000000000000/a\\u001b[31m\\nb"}', "a?[31m?b"),
    ],
)
def test_json_is_shown_by_action_and_queue(body: bytes, queue: str) -> None:
    action, shown, status, spent, unit = line(b"POST", b"/", body, b"AmazonSQS.SendMessage")
    assert (action, shown, status, unit) == ("SendMessage", queue, "200", "ms")
    assert float(spent) >= 0


def test_a_body_that_cannot_be_read_is_shown_without_a_queue() -> None:
    assert line(b"POST", b"/", b'{"QueueUrl":1}', b"AmazonSQS.SendMessage")[:2] == ["SendMessage", "200"]


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (b"/", b"Action=SendMessage&QueueUrl=http%3A%2F%2Fx%2F000000000000%2Forders&MessageBody=x"),
        (b"/000000000000/orders", b"Action=SendMessage&MessageBody=x"),
        (b"/000000000000/orders?Action=SendMessage&MessageBody=x", b""),
    ],
)
def test_the_query_protocol_is_shown_alike(url: bytes, body: bytes) -> None:
    assert line(b"POST", url, body)[:3] == ["SendMessage", "orders", "200"]


def test_what_is_not_sqs_is_shown_by_method_and_path() -> None:
    assert line(b"GET", b"/_busframe/queues?x=secret")[:3] == ["GET", "/_busframe/queues", "200"]


@pytest.mark.parametrize(
    "refusal",
    [
        Response(400, b"", b"{}", b"x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n"),
        Response(400, b"text/xml", b"<Error><Code>AWS.SimpleQueueService.NonExistentQueue</Code></Error>"),
    ],
)
def test_a_refusal_says_why(refusal: Response) -> None:
    words = line(b"POST", b"/", b"{}", b"AmazonSQS.GetQueueUrl", refusal)
    assert words[1] == "400"
    assert words[-1] == "AWS.SimpleQueueService.NonExistentQueue"
