"""Which calls a plan costs, and what they say. On a client that notes them."""

# ruff: noqa: N803 - the parameters are spelled as the service spells them

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio
import pytest
from sqs.fake import service_error

from busframe.backend import DeadLetters, Plan, QueueSpec, TopicSpec
from busframe.errors import InvalidArgumentError, QueueMismatchError, QueueNotFoundError, UnsupportedError
from busframe.message import Outgoing, QueueName

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from sqs.fake import FakeClient

    from busframe_sqs import SqsBackend

    Serve = Callable[..., AbstractAsyncContextManager[SqsBackend]]

pytestmark = pytest.mark.anyio

ORDERS = QueueName("orders")
DEAD = QueueName("orders-dead")
WRITING = {"create_queue", "set_queue_attributes", "tag_queue", "untag_queue", "delete_queue", "purge_queue"}


class Account:
    """Queues as SQS would have them: attributes and tags by physical name."""

    def __init__(self, client: FakeClient) -> None:
        self.attributes: dict[str, dict[str, str]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        client.answers |= {
            "get_queue_url": self.find,
            "get_queue_attributes": self.get_attributes,
            "list_queue_tags": self.get_tags,
            "create_queue": self.create,
        }

    def add(self, name: str, **attributes: str) -> None:
        self.attributes[name] = {
            "QueueArn": f"arn:aws:sqs:eu-west-1:1:{name}",
            "VisibilityTimeout": "30",
            "DelaySeconds": "0",
            "MessageRetentionPeriod": "345600",
            "MaximumMessageSize": "1048576",
            **attributes,
        }
        self.tags[name] = {}

    def create(self, *, QueueName: str, Attributes: dict[str, str]) -> object:
        self.add(QueueName, **Attributes)
        return self.find(QueueName=QueueName)

    def find(self, *, QueueName: str) -> object:
        if QueueName not in self.attributes:
            raise service_error("AWS.SimpleQueueService.NonExistentQueue")
        return {"QueueUrl": f"http://there/1/{QueueName}"}

    def get_attributes(self, *, QueueUrl: str, **_: object) -> object:
        return {"Attributes": self.attributes[QueueUrl.rpartition("/")[2]]}

    def get_tags(self, *, QueueUrl: str) -> object:
        return {"Tags": self.tags[QueueUrl.rpartition("/")[2]]}


@pytest.fixture
def account(client: FakeClient) -> Account:
    return Account(client)


async def test_a_missing_queue_is_created_with_all_its_settings_and_tagged_separately(
    client: FakeClient, serve_fake: Serve, account: Account
) -> None:
    account.add("dev-orders-dead")
    dead = DeadLetters(queue=DEAD, max_receive_count=5)
    spec = QueueSpec(name=ORDERS, lease_s=45.5, dead_letters=dead, labels={"owner": "billing"})
    async with serve_fake(prefix="dev-") as backend:
        await backend.provision(Plan(queues=(spec,)))
        described = await backend.describe(ORDERS)
        assert described is not None
        assert described.dead_letters == dead
    (created,) = client.parameters("create_queue")
    assert created["QueueName"] == "dev-orders"
    redrive = json.loads(created["Attributes"].pop("RedrivePolicy"))
    assert redrive == {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:1:dev-orders-dead", "maxReceiveCount": 5}
    assert created["Attributes"] == {
        "VisibilityTimeout": "46",
        "DelaySeconds": "0",
        "MessageRetentionPeriod": "345600",
        "MaximumMessageSize": "1048576",
    }
    assert client.parameters("tag_queue") == [{"QueueUrl": "http://there/1/dev-orders", "Tags": {"owner": "billing"}}]


async def test_an_ordered_queue_is_created_with_deduplication_by_content(
    client: FakeClient, serve_fake: Serve, account: Account
) -> None:
    async with serve_fake() as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=QueueName("orders.fifo")),)))
    (created,) = client.parameters("create_queue")
    assert created["Attributes"]["FifoQueue"] == "true"
    assert created["Attributes"]["ContentBasedDeduplication"] == "true"
    assert list(account.attributes) == ["orders.fifo"]


async def test_a_queue_as_planned_is_only_read(client: FakeClient, serve_fake: Serve, account: Account) -> None:
    policy = '{"maxReceiveCount":"3","deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:orders-dead"}'
    account.add("orders", RedrivePolicy=policy)
    account.add("orders-dead")
    account.tags["orders"] = {"aws:cloudformation:stack-name": "s"}
    plan = (QueueSpec(name=DEAD), QueueSpec(name=ORDERS, dead_letters=DeadLetters(queue=DEAD, max_receive_count=3)))
    async with serve_fake() as backend:
        await backend.provision(Plan(queues=plan))
        await backend.provision(Plan(queues=plan, mode="check"))
    assert not WRITING & set(client.names)
    assert client.names.count("get_queue_url") == 2


