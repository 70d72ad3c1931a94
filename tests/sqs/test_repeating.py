"""Calls about queues are repeated when that can help, since nobody above would."""

# ruff: noqa: N803 - the parameters are spelled as the service spells them

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqs.fake import service_error
from sqs.test_provisioning import Account

from busframe import runtime
from busframe.backend import Plan, QueueSpec
from busframe.errors import (
    AccessDeniedError,
    BackendError,
    QueueMismatchError,
    ThrottledError,
    UnavailableError,
)
from busframe.message import Outgoing, QueueName
from busframe.sending import ATTEMPTS_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from sqs.fake import FakeClient

    from busframe_sqs import SqsBackend

    Serve = Callable[..., AbstractAsyncContextManager[SqsBackend]]

pytestmark = pytest.mark.anyio

ORDERS, OLD = QueueName("orders"), QueueName("old")
SPEC = QueueSpec(name=ORDERS, labels={"owner": "billing"})


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody waits; what would have been waited, at the most, is noted."""
    waited: list[float] = []

    async def note(delay_s: float) -> None:
        waited.append(delay_s)

    monkeypatch.setattr(runtime, "random", lambda: 1.0)
    monkeypatch.setattr(runtime, "sleep", note)
    return waited


@dataclass
class Lost:
    """Lets calls of one name fail, so many times, before or after their effect, and then succeed."""

    client: FakeClient
    name: str

    def fail(self, times: int, error: Exception, *, done: bool = False) -> None:
        answer = self.client.answers.get(self.name) or cast("Any", getattr(self.client, f"_{self.name}", _nothing))

        def call(**parameters: object) -> object:
            nonlocal times
            if times <= 0:
                return answer(**parameters)
            times -= 1
            if done:
                answer(**parameters)
            raise error

        self.client.answers[self.name] = call


def _nothing(**_: object) -> object:
    return {}


def no_answer() -> Exception:
    exceptions: Any = import_module("botocore.exceptions")
    error: Exception = exceptions.ReadTimeoutError(endpoint_url="sqs")
    return error


async def provision(backend: SqsBackend) -> None:
    await backend.provision(Plan(queues=(SPEC,)))


async def adjust(backend: SqsBackend) -> None:
    await backend.provision(Plan(queues=(QueueSpec(name=OLD, labels={"new": "1"}),)))


async def purge(backend: SqsBackend) -> None:
    await backend.purge(OLD)


CALLS: list[tuple[str, Callable[[SqsBackend], Awaitable[object]]]] = [
    ("get_queue_url", lambda backend: backend.stats(OLD)),
    ("get_queue_attributes", lambda backend: backend.stats(OLD)),
    ("create_queue", provision),
    ("tag_queue", provision),
    ("set_queue_attributes", adjust),
    ("untag_queue", adjust),
    ("list_queue_tags", lambda backend: backend.describe(OLD)),
    ("list_queues", lambda backend: backend.list_queues()),
    ("purge_queue", purge),
    ("delete_queue", lambda backend: backend.remove(OLD)),
]


@pytest.fixture
def account(client: FakeClient) -> Account:
    account = Account(client)
    account.add("old", DelaySeconds="5")
    account.tags["old"] = {"stale": "x"}
    return account


@pytest.mark.parametrize("error", [service_error("RequestThrottled", 403), service_error("ServiceUnavailable", 503)])
@pytest.mark.parametrize(("name", "make"), CALLS, ids=[name for name, _ in CALLS])
async def test_every_call_about_a_queue_outlives_throttling_and_failures_of_the_service(
    client: FakeClient,
    serve_fake: Serve,
    account: Account,
    *,
    waits: list[float],
    name: str,
    make: Callable[[SqsBackend], Awaitable[object]],
    error: Exception,
) -> None:
    assert account.attributes
    Lost(client, name).fail(ATTEMPTS_MAX - 1, error)
    async with serve_fake() as backend:
        await make(backend)
    assert client.names.count(name) >= ATTEMPTS_MAX
    assert waits == [0.2, 0.4, 0.8, 1.6]


@pytest.mark.parametrize(("name", "make"), CALLS, ids=[name for name, _ in CALLS])
async def test_the_last_of_so_many_failures_is_raised(
    client: FakeClient,
    serve_fake: Serve,
    account: Account,
    name: str,
    make: Callable[[SqsBackend], Awaitable[object]],
) -> None:
    assert account.attributes
    Lost(client, name).fail(1000, service_error("RequestThrottled", 403))
    async with serve_fake() as backend:
        with pytest.raises(ThrottledError):
            await make(backend)
    assert client.names.count(name) == ATTEMPTS_MAX


@pytest.mark.parametrize(("name", "make"), CALLS, ids=[name for name, _ in CALLS])
async def test_every_call_may_be_made_again_whose_answer_was_lost(
    client: FakeClient,
    serve_fake: Serve,
    account: Account,
    name: str,
    make: Callable[[SqsBackend], Awaitable[object]],
) -> None:
    purged = False

    def delete(*, QueueUrl: str) -> object:
        account.find(QueueName=QueueUrl.rpartition("/")[2])
        del account.attributes["old"]
        return {}

    def purge_queue(**_: object) -> object:
        nonlocal purged
        if purged:
            raise service_error("AWS.SimpleQueueService.PurgeQueueInProgress")
        purged = True
        return {}

    client.answers["delete_queue"] = delete
    client.answers["purge_queue"] = purge_queue
    Lost(client, name).fail(1, no_answer(), done=True)
    async with serve_fake() as backend:
        await make(backend)


@pytest.mark.parametrize(
    ("name", "code", "make"),
    [
        ("create_queue", "AWS.SimpleQueueService.QueueDeletedRecently", provision),
        ("purge_queue", "AWS.SimpleQueueService.PurgeQueueInProgress", purge),
        ("create_queue", "AccessDenied", provision),
    ],
)
async def test_what_a_moment_will_not_mend_is_said_at_once(
    client: FakeClient,
    serve_fake: Serve,
    account: Account,
    *,
    name: str,
    code: str,
    make: Callable[[SqsBackend], Awaitable[object]],
) -> None:
    assert account.attributes
    client.refuse(name, code)
    async with serve_fake() as backend:
        with pytest.raises((UnavailableError, ThrottledError, AccessDeniedError)):
            await make(backend)
    assert client.names.count(name) == 1


async def test_an_effect_that_was_unknown_once_stays_unknown(
    client: FakeClient, serve_fake: Serve, account: Account
) -> None:
    assert account.attributes
    client.refuse("set_queue_attributes", "AccessDenied")
    Lost(client, "set_queue_attributes").fail(1, no_answer())
    async with serve_fake() as backend:
        with pytest.raises(AccessDeniedError) as raised:
            await adjust(backend)
    assert raised.value.effect == "unknown"


async def test_a_page_of_the_list_of_queues_is_asked_for_again_alone(client: FakeClient, serve_fake: Serve) -> None:
    tokens: list[str] = []

    def read(*, NextToken: str = "", **_: object) -> object:
        tokens.append(NextToken)
        if tokens == ["", "2"]:
            raise service_error("RequestThrottled", 403)
        return {"QueueUrls": [f"http://there/1/q{NextToken}"], **({} if NextToken else {"NextToken": "2"})}

    client.answers["list_queues"] = read
    async with serve_fake() as backend:
        assert await backend.list_queues() == ["q", "q2"]
    assert tokens == ["", "2", "2"]


async def test_what_the_bus_repeats_itself_is_tried_once_here(
    client: FakeClient, serve_fake: Serve, account: Account
) -> None:
    assert account.attributes
    for name in ("send_message_batch", "receive_message"):
        client.refuse(name, "RequestThrottled")
    async with serve_fake() as backend:
        for call in (
            lambda: backend.send(OLD, [Outgoing(body="x")]),
            lambda: backend.receive(OLD, limit=1, wait_s=0, lease_s=30),
        ):
            with pytest.raises(ThrottledError):
                await cast("Callable[[], Awaitable[object]]", call)()
    assert [client.names.count(name) for name in ("send_message_batch", "receive_message")] == [1, 1]


async def test_a_queue_that_differs_in_what_cannot_be_changed_is_not_tried_again(
    client: FakeClient, serve_fake: Serve, account: Account
) -> None:
    assert account.attributes
    client.refuse("set_queue_attributes", "InvalidAttributeName")
    async with serve_fake() as backend:
        with pytest.raises(QueueMismatchError) as raised:
            await adjust(backend)
    assert isinstance(raised.value, BackendError)
    assert client.names.count("set_queue_attributes") == 1
