"""What the emulator weighs: its start, its memory, and whether a deep queue is slower than a shallow one."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import busframe_emulator
from benchmarks.emulator.server import BUSFRAME, Client, Server, request
from benchmarks.emulator.table import Asked, Row, absolute

BODY = "x" * 100
DRAINED = 5_000
"""Messages of one drain: all of a shallow queue's, few of a deep one's."""

DRAINS = 5
MIB = 1 << 20
MB = 1_000_000
FLOOR = [sys.executable, "-c", "import asyncio, httptools, msgspec"]
"""The interpreter and the libraries any such server stands on."""


def start_rows(peer: list[str] | None, *, rounds: int) -> list[Row]:
    """Start the servers in turns, ours compiled beforehand, as by an installation."""
    compileall.compile_dir(Path(busframe_emulator.__file__).parent, quiet=1)
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    floors_ms: list[float] = []
    for _ in range(rounds):
        floors_ms.append(_floor_ms())
        ours.append(_start(BUSFRAME))
        if peer is not None:
            theirs.append(_start(peer))
    started_ms, idle_mib = (median(run[column] for run in ours) for column in range(2))
    peer_ms, peer_mib = (median(run[column] for run in theirs) if theirs else None for column in range(2))
    return [
        absolute("process start to first answer", started_ms, peer_ms, "{:.0f} ms", Asked(bound=120, upward=False)),
        Row(
            case="the same, beside importing asyncio, httptools, msgspec",
            busframe=f"{started_ms:.0f} ms",
            peer=f"{median(floors_ms):.0f} ms (import)",
            ratio=f"{started_ms / median(floors_ms):.2f}",
        ),
        absolute("memory when idle", idle_mib, peer_mib, "{:.1f} MiB", Asked(bound=30, upward=False)),
    ]


def depth_rows(peer: list[str] | None, *, messages: int, peer_messages: int) -> list[Row]:
    """Fill a queue, and drain some of it, in turns with one that holds no more than is drained."""
    ours = _fill_and_drain(BUSFRAME, messages)
    theirs = _fill_and_drain(peer, peer_messages) if peer is not None else None
    held = f"memory of the server with {messages:,} messages of 100 bytes"
    drained = f"drain at {messages:,} queued, beside a shallow queue"
    if peer_messages != messages:
        note = f" (peer: {peer_messages:,})"
        held, drained = held + note, drained + note
    return [
        absolute(held, ours.held_mb, theirs.held_mb if theirs else None, "{:.0f} MB", Asked(bound=400, upward=False)),
        Row(
            case=drained,
            busframe=ours.drains(),
            peer=theirs.drains() if theirs else "",
            ratio=f"{ours.ratio():.2f}" + (f" (peer {theirs.ratio():.2f})" if theirs else ""),
            asked="at least 0.8 of the shallow rate",
            met=Asked(bound=0.8).verdict(ours.ratio()),
        ),
    ]


def _floor_ms() -> float:
    began = time.perf_counter()
    subprocess.run(FLOOR, check=True)
    return (time.perf_counter() - began) * 1000


def _start(command: list[str]) -> tuple[float, float]:
    with Server(command, pinned=False) as server:
        return server.started_s * 1000, server.resident_bytes() / MIB


@dataclass(frozen=True, slots=True)
class Depth:
    held_mb: float
    shallow_per_s: float
    deep_per_s: float

    def ratio(self) -> float:
        return self.deep_per_s / self.shallow_per_s

    def drains(self) -> str:
        return f"{self.shallow_per_s:,.0f} and {self.deep_per_s:,.0f} msg/s"


def _fill_and_drain(command: list[str], messages: int) -> Depth:
    with Server(command) as server:
        client = server.client
        shallow, deep = client.queue("shallow"), client.queue("deep")
        _fill(client, deep, messages)
        held_mb = server.resident_bytes() / MB
        rates: dict[str, list[float]] = {shallow: [], deep: []}
        for _ in range(DRAINS):
            _fill(client, shallow, DRAINED)
            for url, measured in rates.items():
                measured.append(_drain(client, url, DRAINED))
        return Depth(held_mb, median(rates[shallow]), median(rates[deep]))


def _fill(client: Client, url: str, count: int) -> None:
    entries = [{"Id": str(number), "MessageBody": BODY} for number in range(10)]
    data = request("SendMessageBatch", {"QueueUrl": url, "Entries": entries})
    for _ in range(count // 10):
        client.socket.sendall(data)
        client.answer()


def _drain(client: Client, url: str, count: int) -> float:
    """Receive and delete in tens; messages a second."""
    receive = request("ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": 10})
    began = time.perf_counter()
    for _ in range(count // 10):
        client.socket.sendall(receive)
        messages = json.loads(client.answer())["Messages"]
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        client.call("DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})
    return count / (time.perf_counter() - began)
