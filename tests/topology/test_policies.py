"""What `busframe topology iam` prints, on an emulator that holds each role to it: enough, and nothing to spare."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import boto3
import pytest
from cli.shop import command_of
from topology.bucket import NAME as BUCKET
from topology.bucket import Bucket, claim_check

from busframe._consume import polling
from busframe.cli.finding import find_bus
from busframe.cli.running import DONE, FAILED, FOUND
from busframe.cli.topology import main
from busframe.errors import AccessDeniedError, PublishError
from busframe.runtime import background_tasks
from busframe.topology import leaving
from busframe_emulator.server.thread import ThreadedServer, run_in_thread
from busframe_emulator.wire.verified import Key, Keys

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from busframe.session import Live

ACCOUNT = "111111111111"
OWNER = Key(access_key="AKIDOWNER", secret="owner's", account=ACCOUNT)  # noqa: S106 - nobody's

WHERE = f"prefix=dev-&large_bucket={BUCKET}&large_prefix=shop/"
LARGE = "x" * 1_048_577

APP = """
from dataclasses import dataclass
from busframe import Bus, Later, Reject, Retry, command, event

@event("shop.order.placed")
@dataclass(frozen=True)
class OrderPlaced:
    order: str
    note: str = ""

@command("shop.invoice.print")
@dataclass(frozen=True)
class PrintInvoice:
    order: str

bus = Bus("shop")
handled = []

async def handle(order) -> None:
    if order.order == "bad":
        raise Reject("it is bad")
    handled.append(order.order)
    if order.order == "flaky" and handled.count("flaky") == 1:
        raise Later(0)

# A lease that outlasts the minutes that the tests let pass.
bus.subscribe(OrderPlaced, group="billing", lease_s=40_000)(handle)
bus.subscribe(OrderPlaced, group="letters", queue="letters", lease_s=40_000)(handle)
bus.handle(PrintInvoice, lease_s=40_000)(handle)

other = Bus("crm")
other.subscribe(OrderPlaced, group="mail")(handle)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "policies_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "policies_app", raising=False)
    # The counts of the emulator are right at once, and a refusal is none that waiting would mend.
    monkeypatch.setattr(leaving, "INEXACT_QUIET_S", 0.0)
    monkeypatch.setattr(polling, "FIRST_WAIT_S", 0.001)
    return tmp_path


@dataclass
class Site:
    """An account with the program's queues, and somebody who has a role there."""

    server: ThreadedServer
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    bucket: Bucket
    role: Key = OWNER
    recipients: str = "sqlite:///printed.db"

    @property
    def url(self) -> str:
        return f"sqs://us-east-1?{WHERE}&wait_s=1&endpoint_url={self.server.url}"

    def become(self, key: Key) -> None:
        self.monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.access_key)
        self.monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
        self.monkeypatch.setenv("BUSFRAME_URL", self.url)
        self.monkeypatch.setenv("BUSFRAME_RECIPIENTS", self.recipients)

    def ask(self, command: str, *arguments: str) -> int:
        """Run a command; gives its exit code."""

        code: int = command_of(command)(list(arguments))
        said = self.capsys.readouterr()
        if code == FAILED and "AccessDenied" in said.err:
            raise AccessDeniedError(said.err)
        return code

    def ask_all(self, *steps: tuple[int, str]) -> None:
        """Run commands, which have to end with these exit codes."""
        for expected, line in steps:
            assert self.ask(*line.split()) == expected, line

    @asynccontextmanager
    async def connected(self, key: Key) -> AsyncGenerator[Live]:
        self.become(key)
        async with find_bus("policies_app:bus").connect(
            self.url, recipients=self.recipients, provision="check"
        ) as live:
            yield live

    def client(self) -> Any:
        """The owner's, for what the bus has no word for."""
        untyped: Any = boto3
        return untyped.client(
            "sqs",
            endpoint_url=self.server.url,
            region_name="us-east-1",
            aws_access_key_id=OWNER.access_key,
            aws_secret_access_key=OWNER.secret,
        )

    def queue_url(self, queue: str) -> str:
        return f"{self.server.url}/{ACCOUNT}/dev-{queue}"

    async def pass_time(self) -> None:
        """End long polls: nobody waits for them."""
        while True:
            await anyio.to_thread.run_sync(partial(self.server.advance, 1))
            await anyio.sleep(0.01)

    def is_there(self, queue: str, **counts: int) -> None:
        """See how full a queue is, as its owner."""
        names = {
            "visible": "ApproximateNumberOfMessages",
            "in_flight": "ApproximateNumberOfMessagesNotVisible",
            "delayed": "ApproximateNumberOfMessagesDelayed",
        }
        told = self.client().get_queue_attributes(QueueUrl=self.queue_url(queue), AttributeNames=["All"])["Attributes"]
        assert {name: int(told[names[name]]) for name in counts} == counts, queue

    def send(self, queue: str, body: str = "x") -> None:
        self.client().send_message(QueueUrl=self.queue_url(queue), MessageBody=body)

    def send_large(self, queue: str, *, key: str, body: str | None) -> None:
        """Have a body lie in the bucket, or nothing where one should."""
        if body is not None:
            self.bucket.objects[key] = body.encode()
        self.client().send_message(QueueUrl=self.queue_url(queue), **claim_check(key))


