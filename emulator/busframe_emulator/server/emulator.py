"""The server as a whole: start it, stop it, move its clock."""

from __future__ import annotations

import asyncio  # noqa: TID251 - the server is what owns the loop
import os
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine import Engine
from busframe_emulator.engine.ids import Ids
from busframe_emulator.engine.settings import Limits
from busframe_emulator.server.clock import Clock
from busframe_emulator.server.connection import SWEEP_S, Connection, Shared, VerifyingConnection
from busframe_emulator.server.driver import Driver
from busframe_emulator.server.metrics import Metrics
from busframe_emulator.server.rendering import Renderer
from busframe_emulator.server.routes import Routes
from busframe_emulator.wire.identity import DEFAULT_ACCOUNT, DEFAULT_REGION, Callers, check_public_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from busframe_emulator.api.guard import Guard
    from busframe_emulator.delivery.profiles import Profile
    from busframe_emulator.delivery.scripts import Script
    from busframe_emulator.limits import LimitValue
    from busframe_emulator.server.access_log import AccessLog
    from busframe_emulator.server.browsers import Browsers
    from busframe_emulator.server.configuration import QueuePlan
    from busframe_emulator.server.control import Control
    from busframe_emulator.server.persistence.journal import Journal
    from busframe_emulator.server.trial import PartialBatches, Trial, TrialRoutes
    from busframe_emulator.wire.verified import Keys, VerifiedCallers

FLUSH_S: Final = 0.5
"""How long stopping waits for clients to take their last answers."""

_BACKLOG: Final = 1_024


