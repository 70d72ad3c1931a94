"""What the errors of SQS and botocore become."""

from __future__ import annotations

import socket
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from sqs.fake import service_error

from busframe.backend import Plan, QueueSpec
from busframe.config import BackendUrl
from busframe.errors import (
    AccessDeniedError,
    BackendError,
    Effect,
    LeaseLostError,
    MessageRefusedError,
    MessageTooLargeError,
    QueueMismatchError,
    QueueNotFoundError,
    ReceiptInvalidError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from busframe.message import (
    Acknowledge,
    Extension,
    Failed,
    MessageId,
    Outgoing,
    QueueName,
    Receipt,
    Release,
    Sent,
    Settled,
)
from busframe_sqs import open_sqs
from busframe_sqs.errors import CODES, EXCEPTIONS, LEGACY_PREFIX, Doing, call_error, entry_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from sqs.fake import FakeClient

    from busframe.message import SendOutcome, Settlement, SettleOutcome
    from busframe_sqs import SqsBackend

    Serve = Callable[..., AbstractAsyncContextManager[SqsBackend]]

ORDERS = QueueName("orders")
exceptions: Any = import_module("botocore.exceptions")


def meaning(code: str, doing: Doing = "other", status: int = 400) -> BackendError:
    error = call_error(ORDERS, service_error(code, status), doing)
    assert error is not None
    return error


def failure_of(outcome: SendOutcome | SettleOutcome) -> BackendError:
    assert isinstance(outcome, Failed)
    return outcome.error


def effect_of(error: BackendError) -> Effect:
    return error.effect


def test_every_error_of_the_service_model_has_a_meaning_by_shape_and_by_legacy_code() -> None:
    loader: Any = import_module("botocore.loaders")
    shapes = loader.Loader().load_service_model("sqs", "service-2")["shapes"]
    errors = {name: shape.get("error", {}) for name, shape in shapes.items() if shape.get("exception")}
    assert len(errors) > 25
    unknown = {code for name, error in errors.items() for code in (name, error.get("code", name))}
    assert {code for code in unknown if code.removeprefix(LEGACY_PREFIX) not in CODES} == set()


@pytest.mark.parametrize(
    ("code", "kind", "effect", "retryable"),
    [
        ("QueueDoesNotExist", QueueNotFoundError, "none", False),
        ("AWS.SimpleQueueService.NonExistentQueue", QueueNotFoundError, "none", False),
        ("QueueAlreadyExists", QueueMismatchError, "none", False),
        ("AWS.SimpleQueueService.QueueDeletedRecently", UnavailableError, "none", True),
        ("AWS.SimpleQueueService.PurgeQueueInProgress", ThrottledError, "none", True),
        ("RequestThrottled", ThrottledError, "none", True),
        ("KMS.ThrottlingException", ThrottledError, "none", True),
        ("KMS.DisabledException", StorageError, "none", False),
        ("ReceiptHandleIsInvalid", ReceiptInvalidError, "none", False),
        ("AWS.SimpleQueueService.MessageNotInflight", LeaseLostError, "none", False),
        ("AccessDenied", AccessDeniedError, "none", False),
        ("InvalidParameterValue", BackendError, "none", False),
        ("InternalError", UnavailableError, "unknown", True),
    ],
)
def test_a_code_has_one_meaning(code: str, kind: type[BackendError], effect: str, *, retryable: bool) -> None:
    error = meaning(code)
    assert (type(error), error.effect, error.retryable) == (kind, effect, retryable)
    assert "orders" in str(error)
    assert "because" in str(error)


@pytest.mark.parametrize(
    ("doing", "kind"), [("send", MessageRefusedError), ("settle", LeaseLostError), ("other", BackendError)]
)
def test_an_invalid_parameter_means_what_was_asked(doing: Doing, kind: type[BackendError]) -> None:
    assert type(meaning("InvalidParameterValue", doing)) is kind
    entry = entry_error(ORDERS, {"Id": "0", "SenderFault": True, "Code": "InvalidParameterValue"}, doing)
    assert type(entry) is kind


@pytest.mark.parametrize(
    ("status", "kind", "effect"),
    [
        (400, BackendError, "none"),
        (403, AccessDeniedError, "none"),
        (429, ThrottledError, "none"),
        (502, UnavailableError, "unknown"),
        (0, UnavailableError, "unknown"),
    ],
)
def test_a_code_nobody_knows_is_judged_by_the_http_status(status: int, kind: type[BackendError], effect: str) -> None:
    error = meaning("Gibberish", status=status)
    assert (type(error), error.effect) == (kind, effect)


def test_an_entrys_code_nobody_knows_is_judged_by_whose_fault_it_is() -> None:
    assert type(entry_error(ORDERS, {"Id": "0", "SenderFault": True, "Code": "Gibberish"}, "send")) is BackendError
    error = entry_error(ORDERS, {"Id": "0", "SenderFault": False, "Code": "Gibberish"}, "send")
    assert (type(error), effect_of(error)) == (UnavailableError, "unknown")


def test_the_exceptions_named_are_botocores() -> None:
    parsers: Any = import_module("botocore.parsers")
    newer = {"LoginError"}
    assert {n for n in EXCEPTIONS if not hasattr(exceptions, n) and not hasattr(parsers, n)} <= newer


@pytest.mark.parametrize(
    ("error", "kind", "effect"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), UnavailableError, "none"),
        (exceptions.ConnectTimeoutError(endpoint_url="http://x"), UnavailableError, "none"),
        (exceptions.ReadTimeoutError(endpoint_url="http://x"), UnavailableError, "unknown"),
        (exceptions.ConnectionClosedError(endpoint_url="http://x"), UnavailableError, "unknown"),
        (exceptions.SSLError(endpoint_url="http://x", error="e"), UnavailableError, "unknown"),
        (exceptions.NoCredentialsError(), AccessDeniedError, "none"),
        (exceptions.UnauthorizedSSOTokenError(), AccessDeniedError, "none"),
        (exceptions.ParamValidationError(report="r"), BackendError, "none"),
        (exceptions.DataNotFoundError(data_path="p"), BackendError, "unknown"),
    ],
)
def test_an_exception_of_botocore_has_a_meaning(error: Exception, kind: type[BackendError], effect: str) -> None:
    meant = call_error(ORDERS, error, "other")
    assert meant is not None
    assert (type(meant), meant.effect) == (kind, effect)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (exceptions.NoCredentialsError(), "`aws configure`"),
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), "endpoint_url, and whether it runs"),
        (exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "SendMessage"), "`busframe topology iam`"),
        (exceptions.ClientError({"Error": {"Code": "ExpiredToken"}}, "SendMessage"), "look at the credentials"),
    ],
)
def test_an_error_that_somebody_can_mend_says_what_to_look_at(error: Exception, advice: str) -> None:
    assert advice in str(call_error(ORDERS, error, "other"))


