"""Which protocol a request speaks, and what is there besides SQS."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.errors import SqsError
from busframe_emulator.server.request import ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, TARGET, TRACE
from busframe_emulator.wire import json10
from busframe_emulator.wire.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.server.driver import Driver, Receiver
    from busframe_emulator.server.request import Request
    from busframe_emulator.wire.identity import Callers

_TEXT: Final = b"text/plain; charset=utf-8"
_PAGES: Final = {
    b"/": Response(200, _TEXT, b"Busframe: an Amazon SQS emulator. Point an AWS SDK at this address.\n"),
    b"/health": Response(200, b"application/json", b'{"status":"ok"}'),
}
_NOT_FOUND: Final = Response(404, _TEXT, b"There is nothing here.\n")
_NOT_ALLOWED: Final = Response(405, _TEXT, b"Only GET, HEAD and POST.\n", b"Allow: GET, HEAD, POST\r\n")


class Routes:
    """Answers requests.

    Args:
        driver: of the engine.
        callers: who calls.
        next_id: gives a request its identifier.
    """

    def __init__(self, driver: Driver, callers: Callers, next_id: Callable[[], bytes]) -> None:
        self._driver = driver
        self._callers = callers
        self._next_id = next_id

    def handle(self, request: Request, receiver: Receiver) -> Response | int:
        """Answer a request, or say under which number `receiver` waits for its answer. Never raises."""
        headers = request.headers
        target = headers.get(TARGET, b"")
        if not target and not headers.get(CONTENT_TYPE, b"").startswith(b"application/x-amz-json"):
            return self._handle_other(request, receiver)
        if request.method != b"POST":
            return _NOT_ALLOWED
        try:
            action, given = json10.decode(target, request.body)
            caller = self._caller(request, headers.get(AUTHORIZATION, b""))
            return self._driver.perform(action, caller, given, receiver, json10.encode)
        except SqsError as error:
            return json10.encode_error(error)
        except Exception:  # noqa: BLE001 - a bug must not take the server down, nor leave the client without an answer
            return json10.encode_error(_report_bug())

    def _handle_other(self, request: Request, receiver: Receiver) -> Response | int:
        """Answer what is not JSON 1.0: the Query protocol, or someone who looks."""
        path, _, parameters = request.url.partition(b"?")
        if request.method in {b"GET", b"HEAD"} and not parameters and path.count(b"/") == 1:
            return _PAGES.get(path, _NOT_FOUND)
        if request.method not in {b"GET", b"POST"}:
            return _NOT_ALLOWED
        return self._handle_query(request, receiver, path.decode("latin-1"), parameters)

    def _handle_query(self, request: Request, receiver: Receiver, path: str, parameters: bytes) -> Response | int:
        # Few need this protocol, and nobody should wait for it to be loaded at the start.
        from busframe_emulator.wire import query

        headers = request.headers
        request_id, accept = self._next_id(), headers.get(ACCEPT, b"")
        answers = query.Answers("", request_id, accept)
        try:
            asked = query.parse(b"&".join(part for part in (bytes(request.body), parameters) if part))
            if asked is None:
                return query.NO_ACTION
            answers = query.Answers(asked.name, request_id, accept)
            action, given = query.decode(asked, path)
            caller = self._caller(request, headers.get(AUTHORIZATION) or f"Credential={asked.credential}".encode())
            return self._driver.perform(action, caller, given, receiver, answers.encode)
        except SqsError as error:
            return answers.encode_error(error)
        except Exception:  # noqa: BLE001 - as above
            return answers.encode_error(_report_bug())

    def _caller(self, request: Request, authorization: bytes) -> Caller:
        headers = request.headers
        caller = self._callers.find(authorization, headers.get(HOST, b""))
        return caller.with_trace(headers[TRACE].decode("latin-1")) if TRACE in headers else caller


def _report_bug() -> SqsError:
    traceback.print_exc(file=sys.stderr)
    return SqsError("InternalFailure", "The emulator failed. Its log says why.")