def consume(site: Site) -> None:
    """A worker's work: look, receive, handle, try again, bury, wait for longer than SQS does. Large bodies, too."""
    anyio.run(_publish, site, OWNER)
    site.send_large("shop-billing", key="shop/gone", body=None)
    anyio.run(_consume, site)
    handled = sys.modules["policies_app"].handled
    assert sorted(handled) == ["flaky", "flaky", "flaky", "good", "good", "invoice", "large", "large"]
    for queue in ("shop-billing", "letters"):
        site.is_there(queue, visible=0, in_flight=0, delayed=1)
    for queue, letters in (("shop-billing-dead", 3), ("letters-dead", 2)):
        site.is_there(queue, visible=letters)
    # The bodies of two large letters, and of the other program's two copies; those of what was handled are gone.
    assert len(site.bucket.objects) == 4


async def _publish(site: Site, key: Key) -> None:
    app = sys.modules["policies_app"]
    async with site.connected(key) as live:
        for order in ("good", "bad", "flaky"):
            await live.publish(app.OrderPlaced(order))
        await live.publish(app.OrderPlaced("large", LARGE))
        await live.publish(app.OrderPlaced("bad", LARGE))
        await live.publish(app.OrderPlaced("much later"), delay_s=1_000)
        await live.send(app.PrintInvoice("invoice"))


async def _consume(site: Site) -> None:
    site.server.advance(900)
    async with site.connected(site.role) as live:
        assert len(await live.stats()) == 6
        async with background_tasks() as tasks:
            tasks.start_soon(site.pass_time)
            await live.work(until_empty=True)


def publish(site: Site) -> None:
    """A publisher's work, a large body that a queue does not take included."""
    anyio.run(_publish_only, site)
    site.is_there("shop-billing", visible=2)
    site.is_there("shop-invoice-print", visible=1)
    assert len(site.bucket.objects) == 2  # of the copies that were taken


async def _publish_only(site: Site) -> None:
    app = sys.modules["policies_app"]
    site.become(site.role)
    async with app.bus.connect(site.url, recipients=site.recipients, provision="assume") as live:
        assert len(await live.publish(app.OrderPlaced("good"))) == 3
        await live.send(app.PrintInvoice("invoice"))
        await anyio.to_thread.run_sync(lambda: site.client().delete_queue(QueueUrl=site.queue_url("letters")))
        with pytest.raises(PublishError) as caught:
            await live.publish(app.OrderPlaced("large", LARGE))
        assert len(caught.value.failed) == 1


def provision(site: Site) -> None:
    """A provisioner's work: compare, make, change, and leave alone what is not the program's."""
    client = site.client()
    for queue in ("letters", "letters-dead", "shop-billing", "shop-billing-dead"):
        client.delete_queue(QueueUrl=site.queue_url(queue))
    client.create_queue(QueueName="dev-shop-orphan")
    client.set_queue_attributes(QueueUrl=site.queue_url("shop-invoice-print"), Attributes={"DelaySeconds": "5"})
    client.tag_queue(QueueUrl=site.queue_url("shop-invoice-print"), Tags={"stray": "x"})
    site.server.advance(61)
    site.become(site.role)
    site.ask_all(
        (FOUND, "topology check policies_app:bus"),
        (FOUND, "topology apply policies_app:bus"),
        (FOUND, "topology check policies_app:bus"),  # the orphan, which is not a provisioner's to remove
        (DONE, "topology show policies_app:bus"),
    )
    made = client.list_queues(QueueNamePrefix="dev-")["QueueUrls"]
    assert {"shop-billing", "letters", "letters-dead"} <= {url.rpartition("/dev-")[2] for url in made}
    assert "Tags" not in client.list_queue_tags(QueueUrl=site.queue_url("shop-invoice-print"))


