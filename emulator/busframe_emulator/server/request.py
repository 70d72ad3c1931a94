"""An HTTP request without the transport."""

from __future__ import annotations

from typing import Final

HOST: Final = b"host"
AUTHORIZATION: Final = b"authorization"
TARGET: Final = b"x-amz-target"
CONTENT_TYPE: Final = b"content-type"
CONTENT_LENGTH: Final = b"content-length"
ACCEPT: Final = b"accept"
EXPECT: Final = b"expect"
TRACE: Final = b"x-amzn-trace-id"
ORIGIN: Final = b"origin"
FETCH_SITE: Final = b"sec-fetch-site"
ASKED_METHOD: Final = b"access-control-request-method"
ASKED_HEADERS: Final = b"access-control-request-headers"

HEADERS: Final = frozenset(
    {
        HOST,
        AUTHORIZATION,
        TARGET,
        CONTENT_TYPE,
        CONTENT_LENGTH,
        ACCEPT,
        EXPECT,
        TRACE,
        ORIGIN,
        FETCH_SITE,
        ASKED_METHOD,
        ASKED_HEADERS,
    }
)
"""The headers anybody looks at. Others are not kept: an SDK sends a dozen."""


class Request:
    """A request with its body.

    Made empty when it begins, and filled as it is read.

    Attributes:
        method: such as b"POST".
        url: path and query, as sent.
        headers: of `HEADERS`, by lower-case name.
        keep_alive: whether the client will use the connection again.
        begun_ns: when it was handled first, on the clock of the access log; 0 where there is no log.
    """

    __slots__ = ("begun_ns", "body", "headers", "keep_alive", "method", "url")

    def __init__(self) -> None:
        self.method = b""
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.body: bytes | bytearray = b""
        self.keep_alive = True
        self.begun_ns = 0

    def without_content(self) -> Request:
        """What is needed to answer it."""
        bare = Request()
        bare.method = self.method
        bare.keep_alive = self.keep_alive
        return bare
