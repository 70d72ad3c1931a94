from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from sqs.fake import FakeClient

from busframe.ledger import Ledger
from busframe_emulator.server.thread import run_in_thread
from busframe_sqs.client import Clients
from busframe_sqs.opening import serve
from busframe_sqs.settings import SqsSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractAsyncContextManager

    from busframe_emulator.server.thread import ThreadedServer
    from busframe_sqs import SqsBackend
    from busframe_sqs.client import Message, SqsClient


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def serve_fake(client: FakeClient) -> Callable[..., AbstractAsyncContextManager[SqsBackend]]:
    """Run the backend on the fake; keyword arguments are settings."""

    def start(**settings: Any) -> AbstractAsyncContextManager[SqsBackend]:
        return serve(Clients(cast("SqsClient", client)), SqsSettings(region="eu-west-1", **settings), Ledger())

    return start


@pytest.fixture
def delivery() -> Callable[[str], Message]:
    """Make a message as SQS hands it out."""

    def make(body: str) -> Message:
        return {
            "MessageId": f"id of {body}",
            "ReceiptHandle": f"receipt of {body}",
            "Body": body,
            "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1500"},
        }

    return make


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


@pytest.fixture(scope="module")
def server() -> Generator[ThreadedServer, None, None]:
    with run_in_thread() as server:
        yield server
