"""The URLs, and what each does.

Every one of them asks `access` first, save the files of the page: there is nothing in them, and a browser could not
send a token along for them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from busframe_emulator.api.caller import Caller
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.engine.inspection import inspect_messages, inspect_queues
from busframe_emulator.engine.settings import QueueAddress
from busframe_emulator.server.control import access, parameters, views
from busframe_emulator.server.control.answers import RefusedError, answer, answer_text
from busframe_emulator.server.control.exposition import CONTENT_TYPE, expose
from busframe_emulator.server.page import serve_file
from busframe_emulator.server.request import HOST
from busframe_emulator.wire import json10

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.server.driver import Driver
    from busframe_emulator.server.metrics import Metrics
    from busframe_emulator.server.request import Request
    from busframe_emulator.server.routes import Client
    from busframe_emulator.server.trial import Trial
    from busframe_emulator.wire.identity import Callers
    from busframe_emulator.wire.message import Response

_PATHS: Final = (
    "/health, /metrics, /_busframe/queues, /_busframe/queues/ACCOUNT/NAME/messages, /_busframe/clock, "
    "/_busframe/reset, /_busframe/actions/ACTION, /_busframe/script, /_busframe/history, /_busframe/check"
)
_READS: Final = frozenset({b"GET", b"HEAD"})


class Control:
    """Answers what is under `/_busframe/`, and `/metrics`.

    Args:
        driver: of the engine.
        callers: knows how the URLs of queues are written.
        metrics: what was counted.
        token: what to ask for; None lets this machine in, and no other.
        reset: makes an end of all queues.
        trial: the trial that the emulator is on, if it is.
    """

    def __init__(
        self,
        driver: Driver,
        callers: Callers,
        metrics: Metrics,
        *,
        token: str | None,
        reset: Callable[[], None],
        trial: Trial | None = None,
    ) -> None:
        self._driver = driver
        self._callers = callers
        self._metrics = metrics
        self._token = token
        self._reset_engine = reset
        self._trial = trial
        self._table: list[tuple[re.Pattern[str], dict[bytes, Callable[..., Response | int]]]] = [
            (re.compile(r"/_busframe/queues"), {b"GET": self._queues}),
            (re.compile(r"/_busframe/queues/([^/]+)/([^/]+)/messages"), {b"GET": self._messages}),
            (re.compile(r"/_busframe/clock"), {b"GET": self._clock, b"POST": self._change_clock}),
            (re.compile(r"/_busframe/reset"), {b"POST": self._reset}),
            (re.compile(r"/_busframe/actions/([^/]+)"), {b"POST": self._act}),
            (re.compile(r"/_busframe/script"), {b"GET": self._script, b"PUT": self._change_script}),
            (re.compile(r"/_busframe/history"), {b"GET": self._history}),
            (re.compile(r"/_busframe/check"), {b"GET": self._check}),
            (re.compile(r"/metrics"), {b"GET": self._expose}),
        ]

    def handle(self, request: Request, client: Client, path: bytes, query: bytes) -> Response | int:
        """Answer a request, or say under which number the client waits for its answer.

        Args:
            request: what is asked.
            client: who asks.
            path: of the request's URL.
            query: what follows the question mark there.
        """
        try:
            if (response := serve_file(path)) is not None and request.method in _READS:
                return response
            access.check(request, client.peer, self._token)
            outcome = self._dispatch(request, client, path.decode("latin-1"), query)
            if isinstance(outcome, int):
                return outcome
            return self._driver.settled(outcome, client, json10)
        except RefusedError as refused:
            return refused.response()

    def _dispatch(self, request: Request, client: Client, path: str, query: bytes) -> Response | int:
        method = b"GET" if request.method in _READS else request.method
        for pattern, methods in self._table:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            if method not in methods:
                allowed = b", ".join(methods)
                raise RefusedError(405, f"Only {allowed.decode()}.", None, b"Allow: %b\r\n" % allowed)
            return methods[method](request, client, query, *(unquote(part) for part in found.groups()))
        raise RefusedError(404, f"There is nothing here. There is {_PATHS}.")

    # --- sight ------------------------------------------------------------------------------------------------------

    def _queues(self, request: Request, client: Client, query: bytes) -> Response:  # noqa: ARG002 - all are called alike
        parameters.read_url(query, parameters.Nothing)
        now_us = self._driver.clock.now_us()
        url_of = self._callers.find(b"", request.headers.get(HOST, b"")).queue_url
        seen = inspect_queues(self._driver.engine, now_us)
        return answer(
            {"queues": views.show_queues(seen, now_us, url_of), "clock": views.show_clock(self._driver.clock)}
        )

    def _messages(self, request: Request, client: Client, query: bytes, account: str, name: str) -> Response:  # noqa: ARG002
        page = parameters.read_url(query, parameters.MessagesPage)
        queue = QueueAddress(page.region or self._own(request).region, account, name)
        try:
            seen = inspect_messages(
                self._driver.engine, self._driver.clock.now_us(), queue, after=page.after, limit=page.limit
            )
        except SqsError:
            raise RefusedError(404, f"There is no queue {queue.arn}.") from None
        return answer(
            views.MessagesView(
                messages=[views.show_message(message) for message in seen.messages],
                next=str(seen.messages[-1].ordinal) if seen.more else None,
            )
        )

    def _expose(self, request: Request, client: Client, query: bytes) -> Response:  # noqa: ARG002 - all are called alike
        now_us = self._driver.clock.now_us()
        return answer_text(CONTENT_TYPE, expose(self._metrics, inspect_queues(self._driver.engine, now_us), now_us))

    # --- knobs ------------------------------------------------------------------------------------------------------

    def _clock(self, request: Request, client: Client, query: bytes) -> Response:  # noqa: ARG002 - all are called alike
        parameters.read_url(query, parameters.Nothing)
        return answer(views.show_clock(self._driver.clock))

    def _change_clock(self, request: Request, client: Client, query: bytes) -> Response:  # noqa: ARG002 - as above
        parameters.read_url(query, parameters.Nothing)
        change = parameters.read_body(request, parameters.ClockChange)
        if change.mode is not None:
            self._driver.set_manual(change.mode == "manual")
        if change.advance_s:
            self._driver.advance(change.advance_s)
        return answer(views.show_clock(self._driver.clock))

    def _reset(self, request: Request, client: Client, query: bytes) -> Response:  # noqa: ARG002 - as above
        parameters.read_url(query, parameters.Nothing)
        parameters.read_body(request, parameters.Nothing)
        self._reset_engine()
        return answer({})

    def _act(self, request: Request, client: Client, query: bytes, name: str) -> Response | int:
        """Do an action of SQS, for whom the URL says: the way in of the page, which has no key to sign with."""
        scope = parameters.read_url(query, parameters.ActionScope)
        own = self._own(request)
        caller = Caller(region=scope.region or own.region, account=scope.account or own.account, base_url=own.base_url)
        if name == "ReceiveMessage":
            raise RefusedError(400, "Receive over SQS itself: here nobody could wait.")
        target = f"{json10.TARGET_PREFIX}{name}".encode()
        try:
            action, given = json10.decode(target, request.body)
            done = self._driver.perform(action, caller, given, client, json10)
        except SqsError as error:
            refused = json10.encode_error(error)
            self._metrics.refuse(target, refused.status)
            return refused
        self._metrics.accepted[target] += 1
        return done

    # --- the trial --------------------------------------------------------------------------------------------------

    def _script(self, request: Request, client: Client, query: bytes) -> Response:  # noqa: ARG002 - all are called alike
        parameters.read_url(query, parameters.Nothing)
        return answer(self._on_trial().show_script())

    def _change_script(self, request: Request, client: Client, query: bytes) -> Response:  # noqa: ARG002 - as above
        parameters.read_url(query, parameters.Nothing)
        trial = self._on_trial()
        trial.use(parameters.read_script(request))
        return answer(trial.show_script())

    def _history(self, request: Request, client: Client, query: bytes) -> Response:  # noqa: ARG002 - as above
        parameters.read_url(query, parameters.Nothing)
        return answer_text(b"application/jsonl", self._on_trial().history())

    def _check(self, request: Request, client: Client, query: bytes) -> Response:  # noqa: ARG002 - as above
        allow = [name for name in parameters.read_url(query, parameters.Allowance).allow.split(",") if name]
        trial = self._on_trial()
        self._driver.engine.look(self._driver.clock.now_us())
        try:
            return answer(trial.check(allow))
        except ValueError as error:
            raise RefusedError(400, f"{error}.", "allow") from None

    def _on_trial(self) -> Trial:
        if self._trial is None:
            raise RefusedError(409, "The emulator is not on trial: start it with --profile, --seed or --script.")
        return self._trial

    def _own(self, request: Request) -> Caller:
        """Who calls without saying on whose behalf."""
        return self._callers.find(b"", request.headers.get(HOST, b""))
