"""What one client can make the server hold, or do, is bounded."""

from __future__ import annotations

import json
from random import Random  # noqa: TID251 - seeded, and the seed stands in the failure
from typing import TYPE_CHECKING, Any

import pytest
from emulator_fuzz.wire import Line

from busframe_emulator.api.caller import Caller
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.server.connection import BACKLOG_BYTES_MAX, BODY_BYTES_MAX
from busframe_emulator.server.rendering import Renderer
from busframe_emulator.wire.identity import Callers
from busframe_emulator.wire.message import Response
from busframe_emulator.wire.verified import Key, Keys, VerifiedCallers

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator_fuzz.conftest import Watched

CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.ListQueues\r\nTransfer-Encoding: chunked\r\n\r\n"
MEGABYTE = b"x" * 1_048_576


def request(action: str, body: bytes) -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.{action}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def is_refused(line: Line, status: int) -> bool:
    """Whether the answer is this one, and then nothing more: its rest may be lost if the server left first."""
    answer = line.read()
    return answer is None or (answer.status == status and line.read() is None)


@pytest.mark.parametrize("mode", ["plain", "keys"])
@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n" * 10_000),
        (b"POST / HTTP/1.1\r\nHost: x\r\nX-A: ", b"a" * 100_000),
        (b"POST /", b"a" * 100_000),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: b\r\n" * 10_000),
        (CHUNKED + b"2\r\n{}\r\n0\r\nX-A: ", b"a" * 100_000),
        (CHUNKED + b"2;", b"a" * 100_000),
    ],
    ids=["headers", "header", "url", "trailers", "trailer", "chunk extension"],
)
def test_what_never_ends_is_refused(watch: Callable[[str], Any], mode: str, begin: bytes, more: bytes) -> None:
    with watch(mode) as watched:
        line = Line(watched.port)
        line.send(begin)
        for _ in range(1_000):
            if not line.send(more):
                break
        else:
            pytest.fail("100 MB were taken")
        assert is_refused(line, 431)
        line.close()
        assert not watched.complaints


