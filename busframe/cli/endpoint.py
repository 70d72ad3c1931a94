"""`busframe run --metrics [HOST:]PORT`: pages over HTTP, for Prometheus and for probes.

As much of HTTP/1.1 as these ask for: one GET or HEAD on a connection, without a body. It runs in the event loop beside
the handlers, so it answers only where they let it, which is what a probe wants to know; and it is bounded: by
`CONNECTIONS_MAX` at a time, `HEAD_BYTES_MAX` of request, and `PATIENCE_S` for all of it.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import anyio
from anyio.abc import SocketAttribute

from busframe import runtime
from busframe.cli.output import complain
from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import Listener, SocketStream

_log = logging.getLogger("busframe.run")

LOOPBACK: Final = "127.0.0.1"
CONNECTIONS_MAX: Final = 32
HEAD_BYTES_MAX: Final = 8_192
PATIENCE_S: Final = 10.0
"""From a connection's first moment to its last; Prometheus gives up a scrape after as much."""

REST_S: Final = 0.5
"""How long what a client still sends is read after the answer: closed before, the connection takes the answer back."""

_END: Final = b"\r\n\r\n"


class Page(NamedTuple):
    """An answer."""

    status: HTTPStatus
    content_type: str
    text: str


class Pages(Protocol):
    """What is served."""

    async def page(self, path: str) -> Page | None:
        """Make the page of a path; None if there is none. Called by several connections at once."""
        ...


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int


def parse_address(text: str) -> Address:
    """Read `PORT` or `HOST:PORT`; a port alone is one of the loopback address.

    Raises:
        InvalidArgumentError: it is neither.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    # A colon with nothing before it means every address to some programs: that has to be said.
    if (colon and not bare) or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:  # noqa: PLR2004
        allowed = "PORT for the loopback address, or HOST:PORT, such as 9100 or 0.0.0.0:9100; port 0 takes a free one"
        raise InvalidArgumentError("--metrics", text, allowed)
    return Address(bare or LOOPBACK, int(port))


@asynccontextmanager
async def serving(address: Address | None, pages: Pages) -> AsyncGenerator[None]:
    """Serve for as long as the context lasts, and say where; an address of None serves nothing.

    Raises:
        InvalidArgumentError: the address cannot be listened at.
    """
    if address is None:
        yield
        return
    try:
        multi = await anyio.create_tcp_listener(local_host=address.host, local_port=address.port)
    except OSError as error:
        allowed = f"an address of this machine that is free: {error.strerror or error}"
        raise InvalidArgumentError("--metrics", f"{address.host}:{address.port}", allowed) from error
    async with multi, runtime.background_tasks() as tasks:
        server = _Server(pages)
        for listener in multi.listeners:
            # Always said, whatever the log's level: with port 0 nobody else knows it.
            complain(f"busframe run: metrics and health at {_url(listener)}/metrics and /health")
            tasks.start_soon(server.serve, listener)
        yield


def _url(listener: Listener[SocketStream]) -> str:
    host, port = listener.extra(SocketAttribute.raw_socket).getsockname()[:2]  # noqa: S610 - no database here
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._connections = 0

    async def serve(self, listener: Listener[SocketStream]) -> None:
        while True:
            try:
                await listener.serve(self._answer)
            except OSError as error:  # out of file descriptors: the handlers' trouble, and it may pass
                _log.warning("the metrics endpoint cannot take connections: %s", error)
                await runtime.sleep(1)

    async def _answer(self, stream: SocketStream) -> None:
        async with stream:
            if self._connections >= CONNECTIONS_MAX:
                return
            self._connections += 1
            try:
                with anyio.move_on_after(PATIENCE_S):
                    await self._exchange(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return
            finally:
                self._connections -= 1

    async def _exchange(self, stream: SocketStream) -> None:
        head = await _read_head(stream)
        method, page = await self._page(head)
        await stream.send(_response(page, with_body=method != "HEAD"))
        await stream.send_eof()
        with anyio.move_on_after(REST_S):
            while True:  # until the client closes: EndOfStream
                await stream.receive()

    async def _page(self, head: bytes | None) -> tuple[str, Page]:
        if head is None:
            return "", _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        match head.partition(b"\r\n")[0].decode("latin-1").split(" "):
            case [method, target, version] if version.startswith("HTTP/1."):
                pass
            case _:
                return "", _plain(HTTPStatus.BAD_REQUEST)
        if method not in {"GET", "HEAD"}:
            return method, _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            found = await self._pages.page(target.partition("?")[0])
        except Exception:  # noqa: BLE001 - the handlers must go on, whatever is wrong with the page
            _log.exception("the page %s could not be made", target)
            return method, _plain(HTTPStatus.INTERNAL_SERVER_ERROR)
        return method, _plain(HTTPStatus.NOT_FOUND) if found is None else found


async def _read_head(stream: SocketStream) -> bytes | None:
    """Everything up to the empty line; None if that is too much."""
    head = b""
    while _END not in head:
        if len(head) > HEAD_BYTES_MAX:
            return None
        head += await stream.receive(HEAD_BYTES_MAX)
    return head.partition(_END)[0]


def _plain(status: HTTPStatus) -> Page:
    return Page(status, "text/plain; charset=utf-8", f"{status} {status.phrase}\n")


def _response(page: Page, *, with_body: bool) -> bytes:
    body = page.text.encode()
    lines = [
        f"HTTP/1.1 {page.status} {page.status.phrase}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if page.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join(lines).encode() + _END + (body if with_body else b"")
