"""The access log: a line for every request, as it is answered, for people to read.

    14:03:22.118  SendMessage       orders        200     0.2 ms
    14:03:22.121  ReceiveMessage    orders        200  1204.9 ms
    14:03:23.400  SendMessage       nowhere       400     0.1 ms  AWS.SimpleQueueService.NonExistentQueue
    14:03:24.007  GET /health                     200     0.0 ms

The time is that of the machine, not the emulator's, which a test may move. What a client sent is shown with anything
that is not printable replaced, so that no request can forge a line.
"""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Final, TextIO
from urllib.parse import unquote_plus

import msgspec

from busframe_emulator.server.request import TARGET

if TYPE_CHECKING:
    from busframe_emulator.server.request import Request
    from busframe_emulator.wire.message import Response

_MILLISECOND_NS: Final = 1_000_000
_SHOWN_MAX: Final = 80
_ERROR: Final = re.compile(rb"x-amzn-query-error: ([^;\r]+)").search
_XML_ERROR: Final = re.compile(rb"<Code>([^<]+)</Code>").search
_UNSAFE: Final = re.compile(r"[^\x21-\x7e]")


class _Named(msgspec.Struct, rename="pascal"):
    """What says which queue a request is about."""

    queue_url: str = ""
    queue_name: str = ""


_DECODER: Final = msgspec.json.Decoder(_Named)


class AccessLog:
    """Prints lines.

    Args:
        to: where; None for standard output.
    """

    def __init__(self, to: TextIO | None = None) -> None:
        self._to = to

    def begin(self, request: Request) -> None:
        """A request is taken up."""
        request.begun_ns = time.perf_counter_ns()

    def end(self, request: Request, response: Response) -> None:
        """It is answered."""
        spent_ms = (time.perf_counter_ns() - request.begun_ns) / _MILLISECOND_NS
        now_s, now_ns = divmod(time.time_ns(), 1_000_000_000)  # noqa: TID251 - the log's own time
        clock = time.strftime("%H:%M:%S", time.localtime(now_s))
        action, queue = _what(request)
        line = f"{clock}.{now_ns // _MILLISECOND_NS:03d}  {action:<28} {queue:<24} {response.status} {spent_ms:8.1f} ms"
        error = _ERROR(response.extra_head) or _XML_ERROR(response.body)
        print(line + (f"  {error[1].decode('latin-1')}" if error else ""), file=self._to or sys.stdout, flush=True)


def _what(request: Request) -> tuple[str, str]:
    """The action and the queue; of a request that is not SQS, the method and the path."""
    target = request.headers.get(TARGET)
    if target:
        return _printable(target.rpartition(b".")[2].decode("latin-1")), _printable(_queue_in_json(request.body))
    path, _, in_url = request.url.partition(b"?")
    parameters = b"&".join((bytes(request.body), in_url))
    action = _parameter("Action", parameters)
    if not action:
        return _printable(f"{request.method.decode('latin-1')} {path.decode('latin-1')}", keep=" "), ""
    queue = _parameter("QueueUrl", parameters) or _parameter("QueueName", parameters) or path.decode("latin-1")
    return _printable(action), _printable(_last(queue))


def _queue_in_json(body: bytes | bytearray) -> str:
    try:
        named = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return _last(named.queue_url) or named.queue_name


def _parameter(name: str, encoded: bytes) -> str:
    found = re.search(rb"(?:^|&)%b=([^&]*)" % name.encode(), encoded)
    return unquote_plus(found[1].decode("latin-1")) if found else ""


def _last(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]


def _printable(text: str, keep: str = "") -> str:
    return "".join(character if character in keep else _UNSAFE.sub("?", character) for character in text[:_SHOWN_MAX])
