"""What a browser may ask of SQS on behalf of a web page.

Any page that somebody on this machine has open can make their browser send requests here: with a form it can even send
what the Query protocol understands, without seeing the answer. Browsers say so, in the headers Origin and
Sec-Fetch-Site, which scripts cannot set; SDKs outside of browsers send neither. So a request for a page of another site
is refused, unless its origin was named: then the answers also say what a browser wants to hear (CORS).

Source: W3C Fetch Metadata Request Headers; WHATWG Fetch Standard, "CORS protocol".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from busframe_emulator.engine.errors import SqsError
from busframe_emulator.server.request import ASKED_HEADERS, ASKED_METHOD, FETCH_SITE, HOST, ORIGIN
from busframe_emulator.wire.message import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from busframe_emulator.server.request import Request

EVERYONE: Final = "*"

_ORIGIN: Final = re.compile(r"null|[a-z][a-z0-9+.-]*://[^\s/?#@*]+").fullmatch
_HEADER_NAMES: Final = re.compile(rb"[A-Za-z0-9_, -]{0,4000}").fullmatch
_OWN_SITE: Final = frozenset({b"same-origin", b"none"})
"""Fetch Metadata: asked for by a page of this very origin, or by the user."""

_SHOWN_MAX: Final = 100
_TEXT: Final = b"text/plain; charset=utf-8"
_PREFLIGHT: Final = (
    b"Access-Control-Allow-Methods: GET, POST\r\n"
    b"Access-Control-Allow-Private-Network: true\r\n"
    b"Access-Control-Max-Age: 600\r\n"
)


def is_foreign(request: Request) -> bool:
    """Whether a browser asks for a page of another site."""
    headers = request.headers
    if headers.get(FETCH_SITE, b"none") not in _OWN_SITE:
        return True
    origin = headers.get(ORIGIN)
    # A proxy may have taken TLS off, so the scheme says nothing.
    return origin is not None and origin.partition(b"://")[2] != headers.get(HOST, b"")


def _refusal(request: Request) -> str:
    origin = request.headers.get(ORIGIN, b"").decode("latin-1")[:_SHOWN_MAX] or EVERYONE
    reason = "A browser asks for this on behalf of a page of another site."
    return f"{reason} To let it, start the emulator with --cors {origin}"


class Browsers:
    """Knows which pages may ask.

    Args:
        origins: of the pages that may, such as "http://localhost:3000"; "*" for all.

    Raises:
        ValueError: one is no origin.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)
        for origin in self._origins - {EVERYONE}:
            if not _ORIGIN(origin):
                raise ValueError(f'an origin has to be like http://localhost:3000, or "*", not {origin}')

    def check(self, request: Request) -> None:
        """Let a request pass.

        Raises:
            SqsError: AccessDenied, saying how to let it.
        """
        if is_foreign(request) and not self._allows(request):
            raise SqsError("AccessDeniedException", _refusal(request))

    def preflight(self, request: Request) -> Response | None:
        """The answer to a browser's question whether it may ask; None if this is no such question."""
        headers = request.headers
        if ASKED_METHOD not in headers:
            return None
        if not self._allows(request):
            # The page learns nothing of it; whoever looks for the reason in the browser's tools finds this text.
            return Response(403, _TEXT, _refusal(request).encode())
        asked = headers.get(ASKED_HEADERS, b"")
        names = b"Access-Control-Allow-Headers: %b\r\n" % asked if asked and _HEADER_NAMES(asked) else b""
        return self.show(request, Response(200, _TEXT, b"", _PREFLIGHT + names))

    def show(self, request: Request, response: Response) -> Response:
        """Let the page that asked see the response, if it may."""
        if not self._allows(request):
            return response
        head = (
            b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n"
            b"Access-Control-Expose-Headers: x-amzn-RequestId, x-amzn-query-error\r\n" % request.headers[ORIGIN]
        )
        return replace(response, extra_head=response.extra_head + head)

    def _allows(self, request: Request) -> bool:
        origin = request.headers.get(ORIGIN)
        return origin is not None and (EVERYONE in self._origins or origin.decode("latin-1") in self._origins)
