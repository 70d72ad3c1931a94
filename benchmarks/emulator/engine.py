"""The engine alone: how many messages a second one core sends, receives and deletes.

Beside it stands the least that a queue written in Python does for the same: an object per message, a line of them, and
a table by receipt, with no rule of SQS whatever. How fast a machine runs Python shows there. The best of several short
runs is shown, since whatever disturbs only adds.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from benchmarks.emulator.table import Asked, Row
from busframe_emulator.engine import Engine, Ids, QueueAddress
from busframe_emulator.engine.requests import Batch, CreateQueue, Delete, Deliveries, Receive, Send

if TYPE_CHECKING:
    from collections.abc import Callable

STANDARD = QueueAddress("us-east-1", "000000000000", "orders")
FIFO = QueueAddress("us-east-1", "000000000000", "orders.fifo")
BODY = "x" * 100
MESSAGES = 2_000
RUNS = 10
ASKED = Asked(bound=150_000)


class World:
    """An engine with two queues, and its time."""

    def __init__(self) -> None:
        self.engine = Engine(ids=Ids(7))
        self.now_us = 1
        self.sent = 0
        self.engine.apply(1, CreateQueue(queue=STANDARD))
        self.engine.apply(1, CreateQueue(queue=FIFO, settings={"fifo": True}))

    def tick(self) -> int:
        self.now_us += 10
        return self.now_us

    def message(self, queue: QueueAddress) -> Send:
        if queue is STANDARD:
            return Send(queue, BODY, 100)
        self.sent += 1
        return Send(queue, BODY, 100, group=f"g{self.sent % 50}", deduplication_id=str(self.sent))

    def one_by_one(self, queue: QueueAddress) -> None:
        apply = self.engine.apply
        for _ in range(MESSAGES):
            apply(self.tick(), self.message(queue))
            reply = apply(self.now_us, Receive(queue))
            assert isinstance(reply, Deliveries)
            apply(self.now_us, Delete(queue, reply.deliveries[0].receipt))

    def in_tens(self, queue: QueueAddress) -> None:
        apply = self.engine.apply
        for _ in range(MESSAGES // 10):
            apply(self.tick(), Batch(queue=queue, requests=[self.message(queue) for _ in range(10)]))
            reply = apply(self.now_us, Receive(queue, 10))
            assert isinstance(reply, Deliveries)
            deletes = [Delete(queue, delivery.receipt) for delivery in reply.deliveries]
            apply(self.now_us, Batch(queue=queue, requests=deletes))


class Least:
    """A message of the least queue."""

    __slots__ = ("body", "receipt")

    def __init__(self, body: str, receipt: str) -> None:
        self.body = body
        self.receipt = receipt


def least() -> None:
    line: deque[Least] = deque()
    in_flight: dict[str, Least] = {}
    for number in range(MESSAGES):
        line.append(Least(BODY, f"{number:032x}"))
        message = line.popleft()
        in_flight[message.receipt] = message
        del in_flight[message.receipt]


def rows(*, rounds: int) -> list[Row]:
    """Let engine and floor take turns."""
    rounds *= RUNS
    world = World()
    cases: dict[str, Callable[[], None]] = {
        "send, receive, delete one by one": lambda: world.one_by_one(STANDARD),
        "send, receive, delete in tens": lambda: world.in_tens(STANDARD),
        "the same on a FIFO queue, one by one": lambda: world.one_by_one(FIFO),
        "the same on a FIFO queue, in tens": lambda: world.in_tens(FIFO),
    }
    taken: dict[str, list[float]] = {name: [] for name in cases}
    floor: list[float] = []
    for _ in range(rounds):
        floor.append(_timed(least))
        for name, work in cases.items():
            taken[name].append(_timed(work))
    least_rate = MESSAGES / min(floor)
    made: list[Row] = []
    for name, runs in taken.items():
        rate = MESSAGES / min(runs)
        standard = "FIFO" not in name
        made.append(
            Row(
                case=name,
                busframe=f"{rate:,.0f}/s",
                peer=f"{least_rate:,.0f}/s",
                ratio=f"1/{least_rate / rate:.1f}",
                asked=str(ASKED) if standard else "",
                met=ASKED.verdict(rate) if standard else "",
            )
        )
    return made


def _timed(work: Callable[[], None]) -> float:
    """Processor time, since nothing here waits."""
    start = time.process_time()
    work()
    return time.process_time() - start
