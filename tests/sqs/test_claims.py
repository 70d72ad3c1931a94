"""Bodies that are too large for SQS: they lie in S3, and nothing but what it must be is left there."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.to_thread
import pytest
from sqs.fake import service_error

from busframe.backend import Plan, QueueSpec
from busframe.errors import (
    InvalidArgumentError,
    MessageRefusedError,
    MessageTooLargeError,
    StorageError,
    ThrottledError,
    UnavailableError,
)
from busframe.ledger import Ledger
from busframe.message import Acknowledge, Extension, Failed, Outgoing, QueueName, Release, Sent, Settled
from busframe.runtime import new_id
from busframe_sqs.client import Clients, connect
from busframe_sqs.opening import serve
from busframe_sqs.settings import SqsSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from busframe.message import Received, SendOutcome
    from busframe_emulator.server.thread import ThreadedServer
    from busframe_sqs import SqsBackend
    from busframe_sqs.client import S3Client

    Open = Callable[[], AbstractAsyncContextManager[SqsBackend]]

pytestmark = pytest.mark.anyio

ORDERS = QueueName("orders")
ORDERED = QueueName("orders.fifo")
LARGE = "x" * 1_048_577


class FakeS3:
    """A bucket in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.failures: dict[str, list[Exception]] = {}
        self.deleted: list[str] = []

    def fail(self, call: str, *codes: str) -> None:
        self.failures[call] = [service_error(code, 503 if code == "SlowDown" else 404) for code in codes]

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> object:  # noqa: N803 - the service's spelling
        self._meet("put", Bucket)
        self.objects[Key] = Body
        return {}

    def get_object(self, *, Bucket: str, Key: str) -> object:  # noqa: N803 - the same
        self._meet("get", Bucket)
        if Key not in self.objects:
            raise service_error("NoSuchKey", 404)
        return {"Body": BytesIO(self.objects[Key])}

    def delete_object(self, *, Bucket: str, Key: str) -> object:  # noqa: N803 - the same
        self._meet("delete", Bucket)
        self.deleted.append(Key)
        self.objects.pop(Key, None)
        return {}

    def close(self) -> None:
        pass

    def _meet(self, call: str, bucket: str) -> None:
        assert bucket == "bodies"
        if self.failures.get(call):
            raise self.failures[call].pop(0)


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def prefix() -> str:
    return f"{new_id()}-"


@pytest.fixture
def open_backend(server: ThreadedServer, s3: FakeS3, prefix: str) -> Open:
    settings = SqsSettings(
        region="us-east-1",
        prefix=prefix,
        endpoint_url=server.url,
        large_bucket="bodies",
        large_prefix="shop/",
        wait_s=1,
    )

    @asynccontextmanager
    async def start() -> AsyncGenerator[SqsBackend, None]:
        ledger = Ledger()
        sqs = (await anyio.to_thread.run_sync(connect, settings, ledger)).sqs
        async with serve(Clients(sqs, cast("S3Client", s3)), settings, ledger) as backend:
            await backend.provision(Plan(queues=(QueueSpec(name=ORDERS), QueueSpec(name=ORDERED))))
            yield backend

    return start


async def send(backend: SqsBackend, *bodies: str) -> Sequence[SendOutcome]:
    return await backend.send(ORDERS, [Outgoing(body=body) for body in bodies])


async def receive(backend: SqsBackend, queue: QueueName = ORDERS) -> Sequence[Received]:
    return await backend.receive(queue, limit=10, wait_s=1, lease_s=30)


async def test_a_large_body_comes_out_as_it_went_in_and_leaves_nothing_behind(open_backend: Open, s3: FakeS3) -> None:
    async with open_backend() as backend:
        message = Outgoing(body=LARGE + "ü", attributes={"a": "1"})
        assert isinstance((await backend.send(ORDERS, [message]))[0], Sent)
        (key,) = s3.objects
        assert key.startswith("shop/")
        (received,) = await receive(backend)
        assert (received.body, dict(received.attributes)) == (LARGE + "ü", {"a": "1"})
        assert await backend.extend(ORDERS, [Extension(receipt=received.receipt, lease_s=60)]) == [Settled()]
        assert await backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)]) == [Settled()]
        assert await backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)]) == [Settled()]
    assert not s3.objects


