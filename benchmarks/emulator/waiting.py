"""Receives that wait: how soon a sent message reaches one, and what a thousand of them cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from benchmarks.emulator.server import BUSFRAME, Client, Server, request
from benchmarks.emulator.table import Asked, Row, absolute, compared

BODY = "x" * 100
WAIT_S = 20
SENDS = 2_000
WAITERS = 1_000
SETTLE_S = 1.0
IDLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Latency:
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, taken_s: list[float]) -> Latency:
        ordered = sorted(taken_s)
        return cls(ordered[len(ordered) // 2] * 1000, ordered[int(len(ordered) * 0.99)] * 1000)


@dataclass(frozen=True, slots=True)
class Crowd:
    latency: Latency
    each_bytes: float
    idle_ms_per_s: float


def rows(peer: list[str] | None, *, rounds: int) -> list[Row]:
    """Let the servers take turns."""
    ours: list[Latency] = []
    theirs: list[Latency] = []
    our_crowds: list[Crowd] = []
    their_crowds: list[Crowd] = []
    for _ in range(rounds):
        ours.append(_wake_one(BUSFRAME))
        our_crowds.append(_wake_many(BUSFRAME))
        if peer is not None:
            theirs.append(_wake_one(peer))
            their_crowds.append(_wake_many(peer))
    asked = Asked(bound=0.6, aim=0.4, upward=False)

    def of_peer(values: list[float]) -> float | None:
        return median(values) if values else None

    case = "long poll, send to waiting receiver"
    crowd = f"{WAITERS:,} waiting long polls on {WAITERS:,} queues"
    return [
        compared(
            f"{case}, p50",
            median(run.p50_ms for run in ours),
            of_peer([run.p50_ms for run in theirs]),
            "{:.3f} ms",
            asked,
        ),
        compared(
            f"{case}, p99",
            median(run.p99_ms for run in ours),
            of_peer([run.p99_ms for run in theirs]),
            "{:.3f} ms",
            asked,
        ),
        absolute(
            f"{crowd}, p50",
            median(run.latency.p50_ms for run in our_crowds),
            of_peer([run.latency.p50_ms for run in their_crowds]),
            "{:.3f} ms",
            Asked(bound=0.1, upward=False),
        ),
        absolute(
            f"{crowd}, memory of each",
            median(run.each_bytes for run in our_crowds) / 1024,
            of_peer([run.each_bytes / 1024 for run in their_crowds]),
            "{:.1f} KiB",
            Asked(bound=4, upward=False),
        ),
        absolute(
            f"{crowd}, CPU while idle",
            median(run.idle_ms_per_s for run in our_crowds),
            of_peer([run.idle_ms_per_s for run in their_crowds]),
            "{:.1f} ms/s",
            Asked(bound=0, upward=False),
        ),
    ]


def _wake_one(command: list[str]) -> Latency:
    """One receiver that waits again and again, and one sender."""
    with Server(command) as server:
        url = server.client.queue("bench")
        receiver = Client(server.port)
        poll = request("ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": WAIT_S})
        send = request("SendMessage", {"QueueUrl": url, "MessageBody": BODY})
        taken_s: list[float] = []
        for turn in range(SENDS + SENDS // 4):
            receiver.socket.sendall(poll)
            # Answered after the poll has been taken up: a server handles what it has read in the order it read it.
            server.client.call("GetQueueUrl", {"QueueName": "bench"})
            began = time.perf_counter()
            server.client.socket.sendall(send)
            received = receiver.answer()
            ended = time.perf_counter()
            server.client.answer()
            assert b"ReceiptHandle" in received, received
            if turn >= SENDS // 4:  # the first ones warm it up
                taken_s.append(ended - began)
        receiver.close()
    return Latency.of(taken_s)


def _wake_many(command: list[str]) -> Crowd:
    """Each of many receivers waits at a queue of its own; they are served in turn."""
    with Server(command) as server:
        urls = [server.client.queue(f"bench{number}") for number in range(WAITERS)]
        sends = [request("SendMessage", {"QueueUrl": url, "MessageBody": BODY}) for url in urls]
        before_bytes = server.resident_bytes()
        receivers = [Client(server.port) for _ in urls]
        for url, receiver in zip(urls, receivers, strict=True):
            receiver.socket.sendall(request("ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": WAIT_S}))
        time.sleep(SETTLE_S)
        each_bytes = (server.resident_bytes() - before_bytes) / WAITERS
        before_s = server.cpu_s()
        time.sleep(IDLE_S)
        idle_ms_per_s = (server.cpu_s() - before_s) * 1000 / IDLE_S
        taken_s: list[float] = []
        for send, receiver in zip(sends, receivers, strict=True):
            began = time.perf_counter()
            server.client.socket.sendall(send)
            received = receiver.answer()
            taken_s.append(time.perf_counter() - began)
            server.client.answer()
            assert b"ReceiptHandle" in received, received
        for receiver in receivers:
            receiver.close()
    return Crowd(Latency.of(taken_s), each_bytes, idle_ms_per_s)
