"""The hook in botocore: takes a request where it is built and checked, and answers it without sending it.

botocore emits `before-call.sqs.<Action>` when the request is ready; a handler that returns something has answered it.
What the handler returns is what botocore's own parser makes of a response, so that exceptions, paginators, waiters and
resources work on it as ever. This is a quarter of the work of answering at `before-send`, where requests are signed and
responses are bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from busframe_emulator.api.caller import Caller
from busframe_emulator.api.errors import CATALOGUE
from busframe_emulator.boto.polls import Poll, ThreadPoll
from busframe_emulator.engine.errors import SqsError
from busframe_emulator.wire import json10
from busframe_emulator.wire.identity import DEFAULT_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from busframe_emulator.api.results import AnyResult
    from busframe_emulator.boto.driver import Driver, Kind
    from busframe_emulator.boto.tasks import TaskPoll

_CONTENT_TYPE: Final = json10.CONTENT_TYPE.decode()
_ACCOUNT_DIGITS: Final = 12
_ERROR: Final = 500
_AS_THEY_ARE: Final = (bytes,)
"""What is not turned into JSON's types: botocore gives blobs as bytes."""


class HttpAnswer(NamedTuple):
    """What botocore and handlers of `after-call` look at in an HTTP response."""

    status_code: int
    headers: dict[str, str]


Answered = tuple[HttpAnswer, dict[str, Any]]
"""The response, and what botocore's parser would make of it."""


class Hook:
    """Answers the SQS requests of botocore's clients. Its methods are for any thread.

    Args:
        driver: of the engine.
        next_id: names a request.
    """

    def __init__(self, driver: Driver, next_id: Callable[[], bytes]) -> None:
        self._driver = driver
        self._next_id = next_id
        self._callers: dict[tuple[str, str, str], Caller] = {}

    def handle(
        self, *, model: Any, params: dict[str, Any], context: dict[str, Any], request_signer: Any, **_: object
    ) -> Answered:
        """Answer a request of botocore; a receive that waits blocks the thread.

        Args:
            model: botocore's description of the action.
            params: the request: its URL, headers and body.
            context: what is known of the client.
            request_signer: holds the client's credentials.
            _: botocore's own rule: handlers take whatever later versions may add.
        """
        answered = self._ask(model, params, context, request_signer, ThreadPoll)
        return self._answer(answered.wait(self._driver)) if isinstance(answered, ThreadPoll) else answered

    def handle_in_task(
        self, *, model: Any, params: dict[str, Any], context: dict[str, Any], request_signer: Any, **_: object
    ) -> Answered | Awaitable[Answered]:
        """Answer a request of aiobotocore, which awaits what can be awaited: a receive that waits holds up its task."""
        from busframe_emulator.boto.tasks import TaskPoll

        answered = self._ask(model, params, context, request_signer, TaskPoll)
        return self._answer_later(answered) if isinstance(answered, TaskPoll) else answered

    async def _answer_later(self, poll: TaskPoll) -> Answered:
        return self._answer(await poll.wait(self._driver))

    def _ask(
        self, model: Any, params: dict[str, Any], context: dict[str, Any], request_signer: Any, kind: type[Kind]
    ) -> Answered | Kind:
        target = params["headers"].get("X-Amz-Target")
        if target is None:
            raise RuntimeError("This botocore speaks the older protocol of SQS; 1.34.101 and later speak JSON.")
        try:
            action, given = json10.decode(target.encode(), params["body"])
            caller = self._caller(params["url"], context["client_region"], request_signer)
            result = self._driver.perform(action, caller, given, kind)
        except SqsError as error:
            return self._refuse(error, model.service_model)
        return result if isinstance(result, Poll) else self._answer(result)

    def _answer(self, result: AnyResult) -> Answered:
        parsed: dict[str, Any] = {} if result is None else msgspec.to_builtins(result, builtin_types=_AS_THEY_ARE)
        return self._respond(200, {}, parsed)

    def _refuse(self, error: SqsError, service: Any) -> Answered:
        row = CATALOGUE[error.shape]
        fault = "Receiver" if row.status >= _ERROR else "Sender"
        parsed: dict[str, Any] = {
            "Error": {
                "Message": error.text,
                "Code": row.code,
                "QueryErrorCode": row.kind.rpartition("#")[2],
                "Type": fault,
            }
        }
        # What botocore's endpoint adds; it looks by the legacy code, and so finds some errors only.
        shape = service.shape_for_error_code(row.code)
        if shape is not None and "message" in shape.members:
            parsed["message"] = error.text
        return self._respond(row.status, {"x-amzn-query-error": f"{row.code};{fault}"}, parsed)

    def _respond(self, status: int, headers: dict[str, str], parsed: dict[str, Any]) -> Answered:
        request_id = self._next_id().decode()
        headers |= {"content-type": _CONTENT_TYPE, "x-amzn-requestid": request_id}
        parsed["ResponseMetadata"] = {
            "RequestId": request_id,
            "HTTPStatusCode": status,
            "HTTPHeaders": headers,
            "RetryAttempts": 0,
        }
        return HttpAnswer(status, headers), parsed

    def _caller(self, url: str, region: str, request_signer: Any) -> Caller:
        """Who calls: the region of the client, the account of its access key, and queue URLs under its endpoint."""
        access_key = _access_key(request_signer)
        key = (url, region, access_key)
        caller = self._callers.get(key)
        if caller is None:
            is_account = len(access_key) == _ACCOUNT_DIGITS and access_key.isascii() and access_key.isdecimal()
            account = access_key if is_account else DEFAULT_ACCOUNT
            caller = self._callers[key] = Caller(
                region=region, account=account, base_url=url.rstrip("/"), access_key=access_key
            )
        return caller


def _access_key(request_signer: Any) -> str:
    """The access key of a client; empty if it has none, or has one that would have to be fetched from somewhere."""
    # botocore shows a client's credentials nowhere else.
    credentials = request_signer._credentials  # noqa: SLF001
    if credentials is None or hasattr(credentials, "refresh_needed"):
        return ""
    return str(credentials.access_key)
