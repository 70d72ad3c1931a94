"""What a test uses: an SQS of its own, and the clients that reach it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from busframe_emulator.boto.driver import Driver
from busframe_emulator.boto.hook import Hook
from busframe_emulator.boto.sessions import make_client, make_session
from busframe_emulator.delivery import CALM
from busframe_emulator.engine import Engine, Ids, Limits
from busframe_emulator.limits import make_limits
from busframe_emulator.server.rendering import Renderer
from busframe_emulator.wire.identity import DEFAULT_ACCOUNT, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from botocore.config import Config

    from busframe_emulator.delivery import Chooser
    from busframe_emulator.delivery.adversary import Adversary
    from busframe_emulator.delivery.profiles import Profile
    from busframe_emulator.delivery.scripts import Script
    from busframe_emulator.engine.events import Event
    from busframe_emulator.limits import LimitValue

ClockKind = Literal["real", "manual"]

_EVENT: Final = "before-call.sqs"


class EmulatedSqs:
    """An SQS in this process, with queues of its own. Its methods are for any thread.

    Clients are boto3's or aiobotocore's own and have no type of theirs, hence `Any`. The region of a client is that of
    its queues; an access key of twelve digits names its account.

    Args:
        clock: `real` goes on by itself and can be advanced; `manual` is only ever advanced (what a long poll then
            does is told in `driver`).
        limits: by name, such as `{"in_flight_max": 10}`, where they are not to be those of AWS; `limits` has the names.
        chooser: decides where SQS leaves a choice; `delivery.chooser` has the questions.
        profile, seed, script: in the place of a chooser: how hostile, and what is to happen before chance
            (`delivery.adversary`). Calls do not get lost here: there is no network.

    Attributes:
        adversary: what these three have made, which knows what came up; None without them.

    Raises:
        ValueError: there is no such clock, limit or profile, a limit's value is out of its range, or there is both a
            chooser and a profile.
    """

    def __init__(
        self,
        *,
        clock: ClockKind = "real",
        limits: Limits | Mapping[str, LimitValue] | None = None,
        chooser: Chooser = CALM,
        profile: str | Profile | None = None,
        seed: int | None = None,
        script: Script | None = None,
    ) -> None:
        if clock not in {"real", "manual"}:
            raise ValueError(f"the clock is real or manual, not {clock!r}")
        if not isinstance(limits, Limits):
            limits = make_limits(limits or {})
        self.adversary = _make_adversary(profile, seed, script)
        if self.adversary is not None:
            if chooser is not CALM:
                raise ValueError(
                    "there is both a chooser and a profile, seed or script: they are one thing or the other"
                )
            chooser = self.adversary
        salt = int.from_bytes(os.urandom(8))
        engine = Engine(ids=Ids(salt), limits=limits, chooser=chooser, sink=_listener(self.adversary))
        self._driver = Driver(engine, manual=clock == "manual")
        self._hook = Hook(self._driver, Renderer(salt).next_id)
        self._detach: list[Callable[[], None]] = []

    def client(
        self, *, region_name: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT, config: Config | None = None
    ) -> Any:
        """A new boto3 client.

        Args:
            region_name: of its queues: the same names in another are other queues.
            account: twelve digits; likewise.
            config: of botocore, such as its retries; None is botocore's own.
        """
        client = make_client(region_name=region_name, account=account, config=config)
        client.meta.events.register_last(_EVENT, self._hook.handle)
        return client

    def session(self, *, region_name: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT) -> Any:
        """A new boto3 session. Its SQS clients and resources come here; those of other services go to AWS as ever.

        As `client` for the arguments.
        """
        session = make_session(region_name=region_name, account=account)
        session.events.register_last(_EVENT, self._hook.handle)
        return session

    def resource(self, *, region_name: str = DEFAULT_REGION, account: str = DEFAULT_ACCOUNT) -> Any:
        """A new boto3 resource. As `client` for the arguments."""
        return self.session(region_name=region_name, account=account).resource("sqs")

    def attach(self, target: Any) -> None:
        """Lead the SQS calls of what is there already to this SQS, until it is closed.

        A client that another `EmulatedSqs` has stays with that one until it is closed.

        Args:
            target: a client, a resource, or a session of boto3, botocore or aiobotocore. Of a session it is the
                clients made after this call, and these stay attached: once this is closed their calls are refused.

        Raises:
            TypeError: the target is none of these.
        """
        events = events_of(target)
        handler = self._hook.handle_in_task if _is_asynchronous(target) else self._hook.handle
        events.register_last(_EVENT, handler)
        self._detach.append(lambda: events.unregister(_EVENT, handler))

    def advance(self, seconds: float) -> None:
        """Move the clock on: what becomes due has happened on return, and receives that wait are answered.

        Args:
            seconds: 0 or more.
        """
        self._driver.advance(seconds)

    def close(self) -> None:
        """Answer receives that wait with nothing, let go of what was attached, refuse all further calls."""
        self._driver.close()
        while self._detach:
            self._detach.pop()()


@contextmanager
def emulated_sqs(
    *,
    clock: ClockKind = "real",
    limits: Limits | Mapping[str, LimitValue] | None = None,
    chooser: Chooser = CALM,
    profile: str | Profile | None = None,
    seed: int | None = None,
    script: Script | None = None,
) -> Generator[EmulatedSqs]:
    """An `EmulatedSqs` that is closed when the block ends. As `EmulatedSqs` for the arguments."""
    sqs = EmulatedSqs(clock=clock, limits=limits, chooser=chooser, profile=profile, seed=seed, script=script)
    try:
        yield sqs
    finally:
        sqs.close()


def _make_adversary(profile: str | Profile | None, seed: int | None, script: Script | None) -> Adversary | None:
    if profile is None and seed is None and script is None:
        return None
    from busframe_emulator.delivery.adversary import Adversary  # most are calm
    from busframe_emulator.delivery.scripts import Script

    return Adversary(profile=profile or "calm", seed=seed or 0, script=script or Script())


def events_of(target: Any) -> Any:
    """Where hooks are hung up: clients and resources have it in `meta`, sessions of boto3 and of botocore elsewhere."""
    meta = getattr(target, "meta", None)
    if meta is not None:
        return getattr(meta, "client", target).meta.events
    if hasattr(target, "events"):
        return target.events
    if hasattr(target, "get_component"):
        return target.get_component("event_emitter")
    raise TypeError(f"a client, resource or session of boto3, botocore or aiobotocore is expected, not {target!r}")


def _is_asynchronous(target: Any) -> bool:
    return any(kind.__module__.partition(".")[0] in {"aiobotocore", "aioboto3"} for kind in type(target).__mro__)


def _listener(adversary: Adversary | None) -> Callable[[Event], None] | None:
    """Tell an adversary what happens, if its script waits for something to happen."""
    if adversary is None or not adversary.listens:
        return None
    from busframe_emulator.delivery.triggers import Happenings  # the same

    happenings = Happenings()

    def listen(event: Event) -> None:
        for happening in happenings.of(event):
            adversary.happened(happening)

    return listen
