"""One client's connection: bytes to requests, responses to bytes, in order.

The rules:

- Requests of one connection are answered one after the other, in the order they came. While a receive waits, or the
  client does not read its answers, further requests are kept (a backlog) and, beyond `BACKLOG_MAX`, left in the socket.
- What a client may make the server hold is bounded: the head, the body, what belongs to neither (the sizes of chunks,
  trailers), the backlog, the time it takes over a request.
- The end of the client's data is taken as its leaving: a receive that waits is then called off, so that it does not
  take messages nobody will see.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - the server is what owns the loop
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import httptools

from busframe_emulator.server.rendering import CONTINUE
from busframe_emulator.server.request import CONTENT_LENGTH, EXPECT, HEADERS, Request
from busframe_emulator.wire.message import Response

if TYPE_CHECKING:
    from busframe_emulator.server.access_log import AccessLog
    from busframe_emulator.server.driver import Driver
    from busframe_emulator.server.rendering import Renderer
    from busframe_emulator.server.routes import Routes
    from busframe_emulator.server.trial import TrialRoutes

HEAD_BYTES_MAX: Final = 65_536
"""Of a request line with its headers; an SDK's has about 1,000."""

BODY_BYTES_MAX: Final = 8 * 1_048_576
"""The largest message is 1 MiB; in JSON a byte of it can take six, but none that takes six may be in a message."""

BACKLOG_MAX: Final = 64
BACKLOG_BYTES_MAX: Final = BODY_BYTES_MAX
"""Of the bodies in it; then one more can be on its way."""

CHUNK_OVERHEAD_MAX: Final = 8
"""Bytes for each byte of a body that comes in chunks: five, if each chunk has one."""

SWEEP_S: Final = 10
"""Timeouts are counted in sweeps over all connections, since a timer for each request would cost more than the rest."""

REQUEST_SWEEPS_MAX: Final = 6
"""For sending a whole request, or for reading an answer."""

IDLE_SWEEPS_MAX: Final = 60
"""Between requests. SDKs keep connections for later, and retry if one was closed on them."""

_READ_BYTES: Final = 65_536

_UNSENT_BYTES_MAX: Final = 65_536
"""More than this is sent at once, so that pipelined requests cannot make the server hold all their answers."""

_REFUSALS: Final = {
    400: b"This is not HTTP/1.1.\n",
    408: b"The request did not come within a minute.\n",
    413: b"The body of a request can have %d bytes.\n" % BODY_BYTES_MAX,
    431: b"The headers of a request can have %d bytes.\n" % HEAD_BYTES_MAX,
}

_NO_REQUEST: Final = Request()
"""Stands in where none is being read; nobody writes to it."""

_IDLE, _HEAD, _BODY = range(3)
"""What the client is about: nothing, the head of a request, its body."""


