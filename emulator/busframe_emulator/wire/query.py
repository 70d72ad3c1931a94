"""The Query protocol, which SDKs spoke before the end of 2023, and `curl` still does: parameters in, XML out.

Parameters come form-encoded in the body of a POST or in the URL of a GET, to the root or to a queue's own URL. Whoever
asks for it (`Accept: application/json`) is answered in a JSON of this protocol's own instead of XML.

Source: Amazon SQS developer guide, "Making Query API requests" and "Query API responses".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec
from msgspec import Struct

from busframe_emulator.api.actions import Input, QueueInput
from busframe_emulator.api.errors import CATALOGUE, unknown_action
from busframe_emulator.api.reading import members_of, read
from busframe_emulator.api.service import HANDLED, Action
from busframe_emulator.wire import form, xml
from busframe_emulator.wire.message import Response

if TYPE_CHECKING:
    from busframe_emulator.api.results import AnyResult
    from busframe_emulator.engine.errors import SqsError

NAMESPACE: Final = "http://queue.amazonaws.com/doc/2012-11-05/"

_XML: Final = b"text/xml"
_JSON: Final = b"application/json"
_ONLY_AT_THE_ROOT: Final = frozenset({"CreateQueue", "ListQueues"})
_SMALL: Final = {"Messages": "messages", "QueueUrls": "queueUrls"}
"""Members that begin with a small letter in this protocol's JSON."""

_NO_SUCH_QUEUE: Final = "The specified queue does not exist for this wsdl version."

NO_ACTION: Final = Response(404, _XML, b"<UnknownOperationException/>\n")
"""The answer to a request that names no action, whatever it accepts."""


class Asked(NamedTuple):
    """A request of this protocol.

    Attributes:
        name: of the action.
        parameters: all of them, as a tree.
        credential: X-Amz-Credential of a presigned URL; empty if there is none.
    """

    name: str
    parameters: form.Node
    credential: str


def parse(encoded: bytes) -> Asked | None:
    """Read form-encoded parameters; None if they name no action.

    Raises:
        SqsError: they cannot be read.
    """
    parameters = form.parse(encoded)
    name = parameters.value("Action")
    return Asked(name, parameters, parameters.value("X-Amz-Credential") or "") if name else None


def decode(asked: Asked, path: str) -> tuple[Action, Input]:
    """Which action is asked for, and its checked input.

    Args:
        asked: the parameters.
        path: of the URL; a queue's own stands in for the parameter QueueUrl.

    Raises:
        SqsError: no such action here, or its input is at fault.
    """
    at_queue = path.strip("/") != ""
    action = HANDLED.get(asked.name)
    if action is None:
        raise unknown_action(asked.name[:100])
    if at_queue and asked.name in _ONLY_AT_THE_ROOT:
        raise unknown_action(asked.name)
    members = form.to_object(action.takes, asked.parameters)
    if at_queue and issubclass(action.takes, QueueInput):
        members.setdefault("QueueUrl", f"http://queue{path}")
    return action, read(action.takes, members)


class Answers:
    """How one request is to be answered.

    Args:
        name: of the action; of no matter if the request named none.
        request_id: it is in the body as well as in the head.
        accept: the header Accept.
    """

    def __init__(self, name: str, request_id: bytes, accept: bytes) -> None:
        self._name = name
        self._request_id = request_id
        self._json = _JSON in accept

    def encode(self, result: AnyResult) -> Response:
        """The response to an action that succeeded."""
        name, request_id = self._name, self._request_id.decode()
        if self._json:
            members: dict[str, object] = {}
            if result is not None:
                members[f"{name}Result"] = _to_json(result)
            members["ResponseMetadata"] = {"RequestId": request_id}
            return self._response(200, msgspec.json.encode({f"{name}Response": members}))
        content = "" if result is None else xml.element(f"{name}Result", xml.to_xml(result))
        metadata = xml.element("ResponseMetadata", xml.text_element("RequestId", request_id))
        return self._document(200, f"{name}Response", content + metadata)

    def encode_error(self, error: SqsError) -> Response:
        """The response to a refusal."""
        row = CATALOGUE[error.shape]
        message = _NO_SUCH_QUEUE if error.shape == "QueueDoesNotExist" else error.text
        fault = "Receiver" if row.status >= 500 else "Sender"  # noqa: PLR2004 - HTTP: 5xx is the server's own fault
        request_id = self._request_id.decode()
        if self._json:
            described = {"Code": row.code, "Message": message, "Type": fault}
            return self._response(row.status, msgspec.json.encode({"Error": described, "RequestId": request_id}))
        parts = (
            xml.text_element("Type", fault),
            xml.text_element("Code", row.code),
            xml.text_element("Message", message),
            xml.element("Detail", ""),
        )
        content = xml.element("Error", "".join(parts)) + xml.text_element("RequestId", request_id)
        return self._document(row.status, "ErrorResponse", content)

    def _document(self, status: int, root: str, content: str) -> Response:
        document = f'<?xml version="1.0"?><{root} xmlns="{NAMESPACE}">{content}</{root}>'
        return self._response(status, document.encode())

    def _response(self, status: int, body: bytes) -> Response:
        return Response(status, _JSON if self._json else _XML, body, request_id=self._request_id)


def _to_json(value: object) -> object:
    """A result in the JSON of this protocol, which is its XML written otherwise.

    Maps are lists of pairs there, as in the XML, and what is absent is null. Known from answers that came through API
    Gateway; Amazon describes this form nowhere.
    """
    if not isinstance(value, Struct):
        return value
    return {
        _SMALL.get(member.name, member.name): _show(getattr(value, member.field), member.extra.get("key", ""))
        for member in members_of(type(value))
    }


def _show(content: object, key: str) -> object:
    if isinstance(content, list):
        return [_to_json(item) for item in cast("list[object]", content)]
    if isinstance(content, dict):
        return [{key: name, "Value": _to_json(item)} for name, item in cast("dict[str, object]", content).items()]
    return _to_json(content)
