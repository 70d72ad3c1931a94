"""Receives that are cancelled, and closing: what SQS hands out all the same is not left hidden."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

from busframe import runtime
from busframe.errors import BackendError, ClosedError, ThrottledError, UnavailableError
from busframe.message import Acknowledge, Extension, Outgoing, QueueName, Receipt, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqs.fake import FakeClient

    from busframe.message import Received
    from busframe_sqs import SqsBackend
    from busframe_sqs.client import Message

    Serve = Callable[..., AbstractAsyncContextManager[SqsBackend]]
    Delivery = Callable[[str], Message]

pytestmark = pytest.mark.anyio

ORDERS = QueueName("orders")
RELEASE = "change_message_visibility_batch"


async def receive(backend: SqsBackend, *, wait_s: float = 20, lease_s: float = 600) -> Sequence[Received]:
    return await backend.receive(ORDERS, limit=10, wait_s=wait_s, lease_s=lease_s)


async def cancelled_receive(backend: SqsBackend, client: FakeClient) -> None:
    """Leave a receive at the service with nobody waiting for it."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive, backend)
        if "get_queue_url" not in client.names:
            await client.asked("get_queue_url")
        await client.asked("receive_message")
        tasks.cancel_scope.cancel()


async def test_what_a_cancelled_receive_still_brings_is_released_at_once(
    client: FakeClient, serve_fake: Serve, delivery: Delivery
) -> None:
    async with serve_fake() as backend:
        await cancelled_receive(backend, client)
        client.let_go(delivery("a"), delivery("b"))
        await client.asked(RELEASE)
    (release,) = client.parameters(RELEASE)
    assert release["QueueUrl"] == "http://there/1/orders"
    assert [(entry["ReceiptHandle"], entry["VisibilityTimeout"]) for entry in release["Entries"]] == [
        ("receipt of a", 0),
        ("receipt of b", 0),
    ]


async def test_the_next_like_receive_takes_over_a_cancelled_one(
    client: FakeClient, serve_fake: Serve, delivery: Delivery
) -> None:
    async with serve_fake() as backend:
        await cancelled_receive(backend, client)
        client.let_go(delivery("a"))
        (received,) = await receive(backend)
    assert received.body == "a"
    assert client.names.count("receive_message") == 1
    assert RELEASE not in client.names


async def test_a_receive_that_took_over_goes_on_with_one_of_its_own_for_the_rest_of_its_wait(
    client: FakeClient, serve_fake: Serve, delivery: Delivery
) -> None:
    async with serve_fake() as backend:
        await cancelled_receive(backend, client)
        client.let_go()
        client.let_go(delivery("a"))
        (received,) = await receive(backend, wait_s=10)
    assert received.body == "a"
    assert [poll["WaitTimeSeconds"] for poll in client.parameters("receive_message")] == [20, 10]


async def test_a_receive_that_took_over_ends_with_its_own_wait(client: FakeClient, serve_fake: Serve) -> None:
    async with serve_fake() as backend:
        await cancelled_receive(backend, client)
        assert await receive(backend, wait_s=0.01) == []
        client.let_go()
    assert client.names.count("receive_message") == 1


@pytest.mark.parametrize(("wait_s", "lease_s"), [(0, 600), (20, 30)])
async def test_another_lease_or_a_short_poll_does_not_take_over(
    client: FakeClient, serve_fake: Serve, wait_s: float, lease_s: float
) -> None:
    async with serve_fake() as backend:
        await cancelled_receive(backend, client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(receive, backend, wait_s=wait_s, lease_s=lease_s))
            await client.asked("receive_message")
            client.let_go()
            client.let_go()
    asked = [parameters["VisibilityTimeout"] for parameters in client.parameters("receive_message")]
    assert asked == [600, lease_s]