def test_a_body_in_the_smallest_chunks_is_no_flood(watch: Callable[[str], Any]) -> None:
    body = json.dumps({"QueueNamePrefix": "x" * 100_000}).encode()
    with watch("plain") as watched:
        line = Line(watched.port)
        line.send(CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        answer = line.read()
        line.close()
    assert answer is not None
    assert answer.status == 200


def test_a_body_that_grows_beyond_its_bound_is_refused(watch: Callable[[str], Any]) -> None:
    with watch("plain") as watched:
        line = Line(watched.port)
        line.send(CHUNKED)
        for _ in range(BODY_BYTES_MAX // len(MEGABYTE) + 1):
            line.send(b"%x\r\n%b\r\n" % (len(MEGABYTE), MEGABYTE))
        assert is_refused(line, 413)
        line.close()


def test_what_is_sent_behind_a_long_poll_is_left_in_the_socket_when_it_is_too_much(
    watch: Callable[[str], Any],
) -> None:
    with watch("plain") as watched:
        line = Line(watched.port)
        line.send(request("CreateQueue", b'{"QueueName":"a"}'))
        assert line.read() is not None
        line.send(request("ReceiveMessage", b'{"QueueUrl":"a","WaitTimeSeconds":20}'))
        big = request("SendMessage", json.dumps({"QueueUrl": "a", "MessageBody": MEGABYTE.decode()}).encode())
        line.socket.setblocking(False)  # noqa: FBT003 - its own way to say it
        sent = 0
        while (sent := sent + _send_now(line, big[sent % len(big) :])) < 100 * len(big):
            if not line.is_writable(SETTLED_S):
                break
        assert sent < 10 * BACKLOG_BYTES_MAX
        line.close()


SETTLED_S = 0.3
"""When nothing more can be sent for so long, the server does not read."""


def _send_now(line: Line, data: bytes) -> int:
    try:
        return line.socket.send(data)
    except BlockingIOError:
        return 0


def test_half_open_connections_are_forgotten(watch: Callable[[str], Any]) -> None:
    with watch("plain") as watched:
        lines = [Line(watched.port) for _ in range(50)]
        for number, line in enumerate(lines):
            line.send(request("ListQueues", b"{}")[: number * 2])
            line.end()
        for line in lines:
            answer = line.read()
            assert answer is None or answer.status in {200, 400}
            line.close()
        assert _none_is_left(watched)


def _none_is_left(watched: Watched) -> bool:
    watched.server.advance(0)  # comes behind what the loop has to do already
    return watched.connections() == 0


def test_long_queue_urls_and_long_headers_are_not_remembered() -> None:
    caller = Caller(region="r", account="1", base_url="")
    assert caller.address(f"http://x/1/{'n' * 10_000}").name == "n" * 10_000
    assert not caller._addresses  # pyright: ignore[reportPrivateUsage]
    callers = Callers()
    callers.find(b"", b"h" * 10_000)
    callers.find(b"x" * 10_000, b"h")
    assert not callers._seen  # pyright: ignore[reportPrivateUsage]


def test_answers_that_repeat_what_was_sent_are_not_remembered_for_ever() -> None:
    renderer = Renderer(0)
    for number in range(3_000):
        renderer.render(Response(200, b"text/plain", b"", b"Access-Control-Allow-Origin: http://%d\r\n" % number))
    assert len(renderer._heads) <= 1_000  # pyright: ignore[reportPrivateUsage]


def test_a_receive_that_asks_for_a_hundred_thousand_attributes_is_answered(watch: Callable[[str], Any]) -> None:
    names = [f"{number}.*" for number in range(100_000)]
    with watch("plain") as watched:
        line = Line(watched.port)
        line.send(request("CreateQueue", b'{"QueueName":"a"}'))
        attributes = {str(number): {"DataType": "String", "StringValue": "x"} for number in range(10)}
        entries = [{"Id": str(number), "MessageBody": "x", "MessageAttributes": attributes} for number in range(10)]
        line.send(request("SendMessageBatch", json.dumps({"QueueUrl": "a", "Entries": entries}).encode()))
        asked = {"QueueUrl": "a", "MaxNumberOfMessages": 10, "MessageAttributeNames": names}
        line.send(request("ReceiveMessage", json.dumps(asked).encode()))
        answers = [line.read() for _ in range(3)]
        line.close()
    assert answers[2] is not None
    messages = json.loads(answers[2].body)["Messages"]
    assert [len(message["MessageAttributes"]) for message in messages] == [10] * 10


PARTS = {
    "algorithm": ("AWS4-HMAC-SHA256", "AWS4-ECDSA", "", "Bearer"),
    "credential": ("AKID/20260101/us-east-1/sqs/aws4_request", "AKID/x/y/z/w", "AKID", "", "é/1/2/3/4", "////"),
    "headers": ("host", "host;x-amz-date", "", ";;;", "é", "content-type;host"),
    "signature": ("0" * 64, "", "x" * 1000, "é"),
    "date": (
        "20260101T000000Z",
        "00000101T000000Z",
        "99991231T235959Z",
        "20261399T000000Z",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "Thu, 01 Jan 0001 00:00:00 +2359",
        "Thu, 01 Jan 2026 00:00:00 -0000",
        "x" * 1000,
        "\u0662\u0660\u0662\u0666\u0660\u0661\u0660\u0661T000000Z",
        "",
    ),
    "token": ("", "ticket", "\xff"),
}


@pytest.mark.parametrize("presigned", [False, True])
def test_no_signature_is_so_odd_that_it_breaks_the_one_who_checks_it(presigned: bool) -> None:  # noqa: FBT001
    keys = Keys(keys=[Key(access_key="AKID", secret="s", account="1" * 12)])  # noqa: S106 - nobody's
    callers = VerifiedCallers(keys, lambda: 1_767_225_600.0)
    chance = Random(0)  # noqa: S311 - no secret
    for number in range(5_000):
        part = {name: chance.choice(values) for name, values in PARTS.items()}
        headers = {b"host": chance.choice((b"x", b"", b"\xff")), b"x-amz-target": b"AmazonSQS.ListQueues"}
        url = "/"
        if presigned:
            names = ("Algorithm", "Credential", "SignedHeaders", "Signature", "Date", "Security-Token", "Expires")
            values = (*part.values(), chance.choice(("", "1", "604801", "x", "9" * 5000)))
            url = "/?" + "&".join(f"X-Amz-{name}={value}" for name, value in zip(names, values, strict=True))
        else:
            headers[b"authorization"] = (
                f"{part['algorithm']} Credential={part['credential']}, SignedHeaders={part['headers']}, "
                f"Signature={part['signature']}"
            ).encode()
            headers[b"x-amz-date"] = part["date"].encode()
            headers[b"x-amz-security-token"] = part["token"].encode("latin-1")
        try:
            callers.find(b"POST", url.encode(), headers, b"{}")
        except SqsError:
            continue
        pytest.fail(f"request {number} was let in: {url} {headers}")
