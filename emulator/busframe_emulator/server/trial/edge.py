"""Requests and answers that get lost, late or refused on their way.

It stands in the place of `Routes`. A request that nothing happens to goes straight through; for any other there is an
`_Exchange`, which is a receiver to the server behind it and a waiting receive to the connection before it. Its number
is negative: the engine's are not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from busframe_emulator.delivery.sites import NetFault
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.server.request import AUTHORIZATION, TARGET
from busframe_emulator.wire import json10, query
from busframe_emulator.wire.message import Response

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle  # noqa: TID251 - the server is what owns the loop
    from collections.abc import Callable

    from busframe_emulator.server.driver import Driver
    from busframe_emulator.server.request import Request
    from busframe_emulator.server.routes import Client, Routes
    from busframe_emulator.server.trial.keeping import Trial

ANYBODY: Final = "anonymous"
"""The node of requests that are not signed."""

_KEY: Final = re.compile(rb"Credential=([^/,\s]+)").search
_ACTION: Final = re.compile(rb"(?:^|[&?])Action=([A-Za-z]+)").search
_SECOND_US: Final = 1_000_000
_TAKES_EFFECT: Final = frozenset({NetFault.LOST_ANSWER, NetFault.TIMEOUT})


class TrialRoutes:
    """Answers requests as `Routes` does, or does not."""

    def __init__(self, routes: Routes, driver: Driver, trial: Trial, loop: AbstractEventLoop) -> None:
        self.driver = driver
        self.loop = loop
        self._routes = routes
        self._trial = trial
        self._exchanges: dict[int, _Exchange] = {}
        self._made = 0

    def handle(self, request: Request, client: Client) -> Response | int:
        """See `Routes.handle`."""
        operation = _operation(request)
        if not operation:
            return self._routes.handle(request, client)
        trial = self._trial
        trial.node = node = _node(request)
        key = (node, operation, trial.count(operation))
        late_us, answer_late_us = trial.ask("net.request", key), trial.ask("net.answer", key)
        fault = trial.ask("net", key)
        if late_us is None and answer_late_us is None and fault is None:
            return self._routes.handle(request, client)
        self._made += 1
        exchange = _Exchange(self, -self._made, request, client, fault=fault, late_us=answer_late_us or 0)
        return exchange.begin(late_us or 0)

    def cancel(self, number: int) -> None:
        """See `Driver.cancel`."""
        if number >= 0:
            self.driver.cancel(number)
        elif (exchange := self._exchanges.pop(number, None)) is not None:
            exchange.cancel()

    def perform(self, request: Request, client: Client) -> Response | int:
        """Let a request through."""
        self._trial.node = _node(request)
        return self._routes.handle(request, client)

    def wait(self, number: int, exchange: _Exchange) -> None:
        """Somebody waits for the answer of this one."""
        self._exchanges[number] = exchange

    def forget(self, number: int) -> None:
        """Nobody does any more."""
        self._exchanges.pop(number, None)


class _Exchange:
    """One request on its way there and back."""

    def __init__(
        self, routes: TrialRoutes, number: int, request: Request, client: Client, *, fault: int | None, late_us: int
    ) -> None:
        self._routes = routes
        self._number = number
        self._request = request
        self._client = client
        self._fault = fault
        self._late_us = late_us
        self._waiter: int | None = None
        self._timer: TimerHandle | None = None
        # The connection waits for the answer: until then what is there is returned to it.
        self._is_awaited = False

    @property
    def peer(self) -> str:
        """See `Client`."""
        return self._client.peer

    def abort(self) -> None:
        """See `Client`."""
        self._client.abort()

    def begin(self, late_us: int) -> Response | int:
        """The request sets out: its answer, or the number under which the connection waits for it."""
        response = None if late_us > 0 else self._arrive()
        if response is not None:
            return response
        self._routes.wait(self._number, self)
        self._is_awaited = True
        if late_us > 0:
            self._later(late_us, self._arrive_late)
        return self._number

    def answer(self, response: Response) -> None:
        """See `Receiver`: the receive behind this has waited long enough."""
        self._waiter = None
        answer = self._travel_back(response)
        if answer is not None:
            self._hand_over(answer)

    def cancel(self) -> None:
        """The client is gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._waiter is not None:
            self._routes.driver.cancel(self._waiter)

    def _arrive_late(self) -> None:
        response = self._arrive()
        if response is not None:
            self._hand_over(response)

    def _arrive(self) -> Response | None:
        """The request is there; None if no answer is there yet, or there will be none."""
        if self._fault is not None and self._fault not in _TAKES_EFFECT:
            return self._fail()
        outcome = self._routes.perform(self._request, self)
        if isinstance(outcome, Response):
            return self._travel_back(outcome)
        self._waiter = outcome
        return None

    def _fail(self) -> Response | None:
        """Nothing is done."""
        if self._fault == NetFault.THROTTLED:
            return _refusal(self._request, "RequestThrottled", "The request was throttled.")
        if self._fault == NetFault.UNAVAILABLE:
            return _refusal(self._request, "ServiceUnavailable", "The service is unavailable for now.")
        self._client.abort()
        return None

    def _travel_back(self, response: Response) -> Response | None:
        """The effect is there."""
        if self._fault == NetFault.LOST_ANSWER:
            self._client.abort()
            return None
        if self._fault == NetFault.TIMEOUT:
            return None  # until the client loses its patience
        if self._late_us > 0:
            self._later(self._late_us, lambda: self._hand_over(response))
            return None
        return response

    def _hand_over(self, response: Response) -> None:
        assert self._is_awaited  # noqa: S101 - what is there at once is returned
        self._routes.forget(self._number)
        self._client.answer(response)

    def _later(self, late_us: int, act: Callable[[], None]) -> None:
        self._timer = self._routes.loop.call_later(late_us / _SECOND_US, act)


def _operation(request: Request) -> str:
    """The action of SQS that is asked for, in either protocol; empty for anything else."""
    target = request.headers.get(TARGET)
    if target is not None:
        return target.decode("latin-1").rpartition(".")[2]
    if request.url.startswith(b"/_busframe/") or request.method not in {b"GET", b"POST"}:
        return ""
    found = _ACTION(bytes(request.body)) or _ACTION(request.url)
    return found[1].decode() if found is not None else ""


def _node(request: Request) -> str:
    """Who calls, by its access key."""
    found = _KEY(request.headers.get(AUTHORIZATION, b"")) or _KEY(request.url.replace(b"%2F", b"/"))
    return found[1].decode("latin-1") if found is not None else ANYBODY


def _refusal(request: Request, shape: str, text: str) -> Response:
    error = SqsError(shape, text)
    if TARGET in request.headers:
        return json10.encode_error(error)
    return query.Answers(_operation(request), b"00000000-0000-0000-0000-000000000000", b"").encode_error(error)
