"""What becomes of subscriptions and queues when an operator pauses, moves, renames or unsubscribes a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from bus.orders import OrderPlaced

from busframe import Bus
from busframe.backend import Backend, DeadLetters, KeepsRecipients, Plan, QueueSpec
from busframe.config import BackendUrl, backend_factory
from busframe.errors import ConfigurationError, InvalidArgumentError
from busframe.message import Acknowledge, Outgoing, QueueName, Sent
from busframe.queue_names import dead_queue
from busframe.recipients import Subscription
from busframe.runtime import new_id
from busframe.topology.operations import Topology
from busframe.topology.registration import register
from busframe_emulator.engine import Limits
from busframe_emulator.server.thread import run_in_thread
from busframe_memory import open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
    from pathlib import Path

    from busframe.recipients import RecipientList
    from busframe_emulator.server.thread import ThreadedServer

pytestmark = pytest.mark.anyio

PLACED, CANCELLED = "shop.order.placed", "shop.order.cancelled"
BILLING, NEW, SHIPPING = QueueName("shop-billing"), QueueName("shop-bills"), QueueName("shop-shipping")


@pytest.fixture(scope="module")
def server() -> Generator[ThreadedServer]:
    # A name may be used again at once, and a queue purged: the clock would have to be moved for it in every test.
    with run_in_thread(limits=Limits(purge_interval_us=0, recreate_after_us=0)) as server:
        yield server


# What differs between the event loops is tried enough on the others: a client of SQS takes its time to make.
@pytest.fixture(params=["memory-asyncio", "memory-trio", "sqlite-asyncio", "sqlite-trio", "sqs-asyncio"])
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    broker, _, loop = str(request.param).partition("-")
    return broker, loop


@pytest.fixture
def anyio_backend(place: tuple[str, str]) -> str:
    return place[1]


@pytest.fixture
async def backend(
    place: tuple[str, str], request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Backend]:
    text = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/bus.db", "sqs": ""}[place[0]]
    if not text:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        server: ThreadedServer = request.getfixturevalue("server")
        text = f"sqs://us-east-1?prefix={new_id()}-&wait_s=1&endpoint_url={server.url}"
    url = BackendUrl.parse(text)
    async with backend_factory(url.scheme)(url) as backend:
        yield backend


@pytest.fixture
async def recipients(backend: Backend) -> AsyncGenerator[RecipientList]:
    if isinstance(backend, KeepsRecipients):
        yield backend.recipients
    else:
        async with open_memory(BackendUrl.parse("memory://")) as memory:
            yield memory.recipients


@pytest.fixture
def topology(backend: Backend, recipients: RecipientList) -> Topology:
    return Topology(Bus("shop"), backend, recipients, by="ada", quiet_s=0.01)


@pytest.fixture(autouse=True)
async def _registered(backend: Backend, recipients: RecipientList) -> None:
    """Billing gets two events on one queue, shipping one of them on another."""
    await subscribe(backend, recipients, BILLING, PLACED, CANCELLED)
    await subscribe(backend, recipients, SHIPPING, PLACED)


async def subscribe(backend: Backend, recipients: RecipientList, queue: QueueName, *topics: str) -> None:
    group = queue.replace("-", "/", 1)
    dead = dead_queue(queue)
    spec = QueueSpec(name=queue, lease_s=77, dead_letters=DeadLetters(queue=dead, max_receive_count=7))
    rows = [Subscription(topic=topic, queue=queue, group=group) for topic in topics]
    await register(backend, recipients, Plan(queues=(QueueSpec(name=dead), spec)), rows, by="the program")


async def send(backend: Backend, queue: QueueName, *bodies: str) -> None:
    outcomes = await backend.send(queue, [Outgoing(body=body) for body in bodies])
    assert all(isinstance(outcome, Sent) for outcome in outcomes)


async def take(backend: Backend, queue: QueueName) -> list[str]:
    received = await backend.receive(queue, limit=10, wait_s=1, lease_s=30)
    await backend.settle(queue, [Acknowledge(receipt=message.receipt) for message in received])
    return sorted(message.body for message in received)


async def listed(backend: Backend) -> list[QueueName]:
    return list(await backend.list_queues())


def kept(backend: Backend, *dead: QueueName) -> Sequence[QueueName]:
    """Dead-letter queues that stay although nothing is seen on them, since the counts may be late."""
    return () if backend.capabilities.exact_stats else dead


async def states(topology: Topology) -> list[tuple[str, str, str]]:
    return [(row.topic.rpartition(".")[2], row.queue, row.state) for row in await topology.subscriptions()]


async def until_waiting(topology: Topology, state: tuple[str, str, str]) -> None:
    with anyio.fail_after(10):
        while state not in await states(topology):  # noqa: ASYNC110 - it looks from outside
            await anyio.sleep(0.001)


ALL = [
    ("placed", BILLING, "active"),
    ("cancelled", BILLING, "active"),
    ("placed", SHIPPING, "active"),
]


async def test_a_paused_group_is_paused_for_one_event_or_all_and_resumed(topology: Topology) -> None:
    assert await states(topology) == ALL
    await topology.pause("billing", CANCELLED)
    assert await states(topology) == [ALL[0], ("cancelled", BILLING, "paused"), ALL[2]]
    await topology.pause("shop/billing")
    assert [state for _, _, state in await states(topology)] == ["paused", "paused", "active"]
    await topology.resume("billing")
    assert await states(topology) == ALL


async def test_a_paused_group_stays_paused_when_its_program_connects_again(
    topology: Topology, backend: Backend, recipients: RecipientList, caplog: pytest.LogCaptureFixture
) -> None:
    await topology.pause("billing", PLACED)
    await subscribe(backend, recipients, BILLING, PLACED, CANCELLED)
    assert (await states(topology))[0] == ("placed", BILLING, "paused")
    assert "shop/billing is paused for shop.order.placed since ada changed it" in caplog.text


WRONG: list[Callable[[Topology], Awaitable[object]]] = [
    lambda topology: topology.pause("packing"),
    lambda topology: topology.resume("packing"),
    lambda topology: topology.unsubscribe("packing"),
    lambda topology: topology.move("packing", "elsewhere"),
    lambda topology: topology.rename("packing", "other"),
    lambda topology: topology.pause("billing", "shop.order.unheard-of"),
]


@pytest.mark.parametrize("operate", WRONG)
async def test_a_group_that_is_not_there_is_an_error_and_changes_nothing(
    topology: Topology, operate: Callable[[Topology], Awaitable[object]]
) -> None:
    with pytest.raises(ConfigurationError, match="the recipient list has no group shop/"):
        await operate(topology)
    assert await states(topology) == ALL


async def test_unsubscribing_lets_the_queue_be_consumed_and_then_removes_row_and_queue(
    topology: Topology, backend: Backend
) -> None:
    await send(backend, SHIPPING, "a", "b")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(topology.unsubscribe, "shipping")
        await until_waiting(topology, ("placed", SHIPPING, "draining"))
        assert await take(backend, SHIPPING) == ["a", "b"]
    assert await states(topology) == ALL[:2]
    assert await listed(backend) == [BILLING, dead_queue(BILLING), *kept(backend, dead_queue(SHIPPING))]


async def test_what_is_in_hand_keeps_a_queue_alive(topology: Topology, backend: Backend) -> None:
    await send(backend, SHIPPING, "a")
    (message,) = await backend.receive(SHIPPING, limit=1, wait_s=1, lease_s=30)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(topology.unsubscribe, "shipping")
        await until_waiting(topology, ("placed", SHIPPING, "draining"))
        for _ in range(20):
            await anyio.sleep(0.001)
        await backend.settle(SHIPPING, [Acknowledge(receipt=message.receipt)])
    assert await backend.describe(SHIPPING) is None


async def test_dead_letters_are_kept_unless_one_says_otherwise(topology: Topology, backend: Backend) -> None:
    await send(backend, dead_queue(SHIPPING), "poison")
    await send(backend, dead_queue(BILLING), "poison")
    (left,) = await topology.unsubscribe("shipping")
    assert (left.queue, left.dead_letters) == (SHIPPING, dead_queue(SHIPPING))
    (left,) = await topology.unsubscribe("billing", with_dead_letters=True)
    assert left.dead_letters is None
    assert await listed(backend) == [dead_queue(SHIPPING)]


async def test_unsubscribing_from_one_event_leaves_the_queue_to_the_others(
    topology: Topology, backend: Backend
) -> None:
    assert await topology.unsubscribe("billing", CANCELLED) == []
    assert await states(topology) == [ALL[0], ALL[2]]
    assert await backend.describe(BILLING) is not None


async def test_discarding_does_not_wait_for_consumers(topology: Topology, backend: Backend) -> None:
    await send(backend, SHIPPING, "a", "b")
    (left,) = await topology.unsubscribe("shipping", discard=True)
    assert left.queue == SHIPPING


async def test_unsubscribing_can_be_begun_and_finished_later_or_taken_back(
    topology: Topology, backend: Backend
) -> None:
    await send(backend, SHIPPING, "a")
    assert await topology.unsubscribe("shipping", wait=False) == ()
    assert (await states(topology))[2] == ("placed", SHIPPING, "draining")
    await topology.resume("shipping")
    assert await states(topology) == ALL
    await topology.unsubscribe("shipping", wait=False)
    assert await take(backend, SHIPPING) == ["a"]
    (left,) = await topology.unsubscribe("shipping")
    assert left.queue == SHIPPING


async def test_moving_makes_a_queue_like_the_old_one_and_carries_its_messages_over(
    topology: Topology, backend: Backend
) -> None:
    await send(backend, BILLING, *(f"m{n}" for n in range(10)))
    (left,) = await topology.move("billing", NEW)
    assert left.queue == BILLING
    assert await states(topology) == [ALL[2], ("placed", NEW, "active"), ("cancelled", NEW, "active")]
    bodies: list[str] = []
    while len(bodies) < 10:
        bodies += await take(backend, NEW)
    assert sorted(bodies) == sorted(f"m{n}" for n in range(10))
    assert await backend.describe(BILLING) is None
    spec = await backend.describe(NEW)
    assert spec is not None
    assert (spec.lease_s, spec.dead_letters) == (77, DeadLetters(queue=dead_queue(NEW), max_receive_count=7))


async def test_moving_without_carrying_leaves_messages_to_the_old_queues_consumers(
    topology: Topology, backend: Backend
) -> None:
    async def move() -> None:
        await topology.move("shipping", NEW, carry=False)

    await send(backend, SHIPPING, "a")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(move)
        await until_waiting(topology, ("placed", NEW, "active"))
        assert ("placed", SHIPPING, "draining") in await states(topology)
        assert await take(backend, SHIPPING) == ["a"]
    assert await states(topology) == [*ALL[:2], ("placed", NEW, "active")]


async def test_moving_to_the_queue_of_another_group_is_refused(topology: Topology) -> None:
    with pytest.raises(InvalidArgumentError, match="belongs to shop/shipping"):
        await topology.move("billing", SHIPPING)
    assert await states(topology) == ALL


async def test_a_program_that_names_another_queue_than_the_list_is_told_to_move(
    backend: Backend, recipients: RecipientList
) -> None:
    row = Subscription(topic=PLACED, queue=NEW, group="shop/billing")
    with pytest.raises(
        ConfigurationError, match=r'topology move shop/billing shop-bills; .*write queue="shop-billing"'
    ):
        await register(backend, recipients, Plan(queues=(QueueSpec(name=NEW),)), [row], by="the program")


async def test_a_queue_of_another_group_is_refused_at_registration(backend: Backend, recipients: RecipientList) -> None:
    row = Subscription(topic=PLACED, queue=BILLING, group="crm/letters")
    with pytest.raises(ConfigurationError, match=r"queue shop-billing gets .* for group shop/billing"):
        await register(backend, recipients, Plan(), [row], by="the program")


async def test_renaming_keeps_the_queue(topology: Topology) -> None:
    await topology.rename("billing", "invoicing")
    assert {(row.group, row.queue) for row in await topology.subscriptions()} == {
        ("shop/invoicing", BILLING),
        ("shop/shipping", SHIPPING),
    }
    with pytest.raises(InvalidArgumentError, match="a name that no group in the list has"):
        await topology.rename("invoicing", "shipping")
    last = (await topology.history(limit=1))[0]
    assert (last.what, last.by) == ("group shop/billing -> shop/invoicing", "ada")


async def test_a_group_that_subscribes_again_while_its_queue_is_removed_has_its_queue(
    backend: Backend, recipients: RecipientList
) -> None:
    async def subscribe_again(queue: QueueName) -> None:
        assert queue == SHIPPING
        await subscribe(backend, recipients, SHIPPING, PLACED)

    topology = Topology(Bus("shop"), backend, recipients, by="ada", quiet_s=0, before_removal=subscribe_again)
    assert await topology.unsubscribe("shipping") == []
    assert await states(topology) == ALL
    spec = await backend.describe(SHIPPING)
    assert spec is not None
    assert spec.lease_s == 77


async def test_an_event_is_named_by_its_class_too(topology: Topology) -> None:
    (change,) = await topology.pause("billing", OrderPlaced)
    assert change.topic == PLACED


async def test_checking_reports_a_row_that_is_missing_and_enters_nothing(
    backend: Backend, recipients: RecipientList
) -> None:
    listed, missing = (Subscription(topic=topic, queue=BILLING, group="shop/billing") for topic in (PLACED, "shop.new"))
    assert not await register(backend, recipients, Plan(mode="check"), [listed], by="the program")
    with pytest.raises(ConfigurationError, match=r"lacks: shop\.new on shop-billing for shop/billing: subscribed"):
        await register(backend, recipients, Plan(mode="check"), [listed, missing], by="the program")
    assert not await register(backend, recipients, Plan(mode="assume"), [missing], by="the program")
    assert len((await recipients.load()).subscriptions) == 3


async def test_a_function_that_is_subscribed_in_two_groups_is_remarked_on(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus("shop")

    async def handle(_: OrderPlaced) -> None: ...

    bus.subscribe(OrderPlaced, group="one")(handle)
    bus.subscribe(OrderPlaced, group="two")(handle)
    async with bus.connect("memory://"):
        assert "handles shop.order.placed for the groups shop/one and shop/two: it is called twice" in caplog.text


@pytest.mark.parametrize("other", ["shop/billing-2", "shop/Billing", "shop/billing_worker7"])
async def test_a_group_whose_name_looks_like_an_instance_of_another_is_remarked_on(
    backend: Backend, recipients: RecipientList, caplog: pytest.LogCaptureFixture, other: str
) -> None:
    row = Subscription(topic=PLACED, queue=QueueName("second"), group=other)
    await register(backend, recipients, Plan(queues=(QueueSpec(name=row.queue),)), [row], by="the program")
    remarked = "must have the same group" in caplog.text
    assert remarked is (other != "shop/billing_worker7")
    await register(backend, recipients, Plan(queues=(QueueSpec(name=row.queue),)), [row], by="the program")
    assert caplog.text.count("must have the same group") == remarked
