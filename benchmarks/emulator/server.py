"""A server in a process of its own, and the plainest of clients for it.

The client is a blocking socket with requests made beforehand: what is measured is the server and not the client, which
is the same for all.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

START_S_MAX = 30
PINNED = shutil.which("taskset") is not None and len(os.sched_getaffinity(0)) > 1
"""Whether server and load get a core each."""

BUSFRAME = [sys.executable, "-m", "busframe_emulator", "--port"]
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def on_core(number: int) -> list[str]:
    """What comes before a command that is to keep to a core."""
    core = sorted(os.sched_getaffinity(0))[number] if PINNED else 0
    return ["taskset", "-c", str(core)] if PINNED else []


def request(action: str, given: dict[str, object]) -> bytes:
    """The bytes of a request."""
    body = json.dumps(given, separators=(",", ":")).encode()
    scope = "Credential=AKIDEXAMPLE/20261121/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
    head = (
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"X-Amz-Target: AmazonSQS.{action}\r\nAuthorization: AWS4-HMAC-SHA256 {scope}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """A connection. Not more than one answer may be under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, action: str, given: dict[str, object]) -> dict[str, Any]:
        self.socket.sendall(request(action, given))
        answer: dict[str, Any] = json.loads(self.answer() or b"{}")
        return answer

    def answer(self) -> bytes:
        """The body of the next answer, once it is whole."""
        data = self.socket.recv(1_048_576)
        while True:
            head, separator, body = data.partition(b"\r\n\r\n")
            if separator:
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                if len(body) >= length:
                    assert head[9:12] == b"200", data
                    return body
            more = self.socket.recv(1_048_576)
            if not more:
                raise ConnectionError(data)
            data += more

    def queue(self, name: str, **attributes: str) -> str:
        """Make a queue; its URL."""
        return str(self.call("CreateQueue", {"QueueName": name, "Attributes": attributes})["QueueUrl"])

    def close(self) -> None:
        self.socket.close()


class Server:
    """A server that runs inside a `with`, and one connection to it.

    Args:
        command: that takes a port as one more argument.
        pinned: whether it has to keep to one core.

    Attributes:
        started_s: from the start of the process to the first answer.
    """

    def __init__(self, command: list[str], *, pinned: bool = True) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [*(on_core(0) if pinned else []), *command, str(self.port)], stdout=subprocess.DEVNULL
        )
        self.client = self._first_answer(began)
        self.started_s = time.perf_counter() - began

    def _first_answer(self, began: float) -> Client:
        while True:
            try:
                client = Client(self.port)
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - began > START_S_MAX:
                    raise
                time.sleep(0.001)
            else:
                client.call("ListQueues", {})
                return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def resident_bytes(self) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024

    def cpu_s(self) -> float:
        """Processor time so far, in steps of about 10 ms."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS
