"""A server on a free port, boto3 in front of it, and a way past boto3 for what it would never send."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
from botocore.config import Config

from busframe_emulator.server.thread import ThreadedServer, run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def document(self) -> Any:
        return json.loads(self.text) if self.text else None


@pytest.fixture
def server() -> Iterator[ThreadedServer]:
    with run_in_thread() as running:
        yield running


@pytest.fixture
def client_of(server: ThreadedServer) -> Callable[..., Any]:
    """Make a boto3 client that does not retry, for a region and an access key."""

    def make(region: str = "us-east-1", access_key: str = "x") -> Any:
        untyped: Any = boto3
        return untyped.client(
            "sqs",
            endpoint_url=server.url,
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
def queue_url(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName="orders")["QueueUrl"])


@pytest.fixture
def post(server: ThreadedServer) -> Callable[..., Answer]:
    """Send one request in AWS JSON 1.0; the body may be an object or raw bytes."""

    def send(action: str | None, body: object, path: str = "/", **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        try:
            head = {"Content-Type": "application/x-amz-json-1.0", **headers}
            if action is not None:
                head["X-Amz-Target"] = f"AmazonSQS.{action}"
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request("POST", path, raw, head)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())
        finally:
            connection.close()

    return send
