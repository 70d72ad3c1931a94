"""The checkers alone: how many events a second one core looks at, beside a loop over them that does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from busframe_emulator.delivery.checkers import EngineChecks
from busframe_emulator.engine import Engine, Ids, QueueAddress
from busframe_emulator.engine.requests import Batch, CreateQueue, Delete, Deliveries, Receive, Send

if TYPE_CHECKING:
    from busframe_emulator.engine.events import Event

MESSAGES = 100_000
GROUPS = 500


def events_of(*, fifo: bool) -> list[Event]:
    """Every message sent, delivered and deleted, in tens; one in ten times out once."""
    events: list[Event] = []
    engine = Engine(ids=Ids(7), sink=events.append)
    queue = QueueAddress("us-east-1", "000000000000", "orders.fifo" if fifo else "orders")
    now_us = 1
    engine.apply(now_us, CreateQueue(queue=queue, settings={"fifo": True} if fifo else {}))
    for first in range(0, MESSAGES, 10):
        now_us += 100_000
        sends = [_send(queue, number, fifo=fifo) for number in range(first, first + 10)]
        engine.apply(now_us, Batch(queue=queue, requests=sends))
        reply = engine.apply(now_us + 10, Receive(queue=queue, limit=10))
        assert isinstance(reply, Deliveries)
        kept = reply.deliveries[1:] if first % 100 == 0 else reply.deliveries
        if kept:
            deletes = [Delete(queue=queue, receipt=delivery.receipt) for delivery in kept]
            engine.apply(now_us + 20, Batch(queue=queue, requests=deletes))
    return events


def _send(queue: QueueAddress, number: int, *, fifo: bool) -> Send:
    if fifo:
        return Send(queue=queue, body="x", size_bytes=1, group=f"g{number % GROUPS}", deduplication_id=str(number))
    return Send(queue=queue, body="x", size_bytes=1)


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_an_engines_events_are_checked(benchmark: Any, fifo: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    events = events_of(fifo=fifo)

    def check() -> None:
        checks = EngineChecks()
        look = checks.event
        for event in events:
            look(event)
        assert checks.finish(events[-1].at_us).state == "ok"

    benchmark.extra_info["events"] = len(events)
    benchmark(check)


def test_a_loop_over_the_events_that_does_nothing(benchmark: Any) -> None:
    events = events_of(fifo=False)

    def look(event: Event) -> None:
        pass

    def loop() -> None:
        for event in events:
            look(event)

    benchmark.extra_info["events"] = len(events)
    benchmark(loop)
