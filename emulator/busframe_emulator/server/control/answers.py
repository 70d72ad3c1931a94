"""The answers, all of them JSON but for the page and the metrics."""

from __future__ import annotations

from typing import Final

import msgspec

from busframe_emulator.wire.message import Response

_JSON: Final = b"application/json"
_HEAD: Final = b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"


class RefusedError(Exception):
    """A request is refused.

    Attributes:
        status: of the response.
        text: why.
        parameter: the one at fault; None if it is not about one.
        extra_head: further header lines.
    """

    def __init__(self, status: int, text: str, parameter: str | None = None, extra_head: bytes = b"") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.parameter = parameter
        self.extra_head = extra_head

    def response(self) -> Response:
        """What to say."""
        document = {"error": self.text}
        if self.parameter is not None:
            document["parameter"] = self.parameter
        return Response(self.status, _JSON, msgspec.json.encode(document), _HEAD + self.extra_head)


def answer(document: object) -> Response:
    """Answer with a document."""
    return Response(200, _JSON, msgspec.json.encode(document), _HEAD)


def answer_text(content_type: bytes, text: str) -> Response:
    """Answer with a text of another kind."""
    return Response(200, content_type, text.encode(), _HEAD)
