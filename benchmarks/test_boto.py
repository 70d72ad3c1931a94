"""boto3 in process: send, receive and delete, against the same under moto if that is installed.

The two take turns in one run, so that the ratio does not depend on what else the machine does.
"""

from __future__ import annotations

import time
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from busframe_emulator.boto import emulated_sqs

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

BODY = "x" * 100
MESSAGES = 500
ROUNDS = 5
RATIO_MIN = 6


def one_by_one(client: Any) -> Callable[[], None]:
    url = client.create_queue(QueueName="orders")["QueueUrl"]

    def cycles() -> None:
        for _ in range(MESSAGES):
            client.send_message(QueueUrl=url, MessageBody=BODY)
            [message] = client.receive_message(QueueUrl=url)["Messages"]
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    return cycles


def in_tens(client: Any) -> Callable[[], None]:
    url = client.create_queue(QueueName="orders")["QueueUrl"]
    entries = [{"Id": str(n), "MessageBody": BODY} for n in range(10)]

    def cycles() -> None:
        for _ in range(MESSAGES // 10):
            client.send_message_batch(QueueUrl=url, Entries=entries)
            messages = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
            done = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in messages]
            assert len(client.delete_message_batch(QueueUrl=url, Entries=done)["Successful"]) == 10

    return cycles


@pytest.mark.parametrize("work", [one_by_one, in_tens])
def test_in_process(benchmark: BenchmarkFixture, work: Callable[[Any], Callable[[], None]]) -> None:
    with emulated_sqs() as sqs:
        untyped: Any = benchmark
        untyped.extra_info["messages"] = MESSAGES
        benchmark(work(sqs.client()))


def test_a_new_client(benchmark: BenchmarkFixture) -> None:
    with emulated_sqs() as sqs:
        sqs.client()
        benchmark(sqs.client)


@pytest.mark.parametrize("work", [one_by_one, in_tens])
def test_ratio_to_moto(benchmark: BenchmarkFixture, work: Callable[[Any], Callable[[], None]]) -> None:
    if find_spec("moto") is None:
        pytest.skip("moto is not installed, so there is nothing to compare with: pip install 'moto[sqs]'")
    untyped: Any = boto3
    moto: Any = import_module("moto")
    ours: list[float] = []
    theirs: list[float] = []
    with emulated_sqs() as sqs, moto.mock_aws():
        access = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        ordinary, attached = (untyped.client("sqs", region_name="us-east-1", **access) for _ in range(2))
        sqs.attach(attached)
        of_moto, of_busframe = work(ordinary), work(attached)
        for _ in range(ROUNDS):
            ours.append(_timed(of_busframe))
            theirs.append(_timed(of_moto))
        benchmark(of_busframe)
    ratio = median(theirs) / median(ours)
    of_each = [f"{MESSAGES / median(seconds):,.0f}" for seconds in (ours, theirs)]
    print(f"\n{work.__name__}, messages a second: busframe {of_each[0]}, moto {of_each[1]}; ratio {ratio:.1f}")
    assert ratio >= RATIO_MIN


def _timed(cycles: Callable[[], None]) -> float:
    start = time.perf_counter()
    cycles()
    return time.perf_counter() - start
