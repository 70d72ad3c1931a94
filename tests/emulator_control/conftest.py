"""A server, boto3 in front of it, and plain HTTP for what is besides SQS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from emulator_control.asking import Ask
from waiting_receives import until_waiting

from busframe_emulator.server.thread import ThreadedServer, run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def server() -> Iterator[ThreadedServer]:
    with run_in_thread() as running:
        yield running


@pytest.fixture
def ask(server: ThreadedServer) -> Ask:
    return Ask(server.port)


@pytest.fixture
def client_of(server: ThreadedServer) -> Callable[..., Any]:
    """Make a boto3 client that does not retry, for a region and an access key."""

    def make(region: str = "us-east-1", access_key: str = "x", url: str = server.url) -> Any:
        untyped: Any = boto3
        return untyped.client(
            "sqs",
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key="x",  # noqa: S106 - nobody's
            config=Config(retries={"total_max_attempts": 1}),
        )

    return make


@pytest.fixture
def sqs(client_of: Callable[..., Any]) -> Any:
    return client_of()


@pytest.fixture
def orders(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName="orders")["QueueUrl"])


@pytest.fixture
def waiting(server: ThreadedServer) -> Callable[[int], None]:
    """Wait until so many receives wait in the server."""

    return partial(until_waiting, server)
