"""aiobotocore's clients come to the same SQS, and a receive that waits holds up its own task only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from botocore.exceptions import ParamValidationError

from busframe_emulator.boto import emulated_sqs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe_emulator.boto import EmulatedSqs

ACCESS = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}


def with_client(sqs: EmulatedSqs, test: Callable[[Any, str], Awaitable[None]]) -> None:
    """Run a test with a client of aiobotocore and a queue."""
    aiobotocore: Any = pytest.importorskip("aiobotocore.session")

    async def run() -> None:
        session = aiobotocore.get_session()
        sqs.attach(session)
        async with session.create_client("sqs", region_name="us-east-1", **ACCESS) as client:
            await test(client, (await client.create_queue(QueueName="orders"))["QueueUrl"])

    anyio.run(run)


def test_calls_and_refusals(sqs: EmulatedSqs) -> None:
    async def test(client: Any, url: str) -> None:
        attributes = {"b": {"DataType": "Binary", "BinaryValue": b"\xff"}}
        await client.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
        [message] = (await client.receive_message(QueueUrl=url, MessageAttributeNames=["All"]))["Messages"]
        assert message["MessageAttributes"] == attributes
        with pytest.raises(client.exceptions.QueueDoesNotExist):
            await client.get_queue_url(QueueName="nowhere")
        with pytest.raises(ParamValidationError):
            await client.send_message(QueueUrl=url)
        names = [url async for page in client.get_paginator("list_queues").paginate() for url in page["QueueUrls"]]
        assert names == [url]

    with_client(sqs, test)


def test_a_client_stays_with_the_first_it_is_attached_to() -> None:
    aiobotocore: Any = pytest.importorskip("aiobotocore.session")

    async def run() -> None:
        async with aiobotocore.get_session().create_client("sqs", region_name="us-east-1", **ACCESS) as client:
            with emulated_sqs() as second:
                with emulated_sqs() as first:
                    first.attach(client)
                    second.attach(client)
                    await client.create_queue(QueueName="orders")
                    assert len(first.client().list_queues()["QueueUrls"]) == 1
                assert "QueueUrls" not in await client.list_queues()

    anyio.run(run)


def test_a_task_that_waits_is_answered_by_another(sqs: EmulatedSqs, sqs_client: Any) -> None:
    async def test(client: Any, url: str) -> None:
        bodies: list[str] = []

        async def receive() -> None:
            answer = await client.receive_message(QueueUrl=url, WaitTimeSeconds=20)
            bodies.append(answer["Messages"][0]["Body"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            tasks.start_soon(receive)
            await client.send_message(QueueUrl=url, MessageBody="from a task")
            await anyio.to_thread.run_sync(lambda: sqs_client.send_message(QueueUrl=url, MessageBody="from a thread"))
        assert sorted(bodies) == ["from a task", "from a thread"]

    with_client(sqs, test)


def test_a_task_that_is_cancelled_takes_nothing_with_it(sqs: EmulatedSqs) -> None:
    async def test(client: Any, url: str) -> None:
        with anyio.move_on_after(0.05) as scope:
            await client.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        assert scope.cancelled_caught
        await client.send_message(QueueUrl=url, MessageBody="x")
        assert len((await client.receive_message(QueueUrl=url))["Messages"]) == 1

    with_client(sqs, test)


def test_on_a_manual_clock_a_lone_task_is_never_stuck() -> None:
    async def test(client: Any, url: str) -> None:
        await client.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=5)
        assert len((await client.receive_message(QueueUrl=url, WaitTimeSeconds=20))["Messages"]) == 1
        assert "Messages" not in await client.receive_message(QueueUrl=url, WaitTimeSeconds=20)

    with emulated_sqs(clock="manual") as sqs:
        with_client(sqs, test)
