"""The plugin's own fixtures, and no way out."""

from __future__ import annotations

import socket
from typing import Any

import pytest

# Imported, and not left to the plugin's entry point, so that these tests run in whatever way the project is installed.
from busframe_emulator.pytest_plugin import sqs, sqs_client, sqs_clock, sqs_emulator, sqs_limits

__all__ = ["sqs", "sqs_client", "sqs_clock", "sqs_emulator", "sqs_limits"]


@pytest.fixture(autouse=True)
def no_connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is done in process is done without a socket."""
    if "sqs_emulator" not in request.fixturenames:

        def connect(_socket: socket.socket, address: Any) -> None:
            raise AssertionError(f"a connection to {address} was tried")

        monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def queue_url(sqs_client: Any) -> str:
    return str(sqs_client.create_queue(QueueName="orders")["QueueUrl"])
