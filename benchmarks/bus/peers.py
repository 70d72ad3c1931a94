"""The same work done by others in memory: a typed message published, and handled, `count` times.

None of them has leases or brings a message again whose handler died, save Celery's virtual transport. Each function
returns how many were handled. What each needs is imported inside and untyped, since none has to be installed.
"""

from __future__ import annotations

import itertools
import logging
import threading
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import anyio

CONCURRENCY = 100
TEXT = "x" * 80
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Happened:
    number: int
    text: str


async def one_task_a_message(count: int) -> int:
    """The floor: a task for each message and a memory stream between; no lease, no redelivery, no typed body."""
    send, receive = anyio.create_memory_object_stream[Happened](1000)
    handled = 0

    async def handle(_: Happened) -> None:
        nonlocal handled
        handled += 1

    async def produce() -> None:
        async with send:
            for number in range(count):
                await send.send(Happened(number, TEXT))

    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(produce)
        async for happened in receive:
            tasks.start_soon(handle, happened)
    return handled


async def stream_alone(count: int) -> int:
    """The floor beneath it: the memory stream, and no task for each message."""
    send, receive = anyio.create_memory_object_stream[Happened](1000)
    handled = 0

    async def produce() -> None:
        async with send:
            for number in range(count):
                await send.send(Happened(number, TEXT))

    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(produce)
        async for _ in receive:
            handled += 1
    return handled


async def taskiq(count: int) -> int:
    package: Any = import_module("taskiq")
    broker = package.InMemoryBroker()
    handled = 0

    async def work(number: int, text: str) -> None:  # noqa: ARG001
        nonlocal handled
        handled += 1

    handle = broker.task(work)
    await broker.startup()
    numbers = iter(range(count))

    async def publisher() -> None:
        for number in numbers:
            await handle.kiq(number, TEXT)

    async with anyio.create_task_group() as tasks:
        for _ in range(CONCURRENCY):
            tasks.start_soon(publisher)
    await broker.wait_all()
    await broker.shutdown()
    return handled


async def faststream(count: int) -> int:
    package: Any = import_module("faststream.nats")
    logging.getLogger("faststream").setLevel(logging.CRITICAL)
    broker = package.NatsBroker(logger=None)
    handled = 0

    async def handle(happened: Happened) -> None:  # noqa: ARG001
        nonlocal handled
        handled += 1

    handle.__annotations__["happened"] = Happened
    broker.subscriber("happened")(handle)
    async with package.TestNatsBroker(broker):
        for number in range(count):
            await broker.publish(Happened(number, TEXT), "happened")
    return handled


def dramatiq(count: int) -> int:
    package: Any = import_module("dramatiq")
    stub: Any = import_module("dramatiq.brokers.stub")
    logging.getLogger("dramatiq").setLevel(logging.CRITICAL)
    broker = stub.StubBroker()
    handled = 0

    def handle(number: int, text: str) -> None:  # noqa: ARG001
        nonlocal handled
        handled += 1

    actor: Any = package.actor(broker=broker)(handle)
    worker = package.Worker(broker, worker_threads=8)
    worker.start()
    for number in range(count):
        actor.send(number, TEXT)
    broker.join(actor.queue_name)
    worker.join()
    worker.stop()
    return handled


def celery(count: int) -> int:
    package: Any = import_module("celery")
    testing: Any = import_module("celery.contrib.testing.worker")
    app = package.Celery("bench", broker="memory://", set_as_current=False)
    app.conf.worker_hijack_root_logger = False
    done = threading.Event()
    handled = 0

    def work(number: int, text: str) -> None:  # noqa: ARG001
        nonlocal handled
        handled += 1
        if handled == count:
            done.set()

    # Its registry of names belongs to the process, and refuses one that it has.
    handle = app.task(name=f"work {next(_NUMBERS)}", ignore_result=True)(work)
    with testing.start_worker(app, pool="solo", perform_ping_check=False, loglevel="CRITICAL"):
        for number in range(count):
            handle.delay(number, TEXT)
        done.wait()
    return handled


ASYNC = {"taskiq": taskiq, "faststream": faststream}
THREADED = {"dramatiq": dramatiq, "celery": celery}
