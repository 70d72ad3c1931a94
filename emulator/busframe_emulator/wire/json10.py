"""AWS JSON 1.0, the protocol of every current SDK.

The action is named by the header X-Amz-Target ("AmazonSQS.SendMessage"), members travel as one JSON object, blobs in
base64. An error names its shape in `__type` and, since SQS keeps the codes of its older protocol alive (the service
model says "awsQueryCompatible"), its legacy code in the header x-amzn-query-error.

There is no x-amz-crc32 header: Amazon SQS sends none, and SDKs that see one insist on checking it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from busframe_emulator.api.errors import CATALOGUE, malformed_input, unknown_action
from busframe_emulator.api.service import HANDLED, Action
from busframe_emulator.wire.message import Response

if TYPE_CHECKING:
    from busframe_emulator.api.actions import Input
    from busframe_emulator.api.results import AnyResult
    from busframe_emulator.engine.errors import SqsError

CONTENT_TYPE: Final = b"application/x-amz-json-1.0"
TARGET_PREFIX: Final = "AmazonSQS."

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NAME_SHOWN_MAX: Final = 100


class _Route(NamedTuple):
    action: Action
    decoder: msgspec.json.Decoder[Input]


_ROUTES: Final = {
    f"{TARGET_PREFIX}{name}".encode(): _Route(action, msgspec.json.Decoder(action.takes))
    for name, action in HANDLED.items()
}
_ENCODER: Final = msgspec.json.Encoder()


def decode(target: bytes, body: bytes | bytearray) -> tuple[Action, Input]:
    """Which action is asked for, and its checked input.

    Args:
        target: the header X-Amz-Target; empty if there is none.
        body: of the request; an empty one is an empty object.

    Raises:
        SqsError: no such action, or its input is at fault.
    """
    route = _ROUTES.get(target)
    if route is None:
        raise _refuse_target(target)
    try:
        return route.action, route.decoder.decode(body)
    except _UNREADABLE:
        from busframe_emulator.api.reading import read  # takes its time to load, and is for bad input only

        return route.action, read(route.action.takes, _parse(body))


def encode(result: AnyResult) -> Response:
    """The response to an action that succeeded."""
    return Response(200, CONTENT_TYPE, b"" if result is None else _ENCODER.encode(result))


def encode_error(error: SqsError) -> Response:
    """The response to a refusal."""
    row = CATALOGUE[error.shape]
    fault = b"Receiver" if row.status >= 500 else b"Sender"  # noqa: PLR2004 - HTTP: 5xx is the server's own fault
    return Response(
        row.status,
        CONTENT_TYPE,
        _ENCODER.encode({"__type": row.kind, "message": error.text}),
        b"x-amzn-query-error: %b;%b\r\n" % (row.code.encode(), fault),
    )


def _parse(body: bytes | bytearray) -> object:
    try:
        return msgspec.json.decode(body or b"{}")
    except _UNREADABLE:
        raise malformed_input("The request body is not valid JSON.") from None


def _refuse_target(target: bytes) -> SqsError:
    name = target.decode("ascii", "replace").removeprefix(TARGET_PREFIX)
    return unknown_action(name[:_NAME_SHOWN_MAX])
