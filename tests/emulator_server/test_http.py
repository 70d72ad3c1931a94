"""HTTP as hostile, hurried and old-fashioned clients speak it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from busframe_emulator.server.connection import BODY_BYTES_MAX, HEAD_BYTES_MAX, IDLE_SWEEPS_MAX, REQUEST_SWEEPS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from busframe_emulator.server.thread import ThreadedServer


class Line:
    """A bare TCP connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._read = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """Read one response: its status and its body."""
        status = int(self._read.readline().split()[1])
        length = 0
        while (line := self._read.readline().strip()) != b"":
            name, _, value = line.partition(b": ")
            if name.lower() == b"content-length":
                length = int(value)
        return status, self._read.read(length)

    def is_closed(self) -> bool:
        try:
            return self._read.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._read.close()
        self.socket.close()


@pytest.fixture
def line(server: ThreadedServer) -> Iterator[Line]:
    opened = Line(server.port)
    yield opened
    opened.close()


def request(action: str, body: str | bytes, *head: str) -> bytes:
    raw = body if isinstance(body, bytes) else body.encode()
    lines = ["POST / HTTP/1.1", "Host: here:1", f"X-Amz-Target: AmazonSQS.{action}", *head]
    return "\r\n".join([*lines, f"Content-Length: {len(raw)}", "", ""]).encode() + raw


def sweep(server: ThreadedServer, times: int) -> None:
    """Let the time of so many sweeps pass for the connections."""
    for _ in range(times):
        for connection in list(server._server._shared.connections):  # pyright: ignore[reportPrivateUsage]
            server._loop.call_soon_threadsafe(connection.sweep)  # pyright: ignore[reportPrivateUsage]
    server.advance(0)


# --- the ordinary ---------------------------------------------------------------------------------------------------


def test_one_connection_carries_many_requests(line: Line) -> None:
    for name in ("a", "b"):
        line.send(request("CreateQueue", f'{{"QueueName":"{name}"}}'))
        assert line.read() == (200, f'{{"QueueUrl":"http://here:1/000000000000/{name}"}}'.encode())


def test_get_and_head_of_the_root_say_what_this_is(line: Line) -> None:
    line.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    status, body = line.read()
    assert status == 200
    assert b"SQS" in body
    line.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    head = line.socket.recv(1000)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")


def test_health_is_told(line: Line) -> None:
    line.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert line.read() == (200, b'{"status":"ok"}')


