"""What the kit cannot ask for, over HTTP through boto3, on the emulator."""

from __future__ import annotations

import re
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from busframe.backend import Plan, QueueSpec, QueueStats
from busframe.config import BackendUrl
from busframe.ledger import Ledger
from busframe.message import Acknowledge, Outgoing, QueueName, Release, Settled, Settlement
from busframe.runtime import new_id
from busframe_sqs import open_sqs
from busframe_sqs.client import connect
from busframe_sqs.settings import SqsSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from busframe_emulator.server.thread import ThreadedServer
    from busframe_sqs import SqsBackend

pytestmark = pytest.mark.anyio

ORDERS = QueueName("orders")


@pytest.fixture
def prefix() -> str:
    return f"{new_id()}-"


@pytest.fixture
async def backend(server: ThreadedServer, prefix: str) -> AsyncGenerator[SqsBackend, None]:
    url = f"sqs://us-east-1?prefix={prefix}&endpoint_url={server.url}&polls=30&calls=2"
    async with open_sqs(BackendUrl.parse(url)) as backend:
        # Made beside the bus, as another program would.
        client: Any = backend.client
        await anyio.to_thread.run_sync(partial(client.create_queue, QueueName=f"{prefix}orders"))
        yield backend
        # Ends the waits of cancelled receives, for which leaving would wait.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.advance, 20)


async def test_stats_count_visible_in_flight_and_delayed(backend: SqsBackend) -> None:
    await backend.send(ORDERS, [Outgoing(body="1"), Outgoing(body="2"), Outgoing(body="3", delay_s=60)])
    await backend.receive(ORDERS, limit=1, wait_s=1, lease_s=30)
    assert await backend.stats(ORDERS) == QueueStats(visible=1, in_flight=1, delayed=1, oldest_age_s=None)


async def test_the_prefix_stands_before_the_name_at_the_service_and_nowhere_else(
    backend: SqsBackend, prefix: str
) -> None:
    client: Any = backend.client
    found = await anyio.to_thread.run_sync(partial(client.list_queues, QueueNamePrefix=prefix))
    assert [url.rpartition("/")[2] for url in found["QueueUrls"]] == [f"{prefix}orders"]
    assert await backend.list_queues() == [ORDERS]
    assert await backend.list_queues("ord") == [ORDERS]
    assert await backend.list_queues("x") == []


async def test_a_message_cancelled_out_of_a_long_lease_is_back_at_once(backend: SqsBackend) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(backend.receive, ORDERS, limit=10, wait_s=20, lease_s=600))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await backend.send(ORDERS, [Outgoing(body="kept")])
    with anyio.fail_after(10):
        (received,) = await backend.receive(ORDERS, limit=10, wait_s=20, lease_s=30)
    assert received.body == "kept"


async def test_thirty_waiting_receives_do_not_keep_a_settlement_waiting(backend: SqsBackend) -> None:
    await backend.send(ORDERS, [Outgoing(body="a"), Outgoing(body="b")])
    first, second = [(await backend.receive(ORDERS, limit=1, wait_s=1, lease_s=30))[0] for _ in range(2)]
    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(partial(backend.receive, ORDERS, limit=1, wait_s=20, lease_s=30))
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(10):
            batch: list[Settlement] = [Acknowledge(receipt=first.receipt), Release(receipt=second.receipt, delay_s=60)]
            assert await backend.settle(ORDERS, batch) == [Settled(), Settled()]
        tasks.cancel_scope.cancel()


async def test_a_message_of_a_foreign_sender_is_read(backend: SqsBackend, prefix: str) -> None:
    client: Any = backend.client

    def send() -> None:
        client.send_message(
            QueueUrl=client.get_queue_url(QueueName=f"{prefix}orders")["QueueUrl"],
            MessageBody="x",
            MessageAttributes={
                "n": {"DataType": "Number.int", "StringValue": "42"},
                "b": {"DataType": "Binary.png", "BinaryValue": b"\xff"},
            },
        )

    await anyio.to_thread.run_sync(send)
    (received,) = await backend.receive(ORDERS, limit=10, wait_s=1, lease_s=30)
    assert received.attributes == {"n": "42", "b": b"\xff"}


async def test_a_group_on_a_queue_without_order_is_kept(backend: SqsBackend) -> None:
    await backend.send(ORDERS, [Outgoing(body="x", group="tenant")])
    (received,) = await backend.receive(ORDERS, limit=10, wait_s=1, lease_s=30)
    assert (received.group, received.sequence) == ("tenant", None)


async def test_a_queue_made_elsewhere_is_brought_to_the_plan(backend: SqsBackend) -> None:
    spec = QueueSpec(name=ORDERS, lease_s=90, labels={"owner": "billing"})
    await backend.provision(Plan(queues=(spec,)))
    assert await backend.describe(ORDERS) == spec


async def test_what_the_client_is_asked_wrongly_sqs_refuses(backend: SqsBackend) -> None:
    """What the bus sends it has looked at itself, before; botocore does not do it again."""
    client: Any = backend.client
    exceptions: Any = import_module("botocore.exceptions")
    with pytest.raises(exceptions.ClientError, match="MaxResults"):
        await anyio.to_thread.run_sync(partial(client.list_queues, MaxResults="many"))


async def test_there_is_a_connection_for_each_call_that_may_be_under_way(backend: SqsBackend) -> None:
    client: Any = backend.client
    settings = SqsSettings(region="us-east-1", endpoint_url=client.meta.endpoint_url, polls=7, calls=5)
    made: Any = (await anyio.to_thread.run_sync(connect, settings, Ledger())).sqs
    assert made.meta.config.max_pool_connections == 12


async def test_the_log_of_aws_shows_who_called(backend: SqsBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def agent_of(client: Any) -> str:
        seen: list[str] = []

        def look(request: Any, **_: object) -> None:
            agent = request.headers["User-Agent"]
            seen.append(agent.decode() if isinstance(agent, bytes) else agent)

        client.meta.events.register("before-send.sqs", look)
        client.list_queues()
        return seen[0]

    agent = await anyio.to_thread.run_sync(agent_of, backend.client)
    assert re.fullmatch(r"Boto3/\S+ Busframe Botocore/\S+", agent)
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "shop")
    client: Any = backend.client
    settings = SqsSettings(region="us-east-1", endpoint_url=client.meta.endpoint_url)
    other = await anyio.to_thread.run_sync(connect, settings, Ledger())
    assert (await anyio.to_thread.run_sync(agent_of, other.sqs)).startswith(
        agent.replace("Busframe", "Busframe app/shop")
    )
