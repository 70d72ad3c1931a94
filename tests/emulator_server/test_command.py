"""The command line, as a program of its own, and the AWS CLI against it."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from busframe_emulator.server.command import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AWS = Path(sys.executable).with_name("aws")
COMMAND = [sys.executable, "-m", "busframe_emulator"]


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def environment(**more: str) -> dict[str, str]:
    source = Path(__file__).parents[2] / "emulator"
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")]), **more}


def exported(process: subprocess.Popen[str]) -> dict[str, str]:
    """The environment that the one printed line tells to set."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Listening on http://127.0.0.1:")
    return dict(pair.split("=", 1) for pair in line.partition("export ")[2].split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_stops_when_told(
    start: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = start("--port", "0")
    variables = exported(process)
    assert variables["AWS_ENDPOINT_URL_SQS"].startswith("http://127.0.0.1:")
    process.send_signal(number)
    assert process.wait(timeout=5) == 0
    assert process.communicate() == ("", "")


def test_it_stops_at_once_whoever_is_connected(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start("--port", "0")
    host, port = exported(process)["AWS_ENDPOINT_URL_SQS"].removeprefix("http://").split(":")
    idle, half, poll, lazy = (socket.create_connection((host, int(port)), timeout=10) for _ in range(4))
    half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    # One that asks for far more than the buffers between hold, and reads nothing of it.
    lazy.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n" * 5_000)
    for action, body in (
        ("CreateQueue", '{"QueueName":"q"}'),
        ("ReceiveMessage", '{"QueueUrl":"q","WaitTimeSeconds":20}'),
    ):
        head = f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.{action}\r\nContent-Length: {len(body)}\r\n\r\n"
        poll.sendall(f"{head}{body}".encode())
    assert b"QueueUrl" in poll.recv(10_000)
    process.send_signal(signal.SIGINT)
    assert poll.recv(10_000).endswith(b"\r\n\r\n{}")
    assert process.wait(timeout=5) == 0
    assert process.communicate() == ("", "")
    for connection in (idle, half, poll, lazy):
        connection.close()


def test_with_keys_of_its_own_it_suggests_no_other(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text('[keys.AKID]\nsecret = "s"\naccount = "111111111111"\n')
    process = start("--port", "0", "--auth", str(keys))
    assert process.stdout is not None
    line = process.stdout.readline()
    assert f"Access keys: those in {keys}." in line
    assert "AWS_ACCESS_KEY_ID" not in line


def test_a_port_in_use_is_said_in_one_line(start: Callable[..., subprocess.Popen[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("--port", str(port))
        _, complaint = process.communicate(timeout=20)
    assert process.returncode == 1
    reason = f"{os.strerror(errno.EADDRINUSE)} (--port 0 takes a free one)"
    assert complaint == f"busframe emulator: cannot listen on 127.0.0.1:{port}: {reason}\n"


def test_the_log_has_a_line_for_every_request(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start("--port", "0", "--log")
    url = exported(process)["AWS_ENDPOINT_URL_SQS"]
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        line.recv(1000)
    assert process.stdout is not None
    _, *words = process.stdout.readline().split()
    assert words[:3] == ["GET", "/health", "200"]


@pytest.mark.skipif(not AWS.exists(), reason="awscli is not installed here")
def test_the_aws_cli_creates_sends_receives_and_deletes(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start("--port", "0", "--account", "123456789012")
    variables = exported(process)
    endpoint = variables["AWS_ENDPOINT_URL_SQS"]

    def aws(*arguments: str) -> Any:
        answer = subprocess.run(
            [str(AWS), "--endpoint-url", endpoint, "--output", "json", "sqs", *arguments],
            check=True,
            capture_output=True,
            text=True,
            env=environment(**variables, AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull),
        )
        return json.loads(answer.stdout) if answer.stdout else None

    url = aws("create-queue", "--queue-name", "orders")["QueueUrl"]
    assert url == f"{endpoint}/123456789012/orders"
    sent = aws("send-message", "--queue-url", url, "--message-body", "héllo")
    assert sent["MD5OfMessageBody"] == "be50e8478cf24ff3595bc7307fb91b50"
    [message] = aws("receive-message", "--queue-url", url, "--wait-time-seconds", "20")["Messages"]
    assert message["MessageId"] == sent["MessageId"]
    assert aws("delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"]) is None
    assert aws("receive-message", "--queue-url", url) is None


def test_a_limit_on_the_command_line_wins_over_one_in_the_file(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    file = tmp_path / "queues.toml"
    file.write_text('[limits]\nin_flight_max = 5\npurge_interval_s = 0\n[[queue]]\nname = "orders"\n')
    process = start("--port", "0", "--config", str(file), "--limit", "in_flight_max=1")
    untyped: Any = boto3
    sqs = untyped.client(
        "sqs",
        endpoint_url=exported(process)["AWS_ENDPOINT_URL_SQS"],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",  # noqa: S106 - nobody's
    )
    url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
    sqs.purge_queue(QueueUrl=url)
    sqs.purge_queue(QueueUrl=url)
    for body in "ab":
        sqs.send_message(QueueUrl=url, MessageBody=body)
    assert len(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 1
    with pytest.raises(sqs.exceptions.OverLimit):
        sqs.receive_message(QueueUrl=url)


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_a_port_that_is_none_is_refused_by_name(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([f"--port={port}"])
    assert f"'{port}' is not a port: 0 to 65535" in capsys.readouterr().err


def test_without_its_extra_it_names_it() -> None:
    program = (
        "import sys; sys.modules['httptools'] = None; from busframe_emulator.__main__ import main; sys.exit(main([]))"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    needs = "busframe emulator needs the package 'httptools': pip install 'busframe[emulator]'\n"
    assert (ended.returncode, ended.stderr) == (1, needs)


@pytest.mark.parametrize(("option", "text"), [("--account=12", "twelve digits"), ("--region=", "a region has")])
def test_a_place_that_is_none_is_refused_by_name(option: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([option, "--port=0"]) == 1
    assert text in capsys.readouterr().err