@pytest.mark.parametrize(("start", "status"), [("GET /nothing", 404), ("PUT /", 405), ("DELETE /", 405)])
def test_what_is_not_there_is_said_not_to_be_there(line: Line, start: str, status: int) -> None:
    line.send(f"{start} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert line.read()[0] == status


def test_a_client_that_asks_first_is_told_to_go_on(line: Line) -> None:
    whole = request("CreateQueue", '{"QueueName":"a"}', "Expect: 100-continue")
    head, _, body = whole.partition(b"\r\n\r\n")
    line.send(head + b"\r\n\r\n")
    assert line.read() == (100, b"")
    line.send(body)
    assert line.read()[0] == 200


def test_a_body_in_chunks_is_read(line: Line) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.CreateQueue\r\nTransfer-Encoding: chunked\r\n\r\n"
    line.send(head + b'5\r\n{"Que\r\n5\r\nueNam\r\n8\r\ne":"abc"\r\n1\r\n}\r\n0\r\n\r\n')
    assert line.read()[0] == 200


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1\r\nConnection: close"])
def test_a_connection_for_one_request_is_closed_after_it(line: Line, version: str) -> None:
    line.send(f"GET /health {version}\r\nHost: x\r\n\r\n".encode())
    assert line.read()[0] == 200
    assert line.is_closed()


def test_a_request_byte_by_byte_is_a_request(line: Line) -> None:
    for byte in request("CreateQueue", '{"QueueName":"a"}'):
        line.send(bytes([byte]))
    assert line.read()[0] == 200


# --- pipelining -----------------------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(line: Line) -> None:
    names = [f"q{n}" for n in range(200)]
    line.send(b"".join(request("CreateQueue", f'{{"QueueName":"{name}"}}') for name in names))
    for name in names:
        assert line.read()[1].endswith(f'{name}"}}'.encode())


def test_requests_behind_a_long_poll_wait_for_it(line: Line, sqs: Any, queue_url: str, server: ThreadedServer) -> None:
    poll = request("ReceiveMessage", f'{{"QueueUrl":"{queue_url}","WaitTimeSeconds":20}}')
    more = b"".join(request("ListQueues", "{}") for _ in range(100))
    line.send(poll + more + poll)
    sqs.send_message(QueueUrl=queue_url, MessageBody="x")
    assert b'"Body":"x"' in line.read()[1]
    for _ in range(100):
        assert b"QueueUrls" in line.read()[1]
    server.advance(20)
    assert line.read() == (200, b"{}")


def test_a_client_that_does_not_read_gets_everything_in_the_end(line: Line, sqs: Any, queue_url: str) -> None:
    body = "x" * 1_000_000
    sqs.send_message(QueueUrl=queue_url, MessageBody=body)
    ask = request("ReceiveMessage", f'{{"QueueUrl":"{queue_url}","VisibilityTimeout":0}}')
    line.send(ask * 20)
    for _ in range(20):
        assert body.encode() in line.read()[1]


# --- the hostile ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(line: Line, data: bytes) -> None:
    line.send(data)
    assert line.read()[0] == 400
    assert line.is_closed()


def test_a_head_without_end_is_cut_off(line: Line) -> None:
    line.send(b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * (4 * HEAD_BYTES_MAX))
    assert line.read()[0] == 431


def test_a_large_head_is_fine_when_it_is_not_too_large(line: Line) -> None:
    line.send(request("CreateQueue", '{"QueueName":"a"}', "X-Long: " + "x" * (HEAD_BYTES_MAX // 2)))
    assert line.read()[0] == 200


def test_a_body_too_large_is_refused_by_its_length(line: Line) -> None:
    line.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES_MAX + 1}\r\n\r\n".encode())
    assert line.read()[0] == 413


def test_a_body_too_large_is_refused_in_chunks_too(line: Line) -> None:
    line.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as it happens
        line.send(chunk * (BODY_BYTES_MAX // 65_536 * 4))


def test_a_client_that_asks_to_upgrade_is_answered_first(line: Line) -> None:
    line.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert line.read()[0] == 200


def test_a_slow_sender_is_told_and_left(line: Line, server: ThreadedServer) -> None:
    line.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\nhalf")
    assert line.read()[0] == 100
    sweep(server, REQUEST_SWEEPS_MAX)
    assert line.read()[0] == 408
    assert line.is_closed()


def test_an_idle_connection_is_left_without_a_word(line: Line, server: ThreadedServer) -> None:
    line.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    line.read()
    sweep(server, IDLE_SWEEPS_MAX - 1)
    line.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert line.read()[0] == 200
    sweep(server, IDLE_SWEEPS_MAX)
    assert line.is_closed()


def test_a_connection_half_open_harms_nobody(line: Line, sqs: Any) -> None:
    line.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
    line.socket.shutdown(socket.SHUT_WR)
    assert "QueueUrls" not in sqs.list_queues()
    assert line.is_closed()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}garbage",
        b"\xff\xfe",
        b'{"QueueUrl":"\xff"}',
        b'{"QueueUrl":"\\ud800"}',
        b'{"QueueUrl":5}',
        b'{"QueueUrl":{"a":1}}',
        b'{"QueueUrl":"orders","MessageBody":["x"]}',
        b'{"QueueUrl":"orders","MessageBody":"x","DelaySeconds":"5"}',
        b'{"QueueUrl":"orders","MessageBody":"x","DelaySeconds":1.5}',
        b'{"QueueUrl":"orders","MessageBody":"x","DelaySeconds":true}',
        b'{"QueueUrl":"orders","MessageBody":"x","DelaySeconds":1e999}',
        b'{"QueueUrl":"orders","MessageBody":"x","DelaySeconds":' + b"9" * 10_000 + b"}",
        b'{"QueueUrl":"orders","MessageBody":"x","MessageAttributes":{"a":null}}',
        b'{"QueueUrl":"orders","MessageBody":"x","MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"!"}}}',
        b'{"QueueUrl":"orders","MessageBody":"x","MessageAttributes":[]}',
        b"[" * 100_000,
        b'{"Unknown":' + b"[" * 100_000,
        b'{"MessageAttributes":' + b'{"a":' * 100_000,
    ],
)
@pytest.mark.usefixtures("queue_url")
def test_a_bad_body_is_the_senders_fault(post: Callable[..., Any], body: bytes) -> None:
    answer = post("SendMessage", body)
    assert answer.status == 400
    assert answer.headers["x-amzn-query-error"].endswith(";Sender")
    assert answer.document["__type"].startswith("com.amazon")


def test_a_member_nobody_knows_is_ignored(post: Callable[..., Any], queue_url: str) -> None:
    assert post("SendMessage", {"QueueUrl": queue_url, "MessageBody": "x", "Mood": {"a": [1]}}).status == 200
