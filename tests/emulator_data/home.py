"""A directory, and the server that has it just now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import boto3

from busframe_emulator.server.thread import ThreadedServer, run_in_thread

if TYPE_CHECKING:
    from pathlib import Path


def client_of(server: ThreadedServer) -> Any:
    untyped: Any = boto3
    return untyped.client(
        "sqs",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",  # noqa: S106 - any will do
    )


class Home:
    """A directory, and the server that has it just now."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server: ThreadedServer | None = None

    def start(self, *, manual_clock: bool = True) -> Any:
        """(Re)start, and give a client."""
        self.stop()
        self.server = run_in_thread(data=self.directory, manual_clock=manual_clock)
        return client_of(self.server)

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None

    def advance(self, seconds: float) -> None:
        assert self.server is not None
        self.server.advance(seconds)

    def offset_s(self) -> float:
        """How far the server's clock is ahead of the machine's."""
        assert self.server is not None
        with urlopen(f"{self.server.url}/_busframe/clock", timeout=5) as answer:  # noqa: S310 - of our own server
            return float(json.loads(answer.read())["offset_s"])

    def reset(self) -> None:
        assert self.server is not None
        url = f"{self.server.url}/_busframe/reset"
        with urlopen(url, data=b"{}", timeout=5) as answer:  # noqa: S310 - of our own server
            assert answer.status == 200
