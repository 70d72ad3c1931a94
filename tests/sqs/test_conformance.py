"""sqs:// keeps the backend contract, over HTTP through boto3, on the emulator."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from busframe.config import BackendUrl
from busframe.runtime import new_id
from busframe.testing import BackendConformance, Trial
from busframe_sqs import open_sqs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from busframe_emulator.server.thread import ThreadedServer


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
            yield Trial(backend=backend, advance=advance)
            # Ends the waits of cancelled receives, for which leaving would wait.
            with anyio.CancelScope(shield=True):
                await advance(backend.capabilities.wait_s_max)