def test_what_is_neither_the_services_nor_the_clients_has_none() -> None:
    assert call_error(ORDERS, ConnectionError("mine"), "other") is None


@pytest.mark.anyio
async def test_a_refused_connection_surely_had_no_effect() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with open_sqs(BackendUrl.parse(f"sqs://eu-west-1?endpoint_url={endpoint}")) as backend:
            with pytest.raises(UnavailableError, match="orders") as caught:
                await backend.send(ORDERS, [Outgoing(body="x")])
    assert effect_of(caught.value) == "none"
    assert isinstance(caught.value.__cause__, exceptions.EndpointConnectionError)


@pytest.mark.anyio
async def test_an_entry_that_the_answer_does_not_mention_may_have_been_sent(
    client: FakeClient, serve_fake: Serve
) -> None:
    refused = {"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "no"}
    client.answer("send_message_batch", {"Successful": [{"Id": "2", "MessageId": "c"}], "Failed": [refused]})
    async with serve_fake() as backend:
        first, second, third = await backend.send(ORDERS, [Outgoing(body=body) for body in "abc"])
    assert isinstance(failure_of(first), MessageRefusedError)
    assert isinstance(failure_of(second), UnavailableError)
    assert (effect_of(failure_of(first)), effect_of(failure_of(second))) == ("none", "unknown")
    assert third == Sent(message_id=MessageId("c"))


@pytest.mark.anyio
async def test_an_entry_that_the_answer_does_not_mention_may_have_been_settled(
    client: FakeClient, serve_fake: Serve
) -> None:
    async with serve_fake() as backend:
        (settled,) = await backend.settle(ORDERS, [Acknowledge(receipt=Receipt("r"))])
        (extended,) = await backend.extend(ORDERS, [Extension(receipt=Receipt("r"), lease_s=1)])
    for outcome in (settled, extended):
        assert failure_of(outcome).effect == "unknown"
    assert client.names.count("delete_message_batch") == 1


@pytest.mark.anyio
async def test_messages_that_are_too_large_are_never_sent(client: FakeClient, serve_fake: Serve) -> None:
    too_large = Outgoing(body="x" * 1_048_577)
    client.answer("send_message_batch", {"Successful": [{"Id": "1", "MessageId": "b"}]})
    async with serve_fake() as backend:
        first, second, third = await backend.send(ORDERS, [too_large, Outgoing(body="b"), too_large])
        (alone,) = await backend.send(ORDERS, [too_large])
    assert second == Sent(message_id=MessageId("b"))
    for outcome in (first, third, alone):
        assert isinstance(failure_of(outcome), MessageTooLargeError)
    (sent,) = client.parameters("send_message_batch")
    assert [entry["Id"] for entry in sent["Entries"]] == ["1"]


@pytest.mark.anyio
async def test_one_half_of_a_mixed_batch_may_fail_as_a_whole(client: FakeClient, serve_fake: Serve) -> None:
    batch: list[Settlement] = [Acknowledge(receipt=Receipt("a")), Release(receipt=Receipt("b"))]
    client.refuse("delete_message_batch", "RequestThrottled")
    client.answer("change_message_visibility_batch", {"Successful": [{"Id": "1"}]})
    async with serve_fake() as backend:
        acknowledged, released = await backend.settle(ORDERS, batch)
        client.refuse("change_message_visibility_batch", "RequestThrottled")
        with pytest.raises(ThrottledError):
            await backend.settle(ORDERS, batch)
    assert isinstance(failure_of(acknowledged), ThrottledError)
    assert released == Settled()


@pytest.mark.anyio
async def test_a_name_that_is_still_blocked_after_a_removal_says_when_to_come_back(
    client: FakeClient, serve_fake: Serve
) -> None:
    client.refuse("get_queue_url", "AWS.SimpleQueueService.NonExistentQueue")
    client.refuse("create_queue", "AWS.SimpleQueueService.QueueDeletedRecently")
    async with serve_fake() as backend:
        with pytest.raises(UnavailableError, match="wait a minute") as caught:
            await backend.provision(Plan(queues=(QueueSpec(name=ORDERS),)))
    assert effect_of(caught.value) == "none"
