"""The server as a whole: start it, stop it, move its clock."""

from __future__ import annotations

import asyncio  # noqa: TID251 - the server is what owns the loop
import os
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine import Engine
from busframe_emulator.engine.ids import Ids
from busframe_emulator.server.clock import Clock
from busframe_emulator.server.connection import SWEEP_S, Connection, Shared
from busframe_emulator.server.driver import Driver
from busframe_emulator.server.rendering import Renderer
from busframe_emulator.server.routes import Routes
from busframe_emulator.wire.identity import DEFAULT_ACCOUNT, DEFAULT_REGION, Callers

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.engine.settings import Limits
    from busframe_emulator.server.request import Request

FLUSH_S: Final = 0.5
"""How long stopping waits for clients to take their last answers."""

_BACKLOG: Final = 1_024


class EmulatorServer:
    """An SQS that any AWS SDK can talk to. Every method is for the event loop that `start` runs on.

    Args:
        region, account: of requests whose signature names none.
        limits: of the engine; None for those of AWS.
        log: is told every request answered, and its status.
    """

    def __init__(
        self,
        *,
        region: str = DEFAULT_REGION,
        account: str = DEFAULT_ACCOUNT,
        limits: Limits | None = None,
        log: Callable[[Request, int], None] | None = None,
    ) -> None:
        salt = int.from_bytes(os.urandom(8))
        self._engine = Engine(ids=Ids(salt), limits=limits)
        self._callers = Callers(region=region, account=account)
        self._renderer = Renderer(salt)
        self._log = log
        self._host = ""
        self._port = 0

    @property
    def port(self) -> int:
        """The port listened on, once started."""
        return self._port

    @property
    def url(self) -> str:
        """The endpoint URL to give to an SDK on the same machine, once started."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(self._host, self._host)  # noqa: S104 - names it
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self._port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen.

        Args:
            host: an address of this machine; 0.0.0.0 for all, which lets the whole network in.
            port: 0 for a free one.

        Raises:
            OSError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        self._driver = Driver(self._engine, Clock(), loop)
        routes = Routes(self._driver, self._callers, self._renderer.next_id)
        self._shared = Shared(loop=loop, driver=self._driver, routes=routes, renderer=self._renderer, log=self._log)
        self._listener = await loop.create_server(lambda: Connection(self._shared), host, port, backlog=_BACKLOG)
        self._host = host
        self._port = self._listener.sockets[0].getsockname()[1]
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)

    async def stop(self) -> None:
        """Answer those who wait with nothing, let last answers go out for `FLUSH_S` seconds at most, and leave."""
        self._listener.close()
        self._sweeper.cancel()
        self._driver.release_all()
        self._driver.stop()
        connections = self._shared.connections
        for connection in list(connections):
            connection.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FLUSH_S
        while connections and loop.time() < deadline:  # noqa: ASYNC110 - happens once, as the process ends
            await asyncio.sleep(0.005)
        for connection in list(connections):
            connection.abort()

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock on: what becomes due happens, and those who wait are answered."""
        self._driver.advance(seconds)

    def _sweep(self) -> None:
        for connection in list(self._shared.connections):
            connection.sweep()
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
