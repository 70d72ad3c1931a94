"""Servers that verify and enforce, and boto3 clients with keys of their own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from emulator_access.signing import ALICE, KEYS

from busframe_emulator.server.thread import ThreadedServer, run_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def serve() -> Iterator[Callable[..., ThreadedServer]]:
    """Start a server with options of its own."""
    with ExitStack() as running:

        def start(**options: Any) -> ThreadedServer:
            return running.enter_context(run_in_thread(**options))

        yield start


@pytest.fixture
def server(serve: Callable[..., ThreadedServer]) -> ThreadedServer:
    """One that verifies signatures."""
    return serve(keys=KEYS)


def make_client(server: ThreadedServer, access_key: str, secret: str, region: str, token: str | None) -> Any:
    untyped: Any = boto3
    return untyped.client(
        "sqs",
        endpoint_url=server.url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def client_of() -> Callable[..., Any]:
    """A boto3 client of a server, with a key."""

    def make(server: ThreadedServer, key: Any = ALICE, region: str = "us-east-1") -> Any:
        return make_client(server, key.access_key, key.secret, region, key.session_token)

    return make
