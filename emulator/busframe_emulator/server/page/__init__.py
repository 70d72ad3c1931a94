"""The page at `/`: three files, no build step, nothing from elsewhere. Read when first asked for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from busframe_emulator.wire.message import Response

_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEAD: Final = (
    b"Content-Security-Policy: %b\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
    b"Cache-Control: no-cache\r\nVary: Accept\r\n" % _POLICY
)


class _File(NamedTuple):
    name: str
    content_type: bytes


_FILES: Final = {
    b"/_busframe/page/": _File("index.html", b"text/html; charset=utf-8"),
    b"/_busframe/page/page.css": _File("page.css", b"text/css; charset=utf-8"),
    b"/_busframe/page/page.js": _File("page.js", b"text/javascript; charset=utf-8"),
}


def serve_file(path: bytes) -> Response | None:
    """The file at a path; None if there is none."""
    return _read(path) if path in _FILES else None


@cache
def _read(path: bytes) -> Response:
    name, content_type = _FILES[path]
    return Response(200, content_type, (Path(__file__).parent / name).read_bytes(), _HEAD)
