"""The engine alone: how many messages a second one core sends, receives and deletes."""

from __future__ import annotations

from typing import Any

import pytest

from busframe_emulator.engine import Engine, Ids, QueueAddress
from busframe_emulator.engine.requests import Batch, CreateQueue, Delete, Deliveries, Receive, Send

STANDARD = QueueAddress("us-east-1", "000000000000", "orders")
FIFO = QueueAddress("us-east-1", "000000000000", "orders.fifo")
BODY = "x" * 100
MESSAGES = 5_000


class World:
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
        self.sent += 1
        if queue is FIFO:
            group, name = f"g{self.sent % 50}", str(self.sent)
            return Send(queue=queue, body=BODY, size_bytes=100, group=group, deduplication_id=name)
        return Send(queue=queue, body=BODY, size_bytes=100)

    def fill(self, queue: QueueAddress, count: int) -> None:
        for _ in range(count):
            self.engine.apply(self.tick(), self.message(queue))

    def receive_and_delete(self, queue: QueueAddress, limit: int) -> int:
        reply = self.engine.apply(self.tick(), Receive(queue=queue, limit=limit))
        assert isinstance(reply, Deliveries)
        for delivery in reply.deliveries:
            self.engine.apply(self.now_us, Delete(queue=queue, receipt=delivery.receipt))
        return len(reply.deliveries)


@pytest.mark.parametrize("queue", [STANDARD, FIFO], ids=["standard", "fifo"])
def test_one_by_one(benchmark: Any, queue: QueueAddress) -> None:
    world = World()

    def cycles() -> None:
        for _ in range(MESSAGES):
            world.fill(queue, 1)
            assert world.receive_and_delete(queue, 1) == 1

    benchmark.extra_info["messages"] = MESSAGES
    benchmark(cycles)


@pytest.mark.parametrize("queue", [STANDARD, FIFO], ids=["standard", "fifo"])
def test_in_tens(benchmark: Any, queue: QueueAddress) -> None:
    world = World()

    def cycles() -> None:
        for _ in range(MESSAGES // 10):
            world.engine.apply(world.tick(), Batch(queue=queue, requests=[world.message(queue) for _ in range(10)]))
            assert world.receive_and_delete(queue, 10) == 10

    benchmark.extra_info["messages"] = MESSAGES
    benchmark(cycles)
