"""Turns a response into the bytes that go out.

There is no Date header: time in the emulator can be moved by hand, and SDKs correct their own clock by that header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from busframe_emulator.wire.message import Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_HEAD: Final = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\n%b%b"
_HEADS_MAX: Final = 1_000
_CLOSE: Final = b"Connection: close\r\n"
_PHRASES: Final = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}


class Renderer:
    """Makes whole responses, each with an identifier of its own in the form of a UUID.

    Heads differ in little but that identifier and the length, so all the rest is made once and kept. There are as many
    as there are kinds of answers, some dozens, and more only where an answer repeats what a browser sent.

    Args:
        salt: 64 bits that differ between processes.
    """

    __slots__ = ("_count", "_heads", "_id_prefix")

    def __init__(self, salt: int) -> None:
        high, low = divmod(salt & 0xFFFF_FFFF_FFFF_FFFF, 1 << 32)
        self._id_prefix = b"%08x-%04x-4%03x-8000-" % (high, low >> 16, low & 0xFFF)
        self._count = 0
        self._heads: dict[tuple[int, bytes, bytes, bool], bytes] = {}

    def next_id(self) -> bytes:
        """An identifier for a request whose answer has it in the body."""
        self._count += 1
        return b"%b%012x" % (self._id_prefix, self._count)

    def render(self, response: Response, *, keep_alive: bool = True, with_body: bool = True) -> bytes:
        """The whole response in one piece, since one piece is one system call."""
        body = response.body
        key = (response.status, response.content_type, response.extra_head, keep_alive)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _HEADS_MAX:
                self._heads.clear()
            head = self._heads[key] = _HEAD % (
                response.status,
                _PHRASES[response.status],
                response.content_type,
                response.extra_head,
                b"" if keep_alive else _CLOSE,
            )
        return b"%bx-amzn-RequestId: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            head,
            response.request_id or self.next_id(),
            len(body),
            body if with_body else b"",
        )