class _RefusedError(Exception):
    """Raised out of the parser's callbacks to stop it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Shared:
    """What the connections of one server have in common.

    Attributes:
        driver: cancels receives that wait; on trial the routes do.
        buffer: where all of them read to; what is read is used up before the next one reads.
        log: is told when a request is taken up and when it is answered; None for nobody.
        unsent: the connections that have answers to send once all that was read in this turn of the loop is handled.
            Sending at once would wake the client's process for each answer, and waking costs more than answering.
    """

    __slots__ = ("buffer", "connections", "driver", "log", "loop", "renderer", "routes", "unsent")

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        driver: Driver | TrialRoutes,
        routes: Routes | TrialRoutes,
        renderer: Renderer,
        log: AccessLog | None,
    ) -> None:
        self.loop = loop
        self.driver = driver
        self.routes = routes
        self.renderer = renderer
        self.log = log
        self.connections: set[Connection] = set()
        self.buffer = memoryview(bytearray(_READ_BYTES))
        self.unsent: list[Connection] = []

    def flush(self) -> None:
        """Send all answers there are."""
        unsent, self.unsent = self.unsent, []
        for connection in unsent:
            connection.flush()


class Connection(asyncio.BufferedProtocol):
    """A client's connection, as asyncio and httptools call it."""

    __slots__ = (
        "_backlog",
        "_backlog_bytes",
        "_closing",
        "_out",
        "_parser",
        "_phase",
        "_request",
        "_shared",
        "_sweeps",
        "_transport",
        "_unfinished_bytes",
        "_unread",
        "_waiter",
        "_waiting",
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._request = _NO_REQUEST  # the one that is being read
        self._phase = _IDLE
        self._unfinished_bytes = 0  # of the request that is being read
        self._backlog: deque[Request] | None = None  # made when needed, which for most is never
        self._backlog_bytes = 0
        self._waiter: int | None = None
        self._waiting: Request | None = None  # the one that waits
        self._out: bytes = b""
        self._unread = False  # the client does not read its answers
        self._closing = False
        self._sweeps = 0
        # Made when bytes come, and let go while a receive waits: there may be thousands that wait.
        self._parser: httptools.HttpRequestParser | None = None

    # --- asyncio calls these ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._shared.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it went does not matter
        """It is gone."""
        self._closing = True
        self._shared.connections.discard(self)
        self._backlog = None
        self._parser = None  # it holds this connection's methods: a cycle that only the garbage collector would end
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            self._shared.driver.cancel(waiter)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - one size for all
        """Where to read to."""
        return self._shared.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came in."""
        if self._closing:
            return
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(self._shared.buffer[:nbytes])
        except httptools.HttpParserUpgrade:
            # The request itself has been answered; what would follow is not HTTP/1.1.
            self._refuse(400)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if not isinstance(cause, _RefusedError):
                raise
            self._refuse(cause.status)
        except httptools.HttpParserError:
            self._refuse(400)
        if self._phase == _IDLE:
            if self._waiter is not None:
                self._parser = None
        else:
            # The read in which a request begins may hold others too, so one read more than the limit is let pass.
            self._unfinished_bytes += nbytes
            of_body = len(self._request.body) * (1 + CHUNK_OVERHEAD_MAX)
            if self._unfinished_bytes > HEAD_BYTES_MAX + _READ_BYTES + of_body:
                self._refuse(431)

    def pause_writing(self) -> None:
        """The client reads slower than it asks."""
        self._unread = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._unread = False
        self._continue()

    # --- the parser calls these -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._request = Request()
        self._unfinished_bytes = 0
        self._phase = _HEAD
        self._sweeps = 0

    def on_url(self, url: bytes) -> None:
        """The request line's URL, or a piece of it."""
        self._request.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole. Those after the body (trailers) are not looked at."""
        name = name.lower()
        if name in HEADERS and self._phase == _HEAD:
            self._request.headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._phase = _BODY
        headers = self._request.headers
        if int(headers.get(CONTENT_LENGTH, b"0")) > BODY_BYTES_MAX:
            raise _RefusedError(413)
        if EXPECT in headers and headers[EXPECT].lower() == b"100-continue" and self._is_free():
            self._send(CONTINUE)

    def on_body(self, piece: bytes) -> None:
        """The body, or a piece of it."""
        request = self._request
        if not request.body:
            request.body = piece
            return
        if not isinstance(request.body, bytearray):
            request.body = bytearray(request.body)
        request.body += piece
        if len(request.body) > BODY_BYTES_MAX:
            raise _RefusedError(413)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._phase = _IDLE
        request, parser = self._request, self._parser
        assert parser is not None  # noqa: S101 - it is what calls; tells the type checkers
        self._request = _NO_REQUEST
        request.method = parser.get_method()
        request.keep_alive = parser.should_keep_alive()
        if self._is_free():
            self._handle(request)
        elif not self._closing:
            if self._backlog is None:
                self._backlog = deque()
            self._backlog.append(request)
            self._backlog_bytes += len(request.body)
            if len(self._backlog) >= BACKLOG_MAX or self._backlog_bytes >= BACKLOG_BYTES_MAX:
                self._transport.pause_reading()

    # --- routes call these ------------------------------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The client's address; empty if it has none."""
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if name else ""

    # --- answering --------------------------------------------------------------------------------------------------

    def answer(self, response: Response) -> None:
        """Answer the receive that waited."""
        request, self._waiting, self._waiter = self._waiting, None, None
        if request is not None:
            self._write(request, response)
            # At once, unlike other answers: what came is for someone who waits, and not for the one who brought it.
            self.flush()
        if self._backlog:
            # Not at once: this is called from within another client's request.
            self._shared.loop.call_soon(self._continue)

    def flush(self) -> None:
        """Send the answers there are."""
        if self._out:
            out, self._out = self._out, b""
            self._transport.write(out)

    def sweep(self) -> None:
        """Count another `SWEEP_S` seconds since the last request began, and leave if they are too many."""
        self._sweeps += 1
        if self._phase != _IDLE:
            if self._sweeps >= REQUEST_SWEEPS_MAX:
                self._refuse(408)
        elif self._unread:
            if self._sweeps >= REQUEST_SWEEPS_MAX:
                self.abort()
        elif self._waiter is None and self._sweeps >= IDLE_SWEEPS_MAX:
            self.close()

    def close(self) -> None:
        """Leave, once what was written has gone out."""
        self.flush()
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Leave at once."""
        self._transport.abort()

    def _is_free(self) -> bool:
        """Whether a request can be handled now: none waits before it, and the client reads."""
        return self._waiter is None and not (self._unread or self._backlog or self._closing)

    def _handle(self, request: Request) -> None:
        shared = self._shared
        if shared.log is not None:
            shared.log.begin(request)
        outcome = shared.routes.handle(request, self)
        if isinstance(outcome, Response):
            self._write(request, outcome)
        else:
            self._waiter = outcome
            # What it says was read, and there may be thousands that wait.
            self._waiting = request.without_content() if shared.log is None else request

    def _continue(self) -> None:
        """Handle what was kept, as far as that is possible now."""
        backlog = self._backlog
        while backlog and self._waiter is None and not self._unread and not self._closing:
            request = backlog.popleft()
            self._backlog_bytes -= len(request.body)
            self._handle(request)
        if not backlog and not self._unread and not self._closing:
            self._transport.resume_reading()

    def _write(self, request: Request, response: Response) -> None:
        shared = self._shared
        keep_alive = request.keep_alive
        self._send(shared.renderer.render(response, keep_alive=keep_alive, with_body=request.method != b"HEAD"))
        if not keep_alive:
            self.close()
        if shared.log is not None:
            shared.log.end(request, response)

    def _send(self, data: bytes) -> None:
        """Send with the others of this turn of the loop."""
        if not self._out:
            unsent = self._shared.unsent
            if not unsent:
                self._shared.loop.call_soon(self._shared.flush)
            unsent.append(self)
        self._out += data
        if len(self._out) > _UNSENT_BYTES_MAX:
            self.flush()

    def _refuse(self, status: int) -> None:
        """Say what is wrong with the bytes that came, and leave."""
        if self._closing:
            return
        if self._is_free():
            response = Response(status, b"text/plain; charset=utf-8", _REFUSALS[status])
            self._send(self._shared.renderer.render(response, keep_alive=False))
        self.close()


class VerifyingConnection(Connection):
    """A connection whose requests keep all their headers, since a signature may cover any of them."""

    __slots__ = ()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole. Of several with one name the values are joined, as a signature has them."""
        if self._phase != _HEAD:
            return
        headers = self._request.headers
        name, value = name.lower(), value.strip()
        headers[name] = b"%b,%b" % (headers[name], value) if name in headers else value