async def test_only_what_differs_is_changed(client: FakeClient, serve_fake: Serve, account: Account) -> None:
    account.add(
        "orders", MaximumMessageSize="262144", RedrivePolicy='{"maxReceiveCount":3,"deadLetterTargetArn":"a:b"}'
    )
    account.tags["orders"] = {"owner": "billing", "old": "x", "kept": "y"}
    spec = QueueSpec(name=ORDERS, labels={"owner": "shipping", "kept": "y"})
    async with serve_fake() as backend:
        await backend.provision(Plan(queues=(spec,)))
    url = "http://there/1/orders"
    changed = {"MaximumMessageSize": "1048576", "RedrivePolicy": ""}
    assert client.parameters("set_queue_attributes") == [{"QueueUrl": url, "Attributes": changed}]
    assert client.parameters("tag_queue") == [{"QueueUrl": url, "Tags": {"owner": "shipping"}}]
    assert client.parameters("untag_queue") == [{"QueueUrl": url, "TagKeys": ["old"]}]
    assert "create_queue" not in client.names


async def test_a_queue_that_somebody_else_made_meanwhile_is_changed(
    client: FakeClient, serve_fake: Serve, account: Account
) -> None:
    def create(**_: object) -> None:
        account.add("orders", DelaySeconds="5")
        raise service_error("QueueAlreadyExists")

    client.answers["create_queue"] = create
    async with serve_fake() as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=ORDERS),)))
    (changed,) = client.parameters("set_queue_attributes")
    assert changed["Attributes"] == {"DelaySeconds": "0"}


async def test_check_names_every_difference_and_writes_nothing(
    client: FakeClient, serve_fake: Serve, account: Account
) -> None:
    account.add("orders", DelaySeconds="5")
    account.tags["orders"] = {"owner": "billing"}
    async with serve_fake() as backend:
        with pytest.raises(QueueMismatchError, match=r"orders.*DelaySeconds is '5', planned '0'.*billing"):
            await backend.provision(Plan(queues=(QueueSpec(name=ORDERS),), mode="check"))
        with pytest.raises(QueueNotFoundError, match="orders-dead"):
            await backend.provision(Plan(queues=(QueueSpec(name=DEAD),), mode="check"))
        without = QueueSpec(name=ORDERS, dead_letters=DeadLetters(queue=DEAD, max_receive_count=3))
        with pytest.raises(QueueNotFoundError, match="orders-dead"):
            await backend.provision(Plan(queues=(without,), mode="check"))
    assert not WRITING & set(client.names)


async def test_assume_makes_no_call(client: FakeClient, serve_fake: Serve) -> None:
    async with serve_fake() as backend:
        await backend.provision(Plan(queues=(QueueSpec(name=ORDERS),), mode="assume"))
        assert client.names == []


async def test_topics_are_refused(serve_fake: Serve) -> None:
    async with serve_fake() as backend:
        with pytest.raises(UnsupportedError):
            await backend.provision(Plan(topics=(TopicSpec(name="t"),)))


async def test_lookups_of_one_queue_share_one_call_and_its_url_is_kept_until_the_queue_is_gone(
    client: FakeClient, serve_fake: Serve
) -> None:

    async with serve_fake() as backend:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(backend.stats, ORDERS)
        assert client.names.count("get_queue_url") == 1

        client.refuse("send_message_batch", "AWS.SimpleQueueService.NonExistentQueue")
        with pytest.raises(QueueNotFoundError):
            await backend.send(ORDERS, [Outgoing(body="x")])
        await backend.stats(ORDERS)
    assert client.names.count("get_queue_url") == 2


async def test_a_name_too_long_with_its_prefix_is_refused(client: FakeClient, serve_fake: Serve) -> None:
    async with serve_fake(prefix="dev-") as backend:
        with pytest.raises(InvalidArgumentError, match="dev-"):
            await backend.send(QueueName("q" * 77), [Outgoing(body="x")])
        assert client.names == []


async def test_all_pages_of_the_queue_list_are_read_and_the_prefix_is_stripped(
    client: FakeClient, serve_fake: Serve
) -> None:
    pages = {
        "": {"QueueUrls": ["http://there/1/dev-b"], "NextToken": "more"},
        "more": {"QueueUrls": ["http://there/1/dev-a.fifo"]},
    }

    def read(*, NextToken: str = "", **_: object) -> object:
        return pages[NextToken]

    client.answers["list_queues"] = read
    async with serve_fake(prefix="dev-") as backend:
        assert await backend.list_queues() == ["a.fifo", "b"]
    assert {call["QueueNamePrefix"] for call in client.parameters("list_queues")} == {"dev-"}
