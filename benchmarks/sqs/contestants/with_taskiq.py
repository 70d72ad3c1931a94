"""taskiq with taskiq-aio-sqs, on aiobotocore; `batching` as a third argument switches its batched sends on."""

from __future__ import annotations

import asyncio
import sys

import boto3
from measure import TEXT, task
from taskiq.api import run_receiver_task
from taskiq_aio_sqs import SQSBroker

job = task()
boto3.client("sqs", endpoint_url=job.endpoint).create_queue(QueueName="taskiq-bench")
broker = SQSBroker(
    "taskiq-bench",
    endpoint_url=job.endpoint,
    region_name="us-east-1",
    max_number_of_messages=10,
    wait_time_seconds=1,
    enable_batching="batching" in sys.argv,
    batch_timeout=0.1,
)
done = asyncio.Event()


@broker.task
async def happened(_number: int, _text: str) -> None:
    if job.handle():
        done.set()


async def main() -> None:
    await broker.startup()
    receiver = asyncio.create_task(run_receiver_task(broker, max_async_tasks=100))
    job.begin()
    numbers = iter(range(job.count))

    async def send() -> None:
        for number in numbers:
            await happened.kiq(number, TEXT)

    await asyncio.gather(*(send() for _ in range(100)))
    async with asyncio.timeout(120):
        await done.wait()
    job.end()
    receiver.cancel()
    await broker.shutdown()


asyncio.run(main())