async def test_small_and_large_bodies_share_a_batch(open_backend: Open, s3: FakeS3) -> None:
    async with open_backend() as backend:
        outcomes = await send(backend, "small", LARGE, "y" * 1_000_000)
        assert all(isinstance(outcome, Sent) for outcome in outcomes)
        assert len(s3.objects) == 1
        bodies: set[str] = set()
        while len(bodies) < 3:
            bodies |= {received.body for received in await receive(backend)}
    assert bodies == {"small", LARGE, "y" * 1_000_000}


async def test_the_claim_check_is_that_of_the_extended_client_libraries(
    open_backend: Open, s3: FakeS3, prefix: str
) -> None:
    async with open_backend() as backend:
        await send(backend, LARGE)
        client: Any = backend.client

        def look() -> Any:
            url = client.get_queue_url(QueueName=f"{prefix}orders")["QueueUrl"]
            return client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"][0]

        message = await anyio.to_thread.run_sync(look)
    (key,) = s3.objects
    assert json.loads(message["Body"]) == [
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        {"s3BucketName": "bodies", "s3Key": key},
    ]
    assert message["MessageAttributes"]["ExtendedPayloadSize"] == {"DataType": "Number", "StringValue": "1048577"}


async def test_a_released_message_keeps_its_body(open_backend: Open, s3: FakeS3) -> None:
    async with open_backend() as backend:
        await send(backend, LARGE)
        (first,) = await receive(backend)
        assert await backend.settle(ORDERS, [Release(receipt=first.receipt)]) == [Settled()]
        (second,) = await receive(backend)
        assert second.body == LARGE
    assert len(s3.objects) == 1


async def test_a_body_that_cannot_be_put_away_fails_alone(open_backend: Open, s3: FakeS3) -> None:
    async with open_backend() as backend:
        s3.fail("put", "NoSuchBucket")
        outcomes = await send(backend, "small", LARGE)
        assert isinstance(outcomes[0], Sent)
        assert isinstance(outcomes[1], Failed)
        assert isinstance(outcomes[1].error, StorageError)
        assert [received.body for received in await receive(backend)] == ["small"]


async def test_an_object_whose_message_was_refused_is_removed(
    open_backend: Open, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_backend() as backend:

        def refuse(**_parameters: object) -> object:
            failure = {"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents"}
            return {"Failed": [failure]}

        monkeypatch.setattr(backend.client, "send_message_batch", refuse)
        (outcome,) = await send(backend, LARGE)
        assert isinstance(outcome, Failed)
    assert not s3.objects
    assert len(s3.deleted) == 1


async def test_attributes_that_leave_no_room_for_the_claim_check_are_refused_before_anything_is_done(
    open_backend: Open, s3: FakeS3
) -> None:
    async with open_backend() as backend:

        def message(count: int, body: str) -> Outgoing:
            return Outgoing(body=body, attributes={f"a{n}": "x" for n in range(count)})

        before = backend.ledger.total
        (outcome,) = await backend.send(ORDERS, [message(10, LARGE)])
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, MessageRefusedError)
        assert outcome.error.effect == "none"
        assert "10 attributes on a message of 1048667 bytes: 9 fit" in str(outcome.error)
        assert (backend.ledger.total, s3.objects, s3.deleted) == (before, {}, [])
        outcomes = await backend.send(ORDERS, [message(9, LARGE), message(10, "small"), message(10, LARGE)])
        assert [type(outcome) for outcome in outcomes] == [Sent, Sent, Failed]
        received = [one for _ in range(2) for one in await receive(backend)]
        assert sorted(len(one.attributes) for one in received) == [9, 10]


