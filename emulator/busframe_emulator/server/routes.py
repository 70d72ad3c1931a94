"""Which protocol a request speaks, and what is there besides SQS."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Final, Protocol

from busframe_emulator.engine.errors import SqsError
from busframe_emulator.server.driver import Receiver
from busframe_emulator.server.request import (
    ACCEPT,
    AUTHORIZATION,
    CONTENT_TYPE,
    FETCH_SITE,
    HOST,
    ORIGIN,
    TARGET,
    TRACE,
)
from busframe_emulator.wire import json10
from busframe_emulator.wire.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.api.guard import Guard
    from busframe_emulator.server.browsers import Browsers
    from busframe_emulator.server.control import Control
    from busframe_emulator.server.driver import Driver
    from busframe_emulator.server.metrics import Metrics
    from busframe_emulator.server.request import Request
    from busframe_emulator.server.trial import PartialBatches
    from busframe_emulator.wire.identity import Callers
    from busframe_emulator.wire.verified import VerifiedCallers

_TEXT: Final = b"text/plain; charset=utf-8"
_WELCOME: Final = b"Busframe: an Amazon SQS emulator. Point an AWS SDK at this address.\n"
_PAGES: Final = {
    b"/": Response(200, _TEXT, _WELCOME, b"Vary: Accept\r\n"),
    b"/health": Response(200, b"application/json", b'{"status":"ok"}'),
}
_NOT_FOUND: Final = Response(404, _TEXT, b"There is nothing here. SQS is at /, and so is a page for browsers.\n")
_FAILED: Final = Response(500, _TEXT, b"The emulator failed. Its log says why.\n")
_UNAVAILABLE: Final = Response(503, b"application/json", b'{"status":"failed"}')
_NOT_ALLOWED: Final = Response(405, _TEXT, b"Only GET, HEAD and POST.\n", b"Allow: GET, HEAD, POST\r\n")


class Client(Receiver, Protocol):
    """Who sent a request."""

    @property
    def peer(self) -> str:
        """The address it came from; empty if it has none."""
        ...

    def abort(self) -> None:
        """Break the connection off."""
        ...


class _Page:
    """A web page that waits, by its browser."""

    __slots__ = ("_client", "_show")

    def __init__(self, client: Client, show: Callable[[Response], Response]) -> None:
        self._client = client
        self._show = show

    @property
    def peer(self) -> str:
        return self._client.peer

    def answer(self, response: Response) -> None:
        self._client.answer(self._show(response))

    def abort(self) -> None:
        self._client.abort()


class Routes:
    """Answers requests.

    Args:
        driver: of the engine.
        callers: who calls.
        next_id: gives a request its identifier.
        metrics: is told what becomes of requests.
        make_control: makes what answers under `/_busframe/`, when that is asked for first.
        verified: who calls, by signatures that are verified; None to believe what callers say.
        guard: stands before the actions: enforces queue policies, lets entries of batches fail; None for nobody.
        make_browsers: makes what knows which web pages may ask, when a browser asks first.
    """

    def __init__(
        self,
        driver: Driver,
        callers: Callers,
        next_id: Callable[[], bytes],
        *,
        metrics: Metrics,
        make_control: Callable[[], Control],
        make_browsers: Callable[[], Browsers],
        verified: VerifiedCallers | None = None,
        guard: Guard | PartialBatches | None = None,
    ) -> None:
        self._driver = driver
        self._callers = callers
        self._next_id = next_id
        self._metrics = metrics
        self._make_control = make_control
        self._control: Control | None = None
        self._make_browsers = make_browsers
        self._browsers: Browsers | None = None
        self._verified = verified
        self._guard = guard

    def handle(self, request: Request, receiver: Client) -> Response | int:
        """Answer a request, or say under which number `receiver` waits for its answer. Never raises."""
        headers = request.headers
        if ORIGIN in headers or FETCH_SITE in headers:
            return self._handle_for_page(request, receiver)
        return self._handle(request, receiver)

    def _handle_for_page(self, request: Request, client: Client) -> Response | int:
        """Answer a browser."""
        if self._browsers is None:
            self._browsers = self._make_browsers()
        browsers = self._browsers
        if request.method == b"OPTIONS":
            return browsers.preflight(request) or _NOT_ALLOWED
        outcome = self._handle(request, _Page(client, lambda response: browsers.show(request, response)))
        return browsers.show(request, outcome) if isinstance(outcome, Response) else outcome

    def _handle(self, request: Request, receiver: Client) -> Response | int:
        headers = request.headers
        target = headers.get(TARGET, b"")
        if not target and not headers.get(CONTENT_TYPE, b"").startswith(b"application/x-amz-json"):
            return self._handle_other(request, receiver)
        if request.method != b"POST":
            return _NOT_ALLOWED
        try:
            caller = self._caller(request, headers.get(AUTHORIZATION, b""))
            action, given = json10.decode(target, request.body)
            if self._guard is not None:
                action = self._guard.before(action, receiver.peer)
            outcome = self._driver.perform(action, caller, given, receiver, json10)
        except SqsError as error:
            return self._refused(target, json10.encode_error(error))
        except Exception:  # noqa: BLE001 - a bug must not take the server down, nor leave the client without an answer
            return self._refused(target, json10.encode_error(_report_bug()))
        self._metrics.accepted[target] += 1
        return outcome

    def _handle_other(self, request: Request, receiver: Client) -> Response | int:
        """Answer what is not JSON 1.0: the Query protocol, or someone who looks."""
        path, _, parameters = request.url.partition(b"?")
        if path.startswith(b"/_busframe/") or path == b"/metrics":
            return self._handle_control(request, receiver, path, parameters)
        if path == b"/" and not parameters and request.method != b"POST" and b"text/html" in _accepted(request):
            return self._handle_control(request, receiver, b"/_busframe/page/", b"")
        if request.method in {b"GET", b"HEAD"} and not parameters and path.count(b"/") == 1:
            if path == b"/health" and self._driver.failure is not None:
                return _UNAVAILABLE
            return _PAGES.get(path, _NOT_FOUND)
        if request.method not in {b"GET", b"POST"}:
            return _NOT_ALLOWED
        return self._handle_query(request, receiver, path.decode("latin-1"), parameters)

    def _handle_control(self, request: Request, client: Client, path: bytes, parameters: bytes) -> Response | int:
        if self._control is None:
            self._control = self._make_control()
        try:
            return self._control.handle(request, client, path, parameters)
        except Exception:  # noqa: BLE001 - as above
            _report_bug()
            return _FAILED

    def _handle_query(self, request: Request, receiver: Client, path: str, parameters: bytes) -> Response | int:
        # Few need this protocol, and nobody should wait for it to be loaded at the start.
        from busframe_emulator.wire import query

        headers = request.headers
        request_id, accept = self._next_id(), _accepted(request)
        target = b""
        answers = query.Answers("", request_id, accept)
        try:
            asked = query.parse(b"&".join(part for part in (bytes(request.body), parameters) if part))
            if asked is None:
                return query.NO_ACTION
            target = f"{json10.TARGET_PREFIX}{asked.name}".encode()
            answers = query.Answers(asked.name, request_id, accept)
            caller = self._caller(request, headers.get(AUTHORIZATION) or f"Credential={asked.credential}".encode())
            action, given = query.decode(asked, path)
            if self._guard is not None:
                action = self._guard.before(action, receiver.peer)
            outcome = self._driver.perform(action, caller, given, receiver, answers)
        except SqsError as error:
            return self._refused(target, answers.encode_error(error))
        except Exception:  # noqa: BLE001 - as above
            return self._refused(target, answers.encode_error(_report_bug()))
        self._metrics.accepted[target] += 1
        return outcome

    def _refused(self, target: bytes, response: Response) -> Response:
        self._metrics.refuse(target, response.status)
        return response

    def _caller(self, request: Request, authorization: bytes) -> Caller:
        headers = request.headers
        if self._browsers is not None:  # one has asked for something; until then nothing has to be checked
            self._browsers.check(request)
        if self._verified is None:
            caller = self._callers.find(authorization, headers.get(HOST, b""))
        else:
            caller = self._verified.find(request.method, request.url, headers, request.body)
        return caller.with_trace(headers[TRACE].decode("latin-1")) if TRACE in headers else caller


def _accepted(request: Request) -> bytes:
    return request.headers.get(ACCEPT, b"")


def _report_bug() -> SqsError:
    traceback.print_exc(file=sys.stderr)
    return SqsError("InternalFailure", "The emulator failed. Its log says why.")