class EmulatorServer:
    """An SQS that any AWS SDK can talk to. Every method is for the event loop that `start` runs on.

    Args:
        region, account: of requests whose signature names none.
        limits: of the engine, also by name (`limits` has the names); None for those of AWS.
        log: prints a line for every request; None prints nothing.
        control_token: what `/_busframe/` and `/metrics` ask for; None lets this machine in, and no other.
        manual_clock: let time stand still until somebody moves it.
        queues: to be there from the start, as `configuration.read_queues` gives them.
        keys: verify signatures with these, as `keys.read_keys` gives them; None believes whatever callers say.
        enforce_policies: refuse what the queues' policies, and the actions of the keys, do not allow.
        public_url: what queue URLs begin with; None for the host as each caller writes it.
        cors: origins of the web pages that may use SQS from a browser, "*" for all; no page of another site otherwise.
        data: directory to keep everything in, so that it survives the process; None keeps nothing.
        flush: answer only when what was kept is on the disk itself, so that it survives a loss of power too.
        profile: be on trial: how hostile, of `delivery.profiles` ("calm", "realistic", "hostile", "swarm", or odds of
            your own). What happens is kept as a history, and judged. None if nothing of this is wanted.
        seed: of what happens by chance. With a seed or a script and no profile, the profile is calm.
        script: what is to happen besides, before chance.

    Attributes:
        on_failure: is called when the data cannot be kept any more: every request is refused from then on.

    Raises:
        ValueError: what is asked for cannot be.
    """

    def __init__(
        self,
        *,
        region: str = DEFAULT_REGION,
        account: str = DEFAULT_ACCOUNT,
        limits: Limits | Mapping[str, LimitValue] | None = None,
        log: AccessLog | None = None,
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
    ) -> None:
        limited = [key.access_key for key in keys.keys if key.limited] if keys is not None else []
        if limited and not enforce_policies:
            raise ValueError(
                f"the key {limited[0]} is limited to some actions, which needs policies to be enforced: "
                f"--enforce-policies, or in Python enforce_policies=True"
            )
        if control_token == "":
            raise ValueError("the control token is empty")
        if data == "":
            raise ValueError("the name of the data directory is empty")
        if flush and data is None:
            raise ValueError("there is nothing to flush to the disk where no data is kept")
        on_trial = not (profile is None and seed is None and script is None)
        if on_trial and data is not None:
            raise ValueError("the emulator cannot both be on trial (profile, seed, script) and keep its data")
        self._cors = cors
        if cors:
            self._make_browsers()  # so that a wrong one is refused now
        self._public_url = None if public_url is None else check_public_url(public_url)
        self._keys = keys
        self._enforce_policies = enforce_policies
        self._limits = limits if limits is None or isinstance(limits, Limits) else _read_limits(limits)
        self._trial = _make_trial(profile or "calm", seed or 0, script, self._limits) if on_trial else None
        self._engine = self._new_engine()
        self._callers = Callers(region=region, account=account, public_url=self._public_url)
        self._renderer = Renderer(_salt())
        self._metrics = Metrics()
        self._log = log
        self._control_token = control_token
        self._manual_clock = manual_clock
        self._queues = queues
        self._data = data
        self._flush = flush
        self._journal: Journal | None = None
        self._host = ""
        self._port = 0
        self.on_failure: Callable[[], None] = _ignore

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
            ConfigurationError: the queues that are kept do not allow those that are to be there.
            DataDirectoryError: the directory for the data cannot be used.
        """
        loop = asyncio.get_running_loop()
        self._driver = await self._make_driver(loop)
        try:
            await self._begin(loop, host, port)
        except BaseException:
            await self._driver.aclose()
            raise
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)

    async def _begin(self, loop: asyncio.AbstractEventLoop, host: str, port: int) -> None:
        if self._queues:
            from busframe_emulator.server.configuration import create_queues  # few have a file of queues

            create_queues(self._engine, self._driver.clock.now_us(), self._queues)
        await self._driver.start()
        routes = Routes(
            self._driver,
            self._callers,
            self._renderer.next_id,
            metrics=self._metrics,
            make_control=self._make_control,
            make_browsers=self._make_browsers,
            verified=self._make_verified(),
            guard=self._make_guard(),
        )
        behind: tuple[Driver, Routes] | tuple[TrialRoutes, TrialRoutes] = (self._driver, routes)
        if self._trial is not None:
            from busframe_emulator.server.trial import TrialRoutes  # most are not on trial

            edge = TrialRoutes(routes, self._driver, self._trial, loop)
            behind = (edge, edge)
        self._shared = Shared(loop=loop, driver=behind[0], routes=behind[1], renderer=self._renderer, log=self._log)
        connection_class = Connection if self._keys is None else VerifyingConnection
        self._listener = await loop.create_server(lambda: connection_class(self._shared), host, port, backlog=_BACKLOG)
        self._host = host
        self._port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Answer those who wait with nothing, let last answers go out for `FLUSH_S` seconds at most, and leave."""
        self._listener.close()
        self._sweeper.cancel()
        self._driver.release_all()
        await self._driver.aclose()
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

    def reset(self) -> None:
        """Be without queues, as at first. Who waits is answered with nothing; the clock goes on as it is."""
        if self._trial is not None:
            self._trial.reset()
        self._engine = self._new_engine() if self._journal is None else self._journal.begin_anew(self._limits)
        self._driver.replace(self._engine)

    @property
    def failure(self) -> str | None:
        """Why every request is refused; None while all is well."""
        return self._driver.failure

    async def _make_driver(self, loop: asyncio.AbstractEventLoop) -> Driver:
        if self._data is None:
            return Driver(self._engine, Clock(manual=self._manual_clock), loop, self._metrics)
        from busframe_emulator.server.persistence.driver import DurableDriver  # few keep anything
        from busframe_emulator.server.persistence.journal import open_journal

        self._journal = journal = await open_journal(self._data, self._limits, _salt, flush=self._flush)
        self._engine = journal.engine
        start_us = journal.start_us(Clock().now_us(), stands=self._manual_clock)
        clock = Clock(manual=self._manual_clock, start_us=start_us)
        return DurableDriver(journal, clock, loop, self._metrics, self._tell_failure)

    def _tell_failure(self) -> None:
        self.on_failure()

    def _new_engine(self) -> Engine:
        # A salt of its own, so that receipts of before a reset mean nothing after it.
        if self._trial is None:
            return Engine(ids=Ids(_salt()), limits=self._limits)
        return Engine(ids=Ids(_salt()), limits=self._limits, chooser=self._trial, sink=self._trial.note)

    def _make_verified(self) -> VerifiedCallers | None:
        if self._keys is None:
            return None
        import time

        from busframe_emulator.wire.verified import VerifiedCallers  # loads all that signatures need

        # The machine's clock and not the engine's, which a test can move: SDKs sign with the machine's.
        return VerifiedCallers(self._keys, time.time, public_url=self._public_url)  # noqa: TID251 - the server owns clocks

    def _make_guard(self) -> Guard | PartialBatches | None:
        guard = self._make_policy_guard()
        if self._trial is None:
            return guard
        from busframe_emulator.server.trial import PartialBatches  # most are not on trial

        return PartialBatches(self._trial, guard)

    def _make_policy_guard(self) -> Guard | None:
        if not self._enforce_policies:
            return None
        from busframe_emulator.api.guard import Guard  # loads all that policies need

        return Guard(secure=self._public_url is not None and self._public_url.startswith("https:"))

    def _make_browsers(self) -> Browsers:
        from busframe_emulator.server.browsers import Browsers  # needed once a browser asks

        return Browsers(self._cors)

    def _make_control(self) -> Control:
        from busframe_emulator.server.control import Control  # not needed by most, nor soon by any

        return Control(
            self._driver,
            self._callers,
            self._metrics,
            token=self._control_token,
            reset=self.reset,
            trial=self._trial,
        )

    def _sweep(self) -> None:
        for connection in list(self._shared.connections):
            connection.sweep()
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)


def _read_limits(given: Mapping[str, LimitValue]) -> Limits:
    from busframe_emulator.limits import make_limits  # few set any

    return make_limits(given)


def _make_trial(profile: str | Profile, seed: int, script: Script | None, limits: Limits | None) -> Trial:
    from busframe_emulator.delivery.adversary import Adversary  # most are not on trial
    from busframe_emulator.delivery.scripts import Script
    from busframe_emulator.server.trial import Trial

    return Trial(Adversary(profile=profile, seed=seed, script=script or Script()), limits)


def _salt() -> int:
    return int.from_bytes(os.urandom(8))


def _ignore() -> None:
    """Nobody wants to know."""
