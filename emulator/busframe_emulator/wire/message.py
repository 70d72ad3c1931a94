"""An HTTP response without the transport, as the protocols make it."""

from __future__ import annotations

from msgspec import Struct


class Response(Struct, frozen=True, gc=False):
    """What to answer. A Struct, since one is made per request, and it takes a third of a NamedTuple's time.

    Attributes:
        status: 200 to 599.
        content_type: of the body.
        body: empty for an action that says no more than that it is done.
        extra_head: further header lines, each ended by CR LF. The length is the server's to add.
        request_id: of the header x-amzn-RequestId; empty to be given one.
    """

    status: int
    content_type: bytes
    body: bytes
    extra_head: bytes = b""
    request_id: bytes = b""