def operate(site: Site) -> None:
    """An operator's work: all that a provisioner does, and looking into, moving, emptying and removing queues."""
    provision(site)
    client = site.client()
    site.send("shop-billing", "to be carried over")
    for _ in range(2):
        site.send("letters-dead")
    site.send_large("letters-dead", key="shop/letter", body=LARGE)
    site.send_large("letters-dead", key="shop/gone", body=None)
    site.become(site.role)
    site.ask_all(
        (DONE, "topology apply policies_app:bus --remove"),
        (DONE, "stats policies_app:bus"),
        (DONE, "stats --prefix shop-"),
        (DONE, "peek --receive shop-billing"),
        (DONE, "dead list letters"),
    )
    site.is_there("letters-dead", visible=4)
    site.ask_all((DONE, "dead replay letters --all"))
    site.is_there("letters", visible=4)
    assert list(site.bucket.objects) != ["shop/letter"]
    assert len(site.bucket.objects) == 1
    site.send("letters-dead")
    site.ask_all((DONE, "dead drop letters --all --yes"))
    site.is_there("letters-dead", visible=0, in_flight=0)
    client.tag_queue(QueueUrl=site.queue_url("shop-billing"), Tags={"owner": "ada"})
    site.ask_all((DONE, "topology move shop/billing shop-bills"))
    site.is_there("shop-bills", visible=1)
    assert client.list_queue_tags(QueueUrl=site.queue_url("shop-bills"))["Tags"] == {"owner": "ada"}
    site.ask_all(
        (DONE, "purge shop-bills --yes"),
        (DONE, "topology pause shop/billing"),
        (DONE, "topology unsubscribe shop/letters --discard --dead-letters"),
        (DONE, "topology unsubscribe crm/mail --dead-letters"),
        (DONE, "topology history"),
    )
    left = client.list_queues(QueueNamePrefix="dev-")["QueueUrls"]
    # Dead letters are left where the broker's counts may be late.
    assert sorted(url.rpartition("/dev-")[2] for url in left) == [
        "shop-billing-dead",
        "shop-bills",
        "shop-bills-dead",
        "shop-invoice-print",
        "shop-invoice-print-dead",
    ]


WORK: dict[str, Callable[[Site], None]] = {
    "worker": consume,
    "publisher": publish,
    "provisioner": provision,
    "operator": operate,
}


@pytest.fixture
def printed(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The policies, as the command prints them while another program is in the list already."""
    assert folder.is_dir()
    with run_in_thread(keys=Keys(keys=[OWNER])) as server:
        site = Site(server, monkeypatch, capsys, Bucket())
        site.become(OWNER)
        site.ask_all((DONE, "topology apply policies_app:other"))
    assert main(["iam", "policies_app:bus", "--url", f"sqs://us-east-1?{WHERE}", "--account", ACCOUNT]) == DONE
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def given(
    printed: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractContextManager[Site]]:
    """Lay out the queues as their owner, for somebody who has a role, save for one action of it."""

    @contextmanager
    def give(role: str, without: tuple[int, str] | None = None) -> Generator[Site]:
        policy = deepcopy(printed[role])
        if without is not None:
            number, action = without
            policy["Statement"][number]["Action"].remove(action)
            policy["Statement"] = [statement for statement in policy["Statement"] if statement["Action"]]
        key = Key(access_key="AKIDROLE", secret="s", account=ACCOUNT, policy=json.dumps(policy))  # noqa: S106 - nobody's
        monkeypatch.delitem(sys.modules, "policies_app", raising=False)
        bucket = Bucket()
        bucket.policies[key.access_key] = policy
        monkeypatch.setattr("busframe_sqs.opening.connect", bucket.connect)
        with run_in_thread(keys=Keys(keys=[OWNER, key]), enforce_policies=True) as server:
            site = Site(server, monkeypatch, capsys, bucket, key, f"sqlite:///{role}-{without}.db")
            site.become(OWNER)
            site.ask_all((DONE, "topology apply policies_app:other"), (DONE, "topology apply policies_app:bus"))
            yield site

    return give


@pytest.mark.parametrize("role", WORK)
def test_each_role_can_do_all_that_it_is_for(given: Callable[..., AbstractContextManager[Site]], role: str) -> None:
    with given(role) as site:
        WORK[role](site)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", WORK)
def test_no_role_is_given_an_action_that_it_does_not_need(
    printed: Any, given: Callable[..., AbstractContextManager[Site]], role: str
) -> None:
    spare: list[str] = []
    for number, statement in enumerate(printed[role]["Statement"]):
        for action in statement["Action"]:
            with given(role, (number, action)) as site:
                try:
                    WORK[role](site)
                except (AccessDeniedError, AssertionError, PublishError):
                    continue
                spare.append(f"{statement['Sid']}: {action}")
    assert not spare
