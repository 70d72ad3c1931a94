"""What the emulator weighs: start-up, memory, waiting receives, and whether a deep queue is slower than a shallow one.

python benchmarks/http/sizes.py [--messages 1000000]
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

BODY = "x" * 100
WAITERS = 1_000


class Server:
    """A server process of its own, and one connection to it."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        began = time.perf_counter()
        command = [sys.executable, "-m", "busframe_emulator", "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while True:
            try:
                self.connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
                self.call("ListQueues", {})
                break
            except OSError:
                time.sleep(0.001)
        self.started_s = time.perf_counter() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)

    def call(self, action: str, given: dict[str, object]) -> dict[str, Any]:
        self.connection.request("POST", "/", json.dumps(given), head(action))
        answer: dict[str, Any] = json.loads(self.connection.getresponse().read() or b"{}")
        return answer

    def queue(self, name: str) -> str:
        return str(self.call("CreateQueue", {"QueueName": name})["QueueUrl"])

    def resident_mb(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def head(action: str) -> dict[str, str]:
    return {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}


def fill(server: Server, url: str, count: int) -> None:
    entries = [{"Id": str(n), "MessageBody": BODY} for n in range(10)]
    for _ in range(count // 10):
        server.call("SendMessageBatch", {"QueueUrl": url, "Entries": entries})


def drain(server: Server, url: str, count: int) -> float:
    """Receive and delete in tens; messages a second."""
    began = time.perf_counter()
    for _ in range(count // 10):
        messages = server.call("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 10})["Messages"]
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        server.call("DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})
    return count / (time.perf_counter() - began)


def measure_waiting() -> None:
    with Server() as server:
        urls = [server.queue(f"q{n}") for n in range(WAITERS)]
        before_mb = server.resident_mb()
        waiting: list[socket.socket] = []
        for url in urls:
            body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode()
            lines = [f"{name}: {value}" for name, value in head("ReceiveMessage").items()]
            request = "\r\n".join(["POST / HTTP/1.1", "Host: x", *lines, f"Content-Length: {len(body)}", "", ""])
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(request.encode() + body)
            waiting.append(client)
        time.sleep(1)
        print(f"{WAITERS} waiting receives        {(server.resident_mb() - before_mb) * 1024 / WAITERS:8.1f} KiB each")
        took: list[float] = []
        for url, client in zip(urls[::2], waiting[::2], strict=True):
            began = time.perf_counter()
            server.call("SendMessage", {"QueueUrl": url, "MessageBody": BODY})
            client.recv(65536)
            took.append((time.perf_counter() - began) * 1000)
        took.sort()
        print(f"send to answered receive, p50 {took[len(took) // 2]:8.2f} ms, p99 {took[int(len(took) * 0.99)]:.2f} ms")
        for client in waiting:
            client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    options = parser.parse_args()
    starts: list[float] = []
    idle_mb = 0.0
    for _ in range(5):
        with Server() as server:
            starts.append(server.started_s * 1000)
            idle_mb = server.resident_mb()
    print(f"start to first answer         {statistics.median(starts):8.0f} ms, {idle_mb:.1f} MiB idle")
    measure_waiting()
    with Server() as server:
        shallow = server.queue("shallow")
        fill(server, shallow, 20_000)
        shallow_rate = drain(server, shallow, 20_000)
        deep = server.queue("deep")
        fill(server, deep, options.messages)
        print(f"{options.messages:,} messages of 100 bytes {server.resident_mb():8.0f} MiB")
        deep_rate = drain(server, deep, 20_000)
        ratio = deep_rate / shallow_rate
        print(f"drain, shallow and deep       {shallow_rate:8,.0f} and {deep_rate:,.0f} msg/s: {ratio:.2f}")


if __name__ == "__main__":
    main()