async def test_a_body_that_cannot_be_fetched_now_is_given_back_and_comes_again(open_backend: Open, s3: FakeS3) -> None:
    async with open_backend() as backend:
        await send(backend, LARGE)
        s3.fail("get", "SlowDown")
        with pytest.raises(ThrottledError):
            await receive(backend)
        (received,) = await receive(backend)
        assert (received.body, received.receive_count) == (LARGE, 2)


async def test_on_an_ordered_queue_nothing_overtakes_a_body_that_cannot_be_fetched(
    open_backend: Open, s3: FakeS3
) -> None:
    async with open_backend() as backend:
        for body in (LARGE, "behind"):
            await backend.send(ORDERED, [Outgoing(body=body, group="a", deduplication_id=body[:9])])
        s3.fail("get", "SlowDown")
        with pytest.raises(ThrottledError):
            await receive(backend, ORDERED)
        bodies: list[str] = []
        while len(bodies) < 2:
            for received in await receive(backend, ORDERED):
                bodies.append(received.body)
                await backend.settle(ORDERED, [Acknowledge(receipt=received.receipt)])
    assert bodies == [LARGE, "behind"]


async def test_a_receive_cancelled_over_its_bodies_gives_the_messages_back(
    open_backend: Open, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_backend() as backend:
        await send(backend, LARGE)
        with anyio.CancelScope() as impatient:

            def cancel(**_parameters: object) -> object:
                anyio.from_thread.run_sync(impatient.cancel)
                return {"Body": BytesIO(b"too late")}

            monkeypatch.setattr(s3, "get_object", cancel)
            await receive(backend)
        monkeypatch.undo()
        (received,) = await receive(backend)
        assert received.body == LARGE


@pytest.mark.parametrize(("bucket", "key"), [("bodies", "shop/gone"), ("others", "shop/k"), ("bodies", "others/k")])
async def test_what_is_not_ours_to_read_is_delivered_as_it_came(
    open_backend: Open, s3: FakeS3, bucket: str, key: str
) -> None:
    s3.objects |= {"shop/k": b"a body", "others/k": b"a secret"}
    pointer = {"s3BucketName": bucket, "s3Key": key}
    body = json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", pointer])
    async with open_backend() as backend:
        await backend.send(ORDERS, [Outgoing(body=body, attributes={"ExtendedPayloadSize": "5"})])
        (received,) = await receive(backend)
        assert received.body == body
        assert await backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)]) == [Settled()]
    assert not s3.deleted


async def test_an_object_that_cannot_be_removed_does_not_hold_up_the_acknowledgement(
    open_backend: Open, s3: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_backend() as backend:
        await send(backend, LARGE)
        (received,) = await receive(backend)
        s3.fail("delete", "SlowDown")
        assert await backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)]) == [Settled()]
    assert "left over" in caplog.text


async def test_an_object_of_a_send_whose_fate_is_unknown_stays(
    open_backend: Open, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_backend() as backend:
        client: Any = backend.client

        def no_answer(**_parameters: object) -> object:
            raise service_error("InternalFailure", 500)

        monkeypatch.setattr(client, "send_message_batch", no_answer)
        with pytest.raises(UnavailableError):
            await send(backend, LARGE)
    assert len(s3.objects) == 1


async def test_without_a_bucket_a_large_body_is_refused(server: ThreadedServer) -> None:
    settings = SqsSettings(region="us-east-1", prefix=f"{new_id()}-", endpoint_url=server.url)
    ledger = Ledger()
    clients = await anyio.to_thread.run_sync(connect, settings, ledger)
    async with serve(clients, settings, ledger) as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=ORDERS),)))
        (outcome,) = await send(backend, LARGE)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, MessageTooLargeError)


async def test_too_large_for_a_batch_altogether_is_the_callers_to_split(open_backend: Open) -> None:
    async with open_backend() as backend:
        with pytest.raises(InvalidArgumentError):
            await send(backend, "y" * 1_000_000, "z" * 1_000_000)
