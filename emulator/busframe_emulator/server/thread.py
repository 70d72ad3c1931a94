"""A server in a thread of its own, for tests and for programs that are not asynchronous.

with run_in_thread() as server:
    sqs = boto3.client("sqs", endpoint_url=server.url, region_name="us-east-1", ...)
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - the server is what owns the loop
import threading
from typing import TYPE_CHECKING, Self

from busframe_emulator.server.emulator import EmulatorServer
from busframe_emulator.wire.identity import DEFAULT_ACCOUNT, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from busframe_emulator.delivery.profiles import Profile
    from busframe_emulator.delivery.scripts import Script
    from busframe_emulator.engine.settings import Limits
    from busframe_emulator.limits import LimitValue
    from busframe_emulator.server.configuration import QueuePlan
    from busframe_emulator.wire.verified import Keys


class ThreadedServer:
    """A running server. Its methods are safe to call from any thread but its own."""

    def __init__(self, server: EmulatorServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="busframe-emulator", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(server.start(), self._loop).result()
        except BaseException:
            self._end()
            raise

    @property
    def url(self) -> str:
        """The endpoint URL to give to an SDK."""
        return self._server.url

    @property
    def port(self) -> int:
        """The port on the loopback address 127.0.0.1."""
        return self._server.port

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock on; on return all that became due has happened and answers are on their way.

        Args:
            seconds: 0 or more.
        """

        async def advance() -> None:
            self._server.advance(seconds)

        asyncio.run_coroutine_threadsafe(advance(), self._loop).result()

    def stop(self) -> None:
        """Stop the server and its thread. Once is enough, more does no harm."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result()
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


def run_in_thread(
    *,
    region: str = DEFAULT_REGION,
    account: str = DEFAULT_ACCOUNT,
    limits: Limits | Mapping[str, LimitValue] | None = None,
    control_token: str | None = None,
    manual_clock: bool = False,
    queues: Sequence[QueuePlan] = (),
    keys: Keys | None = None,
    enforce_policies: bool = False,
    public_url: str | None = None,
    cors: Sequence[str] = (),
    data: str | Path | None = None,
    flush: bool = False,
    profile: str | Profile | None = None,
    seed: int | None = None,
    script: Script | None = None,
) -> ThreadedServer:
    """Start a server on a free port of the loopback address; it stops when the `with` block ends, or by `stop`.

    Arguments as `EmulatorServer`, and it raises what that and its `start` raise.
    """
    return ThreadedServer(
        EmulatorServer(
            region=region,
            account=account,
            limits=limits,
            control_token=control_token,
            manual_clock=manual_clock,
            queues=queues,
            keys=keys,
            enforce_policies=enforce_policies,
            public_url=public_url,
            cors=cors,
            data=data,
            flush=flush,
            profile=profile,
            seed=seed,
            script=script,
        )
    )
