"""boto3 in process, without a socket, beside the same client under moto."""

from __future__ import annotations

import time
from contextlib import ExitStack
from importlib import import_module
from statistics import median
from typing import TYPE_CHECKING, Any

import boto3

from benchmarks.emulator import peers
from benchmarks.emulator.table import Asked, Row, compared
from busframe_emulator.boto import emulated_sqs

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = "x" * 100
MESSAGES = 500
ASKED = Asked(bound=6)


def one_by_one(client: Any) -> Callable[[], None]:
    """What sends, receives and deletes `MESSAGES` messages."""
    url = client.create_queue(QueueName="orders")["QueueUrl"]

    def cycles() -> None:
        for _ in range(MESSAGES):
            client.send_message(QueueUrl=url, MessageBody=BODY)
            [message] = client.receive_message(QueueUrl=url)["Messages"]
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    return cycles


def in_tens(client: Any) -> Callable[[], None]:
    """The same in batches."""
    url = client.create_queue(QueueName="orders")["QueueUrl"]
    entries = [{"Id": str(n), "MessageBody": BODY} for n in range(10)]

    def cycles() -> None:
        for _ in range(MESSAGES // 10):
            client.send_message_batch(QueueUrl=url, Entries=entries)
            messages = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
            done = [{"Id": m["MessageId"], "ReceiptHandle": m["ReceiptHandle"]} for m in messages]
            assert len(client.delete_message_batch(QueueUrl=url, Entries=done)["Successful"]) == 10

    return cycles


def rows(*, rounds: int) -> list[Row]:
    """Let one client that is attached to the engine and one under moto take turns."""
    untyped: Any = boto3
    with ExitStack() as stack:
        sqs = stack.enter_context(emulated_sqs())
        if peers.has_moto():
            moto: Any = import_module("moto")
            stack.enter_context(moto.mock_aws())
        access = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        ordinary, attached = (untyped.client("sqs", region_name="us-east-1", **access) for _ in range(2))
        sqs.attach(attached)
        made: list[Row] = []
        for work, shown, calls in ((one_by_one, "one by one", 3), (in_tens, "in tens", 0.3)):
            of_busframe = work(attached)
            of_moto = work(ordinary) if peers.has_moto() else None
            ours: list[float] = []
            theirs: list[float] = []
            for _ in range(rounds):
                ours.append(_timed(of_busframe))
                if of_moto is not None:
                    theirs.append(_timed(of_moto))
            our_rate, their_rate = (MESSAGES * calls / median(taken) if taken else None for taken in (ours, theirs))
            assert our_rate is not None
            made.append(compared(f"send, receive, delete {shown}", our_rate, their_rate, "{:,.0f} calls/s", ASKED))
    return made


def _timed(cycles: Callable[[], None]) -> float:
    start = time.process_time()
    cycles()
    return time.process_time() - start
