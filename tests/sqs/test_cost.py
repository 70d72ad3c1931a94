"""What SQS charges for: calls. At load they go in tens, and waiting is nearly free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from busframe import Bus, event
from busframe.runtime import new_id
from busframe_sqs import SqsBackend

if TYPE_CHECKING:
    from busframe_emulator.server.thread import ThreadedServer

pytestmark = pytest.mark.anyio

SETTING_UP = ("CreateQueue", "GetQueueUrl", "GetQueueAttributes", "ListQueueTags")


@event("cost.happened")
@dataclass(frozen=True)
class Happened:
    number: int


def url(server: ThreadedServer, **parameters: object) -> str:
    more = "".join(f"&{name}={value}" for name, value in parameters.items())
    return f"sqs://us-east-1?prefix={new_id()}-&endpoint_url={server.url}{more}"


async def test_at_load_a_message_costs_no_more_than_a_third_of_a_call(server: ThreadedServer) -> None:
    """Sent, received and deleted in tens: 0.3 calls is the least that SQS permits, 0.35 the most we spend."""
    count = 400
    handled: list[int] = []
    done = anyio.Event()
    bus = Bus("cost")

    @bus.subscribe(Happened, group="all", concurrency=20)
    async def handle(happened: Happened) -> None:
        handled.append(happened.number)
        if len(handled) == count:
            done.set()

    async with bus.connect(url(server, wait_s=1), recipients="memory://") as live:
        # What is published waits until all of it is there: a consumer that keeps up receives less than ten at a time.
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(live.publish, Happened(number))
        async with live.running():
            await done.wait()
        ledger = live.backend_as(SqsBackend).ledger
    assert sorted(handled) == list(range(count))
    paid = {action: calls for action, calls in ledger.calls.items() if action not in SETTING_UP}
    assert set(paid) == {"SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch"}
    assert sum(paid.values()) <= 0.35 * count
    assert sum(ledger.calls[action] for action in SETTING_UP) <= 12


async def test_an_idle_consumer_makes_three_calls_a_minute(server: ThreadedServer) -> None:
    bus = Bus("cost")

    @bus.subscribe(Happened, group="all", concurrency=20)
    async def handle(_: Happened) -> None: ...

    steps = 0

    async def pass_time() -> None:
        nonlocal steps
        while True:
            steps += 1
            await anyio.to_thread.run_sync(server.advance, 5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pass_time)  # closing, too, waits for the last call
        async with bus.connect(url(server), recipients="memory://") as live:
            ledger = live.backend_as(SqsBackend).ledger
            begun = steps
            with anyio.fail_after(30):
                async with live.running():
                    while (calls := ledger.calls.get("ReceiveMessage", 0)) < 5:
                        # The first call comes at once, and each ends after four steps: twelve steps are a minute. Steps
                        # that find no call waiting count for nobody.
                        assert calls <= 1 + (steps - begun + 1) / 4
                        await anyio.lowlevel.checkpoint()
            assert set(ledger.calls) <= {"ReceiveMessage", *SETTING_UP}
        tasks.cancel_scope.cancel()