async def test_an_answer_that_comes_while_its_receive_is_being_cancelled_is_released(
    client: FakeClient, serve_fake: Serve, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled, and not yet gone: it still counts as waiting when the answer is there."""
    run_blocking = runtime.run_blocking

    async def run(function: Callable[[], object], *, limiter: anyio.CapacityLimiter | None = None) -> object:
        answer = await run_blocking(function, limiter=limiter)
        if answer == (delivery("a"),):
            tasks.cancel_scope.cancel()
        return answer

    monkeypatch.setattr(runtime, "run_blocking", run)
    client.let_go(delivery("a"))
    async with serve_fake() as backend:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive, backend)
        await client.asked("get_queue_url")
        await client.asked("receive_message")
        await client.asked(RELEASE)
    (release,) = client.parameters(RELEASE)
    assert [entry["ReceiptHandle"] for entry in release["Entries"]] == ["receipt of a"]


async def test_only_one_receive_takes_over(client: FakeClient, serve_fake: Serve, delivery: Delivery) -> None:
    bodies: list[str] = []

    async with serve_fake() as backend:

        async def consume() -> None:
            bodies.extend(received.body for received in await receive(backend))

        await cancelled_receive(backend, client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(consume)
            tasks.start_soon(consume)
            await client.asked("receive_message")
            client.let_go(delivery("a"))
            client.let_go(delivery("b"))
    assert sorted(bodies) == ["a", "b"]
    assert client.names.count("receive_message") == 2


async def test_a_receive_still_queued_for_a_thread_is_never_made_when_it_is_cancelled(
    client: FakeClient, serve_fake: Serve
) -> None:
    async with serve_fake(polls=1) as backend, anyio.create_task_group() as tasks:
        tasks.start_soon(receive, backend)
        await client.asked("get_queue_url")
        await client.asked("receive_message")
        with anyio.CancelScope() as impatient:
            async with anyio.create_task_group() as queued:
                queued.start_soon(receive, backend)
                await anyio.wait_all_tasks_blocked()
                impatient.cancel()
        client.let_go()
    assert client.names.count("receive_message") == 1


async def test_leaving_waits_for_a_cancelled_receive_and_releases_its_messages(
    client: FakeClient, serve_fake: Serve, delivery: Delivery
) -> None:
    async def answer() -> None:
        await anyio.wait_all_tasks_blocked()
        client.let_go(delivery("a"))

    async with anyio.create_task_group() as tasks, serve_fake() as backend:
        await cancelled_receive(backend, client)
        tasks.start_soon(answer)
    assert client.names[-2:] == [RELEASE, "close"]


async def test_a_cancelled_program_releases_too(client: FakeClient, serve_fake: Serve, delivery: Delivery) -> None:
    with anyio.CancelScope() as program:
        async with serve_fake() as backend:
            await cancelled_receive(backend, client)
            program.cancel()
            client.let_go(delivery("a"))
            await anyio.sleep_forever()
    assert client.names[-2:] == [RELEASE, "close"]


async def test_a_receive_that_waits_when_the_backend_closes_is_told_so(
    client: FakeClient, serve_fake: Serve, delivery: Delivery
) -> None:
    failures: list[Exception] = []

    async with anyio.create_task_group() as tasks, serve_fake() as backend:

        async def wait() -> None:
            try:
                await receive(backend)
            except ClosedError as error:
                failures.append(error)
                client.let_go(delivery("a"))

        tasks.start_soon(wait)
        await client.asked("get_queue_url")
        await client.asked("receive_message")
    assert len(failures) == 1
    assert client.names[-2:] == [RELEASE, "close"]


async def test_a_closed_backend_refuses_every_call(serve_fake: Serve) -> None:
    async with serve_fake() as backend:
        pass
    for call in (
        lambda: receive(backend),
        lambda: backend.settle(ORDERS, [Acknowledge(receipt=Receipt("r"))]),
        lambda: backend.stats(ORDERS),
        lambda: backend.describe(ORDERS),
        backend.list_queues,
        lambda: backend.purge(ORDERS),
        lambda: backend.remove(ORDERS),
    ):
        with pytest.raises(ClosedError):
            await call()


async def test_an_error_inside_the_backends_context_comes_out_as_it_is(client: FakeClient, serve_fake: Serve) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with serve_fake():
            raise KeyError("mine")
    assert client.names == ["close"]


@pytest.mark.parametrize("case", [("RequestThrottled", 3), ("AccessDenied", 1)])
async def test_a_release_is_repeated_where_that_can_help(
    client: FakeClient, serve_fake: Serve, delivery: Delivery, case: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    error, attempts = case
    monkeypatch.setattr("busframe_sqs.polls._RELEASE_PAUSES_S", (0, 0, 0))
    client.refuse(RELEASE, error)
    async with serve_fake() as backend:
        await cancelled_receive(backend, client)
        client.let_go(delivery("a"))
    assert client.names.count(RELEASE) == attempts


async def test_fractions_of_a_second_are_rounded_up(client: FakeClient, serve_fake: Serve) -> None:
    client.let_go()
    async with serve_fake() as backend:
        await receive(backend, wait_s=0.2, lease_s=10.1)
        await backend.extend(ORDERS, [Extension(receipt=Receipt("r"), lease_s=0.5)])
        await backend.send(ORDERS, [Outgoing(body="x", delay_s=899.5)])
    (polled,) = client.parameters("receive_message")
    assert (polled["WaitTimeSeconds"], polled["VisibilityTimeout"]) == (1, 11)
    assert client.parameters(RELEASE)[0]["Entries"][0]["VisibilityTimeout"] == 1
    assert client.parameters("send_message_batch")[0]["Entries"][0]["DelaySeconds"] == 900


async def test_waiting_receives_do_not_keep_acknowledgements_waiting(client: FakeClient, serve_fake: Serve) -> None:
    client.answer("delete_message_batch", {"Successful": [{"Id": "0"}]})
    async with serve_fake(polls=30, calls=1) as backend, anyio.create_task_group() as tasks:
        for lease_s in range(40):
            tasks.start_soon(partial(receive, backend, lease_s=lease_s))
        await client.asked("get_queue_url")
        for _ in range(30):
            await client.asked("receive_message")
        assert await backend.settle(ORDERS, [Acknowledge(receipt=Receipt("r"))]) == [Settled()]
        for _ in range(40):
            client.let_go()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", BackendError),
        ("OverLimit", ThrottledError),
        ("ServiceUnavailable", UnavailableError),
    ],
)
async def test_the_error_of_a_receive_reaches_its_caller(
    client: FakeClient, serve_fake: Serve, code: str, kind: type[BackendError]
) -> None:
    client.refuse("receive_message", code)
    async with serve_fake() as backend:
        with pytest.raises(kind, match="orders") as caught:
            await receive(backend)
    assert type(caught.value.__cause__).__name__ == "ClientError"
