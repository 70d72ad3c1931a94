"""sqs:// keeps the backend contract, over HTTP through boto3, on the emulator."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest

from busframe.config import BackendUrl
from busframe.runtime import new_id
from busframe.testing import BackendConformance, Trial
from busframe_sqs import open_sqs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from busframe_emulator.server.thread import ThreadedServer
    from busframe_sqs import SqsBackend


class LostCalls:
    """Loses calls of a backend between boto3 and SQS: the first way its request, the second its answer."""

    def __init__(self, backend: SqsBackend) -> None:
        client: Any = backend.client
        self._exceptions: Any = import_module("botocore.exceptions")
        self._left = 0
        client.meta.events.register("before-send.sqs", self._request)
        client.meta.events.register("response-received.sqs", self._answer)

    def lose(self, nth: int) -> bool:
        """1 loses the first request, 2 its answer, 3 the second request, ...; 0 loses nothing."""
        came_up, self._left = self._left == 0, nth
        return came_up

    def _request(self, **_parameters: object) -> None:
        if self._comes_up():
            raise self._exceptions.EndpointConnectionError(endpoint_url="sqs")

    def _answer(self, **_parameters: object) -> None:
        if self._comes_up():
            raise self._exceptions.ReadTimeoutError(endpoint_url="sqs")

    def _comes_up(self) -> bool:
        if not self._left:
            return False
        self._left -= 1
        return not self._left


class TestSqsConformance(BackendConformance):
    @pytest.fixture(autouse=True)
    def _emulator(self, server: ThreadedServer) -> None:
        self.server = server

    @asynccontextmanager
    async def open_trial(self) -> AsyncGenerator[Trial, None]:
        # SQS takes a name only 60 seconds after its removal, so each trial has names of its own.
        url = f"sqs://us-east-1?prefix={new_id()}-&endpoint_url={self.server.url}"

        async def advance(seconds: float) -> None:
            await anyio.to_thread.run_sync(partial(self.server.advance, seconds))

        async with open_sqs(BackendUrl.parse(url)) as backend:
            yield Trial(backend=backend, advance=advance, fail_call=LostCalls(backend).lose)
            # Ends the waits of cancelled receives, for which leaving would wait.
            with anyio.CancelScope(shield=True):
                await advance(backend.capabilities.wait_s_max)
