"""`once=True`: a message whose handler has returned is not handled again."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import pytest
from bus.connected import dead_letters, reason_of, until
from bus.orders import OrderPlaced, PrintInvoice

from busframe import Bus, Command, Delivery, Drop, ForeignMessage, Live, Reject, Retry, command, runtime
from busframe.errors import ConfigurationError, InvalidArgumentError, MissingStoreError, UnavailableError
from busframe.message import Acknowledge, Outgoing, QueueName
from busframe_memory import MemoryBackend
from busframe_sqlite.inbox import SqliteInbox
from busframe_sqlite.opening import open_backend
from busframe_sqlite.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from busframe.inbox import Claim
    from busframe.message import Received

pytestmark = pytest.mark.anyio

BILLING = QueueName("shop-billing")


@command("shop.invoice.print.keyed", key="order")
@dataclass(frozen=True)
class PrintKeyed(Command):
    order: str


AT_ONCE = Retry(attempts=3, first_s=0)


@asynccontextmanager
async def running(bus: Bus, inbox: str | None = None) -> AsyncGenerator[Live, None]:
    with anyio.fail_after(20):
        async with bus.connect("memory://", inbox=inbox) as live, live.running():
            yield live


async def copy_of(live: Live, order: str) -> Received:
    """Publish, and take the message away before a consumer sees it: to deliver it as often as one likes."""
    await live.publish(OrderPlaced(order))
    backend = live.backend_as(MemoryBackend)
    (received,) = await backend.receive(BILLING, limit=1, wait_s=1, lease_s=30)
    await backend.settle(BILLING, [Acknowledge(receipt=received.receipt)])
    return received


async def deliver(live: Live, message: Received, times: int = 1) -> None:
    for _ in range(times):
        copy = Outgoing(body=message.body, attributes=message.attributes)
        await live.backend_as(MemoryBackend).send(BILLING, [copy])


async def test_a_message_that_is_delivered_three_times_is_handled_once() -> None:
    bus = Bus("shop")
    handled: list[str] = []

    # One at a time: a copy that comes while the first is being handled is given back for as long as the claim may last.
    @bus.subscribe(OrderPlaced, group="billing", once=True, concurrency=1)
    async def bill(order: OrderPlaced) -> None:
        handled.append(order.order)

    with anyio.fail_after(20):
        async with bus.connect("memory://") as live:
            first, second = await copy_of(live, "o1"), await copy_of(live, "o2")
            await deliver(live, first, 3)
            await deliver(live, second, 2)
            async with live.running():
                await until(lambda: live.counts[BILLING].handled == 5)
    assert sorted(handled) == ["o1", "o2"]


async def test_two_consumers_are_not_at_work_on_one_message_at_once() -> None:
    bus = Bus("shop")
    at_work = 0
    runs = 0
    begun = anyio.Event()
    go_on = anyio.Event()

    @bus.subscribe(OrderPlaced, group="billing", once=True, retry=Retry(attempts=1))
    async def bill(_: OrderPlaced) -> None:
        nonlocal at_work, runs
        at_work += 1
        runs += 1
        assert at_work == 1
        begun.set()
        await go_on.wait()
        at_work -= 1

    with anyio.fail_after(20):
        async with bus.connect("memory://") as live:
            await deliver(live, await copy_of(live, "o1"), 2)
            async with live.running():
                await begun.wait()
                # The other copy is given back until the claim would end, and that was no attempt.
                await until(lambda: live.counts[BILLING].retried == 1)
                go_on.set()
                await until(lambda: live.counts[BILLING].handled == 1)
                live.backend_as(MemoryBackend).advance(30)
                await until(lambda: live.counts[BILLING].handled == 2)
                assert live.counts[BILLING].dead_lettered == 0
    assert runs == 1


async def test_a_handler_that_fails_is_tried_again() -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", once=True, retry=AT_ONCE)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt < 3:
            raise ConnectionError

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await until(lambda: live.counts[BILLING].handled == 1)
    assert attempts == [1, 2, 3]


async def test_what_is_left_to_the_transaction_is_there_when_the_message_is_done_and_only_then() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", once=True, retry=AT_ONCE, concurrency=1)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        delivery.transaction.execute("INSERT INTO bill VALUES (?, ?)", (order.order, delivery.attempt))
        delivery.transaction.run(lambda db: db.execute("UPDATE total SET bills = bills + 1"))
        if delivery.attempt == 1:
            raise ConnectionError

    async with running(bus) as live:
        await live.inbox.run(lambda db: db.execute("CREATE TABLE bill (order_ TEXT, attempt INTEGER)"))
        await live.inbox.run(lambda db: db.execute("CREATE TABLE total AS SELECT 0 AS bills"))
        await deliver(live, await copy_of_unseen(), 3)
        await until(lambda: live.counts[BILLING].handled == 3)
        bills = await live.inbox.run(lambda db: db.execute("SELECT * FROM bill").fetchall())
        ((total,),) = await live.inbox.run(lambda db: db.execute("SELECT bills FROM total").fetchall())
    assert [order for order, _ in bills] == ["o1"]
    assert total == 1


async def copy_of_unseen() -> Received:
    """As `copy_of`, of a bus that is running: the message never touches its queue."""
    bus = Bus("shop")
    bus.subscribe(OrderPlaced, group="billing")(ignore)
    async with bus.connect("memory://") as other:
        return await copy_of(other, "o1")


async def ignore(_: OrderPlaced) -> None: ...


async def test_an_effect_that_fails_undoes_the_others_and_the_message_is_tried_again() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", once=True, retry=AT_ONCE)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        delivery.transaction.execute("INSERT INTO bill VALUES (?)", (order.order,))
        delivery.transaction.execute("INSERT INTO nowhere VALUES (1)")

    async with running(bus) as live:
        await live.inbox.run(lambda db: db.execute("CREATE TABLE bill (order_ TEXT)"))
        await live.publish(OrderPlaced("o1"))
        (dead,) = await dead_letters(live, "shop-billing-dead")
        assert await live.inbox.run(lambda db: db.execute("SELECT * FROM bill").fetchall()) == []
    assert "attempt 3 of 3: OperationalError: no such table: nowhere" in reason_of(dead)


async def test_a_dropped_message_is_done_and_a_rejected_one_is_not() -> None:
    bus = Bus("shop")
    seen: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", once=True, concurrency=1)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        seen.append(order.order)
        delivery.transaction.execute("INSERT INTO nowhere VALUES (1)")  # not carried out
        raise Drop("no") if order.order == "drop" else Reject("no")

    with anyio.fail_after(20):
        async with bus.connect("memory://") as live:
            dropped, rejected = await copy_of(live, "drop"), await copy_of(live, "reject")
            await deliver(live, dropped, 2)
            await deliver(live, rejected)
            async with live.running():
                await until(lambda: live.counts[BILLING].handled == 2 and live.counts[BILLING].dead_lettered == 1)
                await deliver(live, rejected)
                await until(lambda: live.counts[BILLING].dead_lettered == 2)
    assert sorted(seen) == ["drop", "reject", "reject"]


async def test_a_message_is_handled_again_after_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus("shop")
    wall_s = 1_000_000.0
    handled = 0
    monkeypatch.setattr(runtime, "wall_s", lambda: wall_s)

    @bus.subscribe(OrderPlaced, group="billing", once=True, once_window_s=60)
    async def bill(_: OrderPlaced) -> None:
        nonlocal handled
        handled += 1

    async with running(bus) as live:
        message = await copy_of_unseen()
        for done, step_s in enumerate((0, 59, 1)):
            wall_s += step_s
            await deliver(live, message)
            await until(lambda done=done: live.counts[BILLING].handled == done + 1)  # type: ignore[misc]
            assert handled == (2 if wall_s == 1_000_060 else 1)


async def test_groups_do_not_share_their_marks() -> None:
    bus = Bus("shop")
    handled: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", once=True)
    async def bill(_: OrderPlaced) -> None:
        handled.append("billing")

    @bus.subscribe(OrderPlaced, group="shipping", once=True)
    async def ship(_: OrderPlaced) -> None:
        handled.append("shipping")

    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await until(lambda: len(handled) == 2)
    assert sorted(handled) == ["billing", "shipping"]


async def test_commands_and_foreign_messages_can_be_handled_once_too() -> None:
    bus = Bus("shop")
    done: list[str] = []

    @bus.handle(PrintInvoice, once=True)
    async def print_invoice(invoice: PrintInvoice, delivery: Delivery[PrintInvoice]) -> None:
        delivery.transaction.execute("SELECT 1")
        done.append(invoice.order)

    @bus.foreign(queue="uploads", once=True)
    async def foreign(message: ForeignMessage, delivery: Delivery[ForeignMessage]) -> None:
        delivery.transaction.execute("SELECT 1")
        done.append(message.body)

    async with running(bus) as live:
        await live.send(PrintInvoice("o1"))
        await live.backend_as(MemoryBackend).send(QueueName("uploads"), [Outgoing(body="x")])
        await until(lambda: len(done) == 2)


async def test_an_inbox_that_does_not_answer_is_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus("shop")
    attempts: list[int] = []

    @bus.subscribe(OrderPlaced, group="billing", once=True, retry=Retry(attempts=1))
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        attempts.append(delivery.attempt)

    claim = SqliteInbox.claim
    calls = 0

    async def fail_first(inbox: SqliteInbox, key: str, **terms: float) -> object:
        nonlocal calls
        calls += 1
        if calls <= 20:
            raise UnavailableError("the file is in use")
        return await claim(inbox, key, **terms)

    monkeypatch.setattr(SqliteInbox, "claim", fail_first)
    monkeypatch.setattr("busframe._consume.once.INBOX_RETRY_S", 0.001)
    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await until(lambda: live.counts[BILLING].handled == 1)
        assert (live.counts[BILLING].retried, live.counts[BILLING].dead_lettered) == (20, 0)
    assert attempts == [1]


async def test_a_handler_whose_claim_is_taken_over_is_cancelled_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bus = Bus("shop")
    begun = anyio.Event()
    cancelled = 0

    @bus.subscribe(OrderPlaced, group="billing", once=True, lease_s=2)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        nonlocal cancelled
        delivery.transaction.execute("INSERT INTO nowhere VALUES (1)")
        begun.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled += 1
            raise

    async def none_kept(_: SqliteInbox, claims: list[Claim], *, lease_s: float) -> list[bool]:  # noqa: ARG001
        return [False] * len(claims)

    monkeypatch.setattr(SqliteInbox, "extend", none_kept)
    async with running(bus) as live:
        await live.publish(OrderPlaced("o1"))
        await begun.wait()
        await until(lambda: cancelled == 1)
        await until(lambda: live.counts[BILLING].retried >= 1)
        assert live.counts[BILLING].handled == 0


async def test_a_handler_that_returns_when_its_claim_is_anothers_has_done_nothing() -> None:
    bus = Bus("shop")

    @bus.subscribe(OrderPlaced, group="billing", once=True)
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        delivery.transaction.execute("INSERT INTO bills VALUES (1)")
        await live.inbox.run(lambda db: db.execute("UPDATE busframe_inbox SET owner = 'another'"))

    async with running(bus) as live:
        await live.inbox.run(lambda db: db.execute("CREATE TABLE bills (n)"))
        await live.publish(OrderPlaced("o1"))
        await until(lambda: live.counts[BILLING].retried == 1)
        assert live.counts[BILLING].handled == 0
        assert await live.inbox.run(lambda db: db.execute("SELECT * FROM bills").fetchall()) == []


async def test_the_inbox_can_be_a_file_and_outlives_the_connection(tmp_path: Path) -> None:
    bus = Bus("shop")
    handled: list[str] = []

    @bus.subscribe(OrderPlaced, group="billing", once=True)
    async def bill(order: OrderPlaced) -> None:
        handled.append(order.order)

    inbox = f"sqlite:///{tmp_path / 'inbox.db'}"
    async with running(bus, inbox) as live:
        message = await copy_of_unseen()
        await deliver(live, message)
        await until(lambda: live.counts[BILLING].handled == 1)
    async with running(bus, inbox) as live:
        await deliver(live, message)
        await until(lambda: live.counts[BILLING].handled == 1)
    assert handled == ["o1"]


async def test_sqlite_keeps_the_inbox_in_the_file_of_its_queues(tmp_path: Path) -> None:
    bus = Bus("shop")
    url = f"sqlite:///{tmp_path / 'shop.db'}"

    @bus.subscribe(OrderPlaced, group="billing", once=True)
    async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        delivery.transaction.execute("INSERT INTO bill VALUES (?)", (order.order,))

    with anyio.fail_after(20):
        async with bus.connect(url) as live:
            await live.inbox.run(lambda db: db.execute("CREATE TABLE bill (order_ TEXT)"))
            async with live.running():
                for n in range(20):
                    await live.publish(OrderPlaced(f"o{n:02}"))
                await until(lambda: live.counts[BILLING].handled == 20)
            bills = await live.inbox.run(lambda db: db.execute("SELECT order_ FROM bill ORDER BY 1").fetchall())
    assert [order for (order,) in bills] == [f"o{n:02}" for n in range(20)]
    async with open_backend(Settings(path=tmp_path / "shop.db")):
        pass  # it is still a file of queues


async def test_what_cannot_be_is_named() -> None:
    with pytest.raises(InvalidArgumentError, match="once_window_s"):
        Bus("shop").subscribe(OrderPlaced, group="billing", once=True, once_window_s=0)
    bus = Bus("shop")
    problems: list[Exception] = []

    @bus.subscribe(OrderPlaced, group="billing")
    async def bill(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
        try:
            delivery.transaction.execute("SELECT 1")
        except ConfigurationError as error:
            problems.append(error)

    async with running(bus) as live:
        with pytest.raises(ConfigurationError, match="no inbox"):
            _ = live.inbox
        await live.publish(OrderPlaced("o1"))
        await until(lambda: bool(problems))
    assert "once=True" in str(problems[0])


async def test_a_handler_that_is_registered_too_late_for_an_inbox_does_not_run_without_one() -> None:
    bus = Bus("shop")
    async with bus.connect("memory://") as live:
        bus.subscribe(OrderPlaced, group="billing", once=True)(ignore)
        with pytest.raises(ConfigurationError, match="no inbox"):
            async with live.running():
                pass


async def test_where_the_broker_keeps_no_inbox_consumers_name_one_and_publishers_need_none() -> None:
    bus = Bus("shop")

    @bus.handle(PrintInvoice, once=True)
    async def print_invoice(invoice: PrintInvoice) -> None: ...

    missing = r"shop-invoice-print has .*once=True.* no inbox: .*inbox='sqlite:///inbox.db'"
    async with bus.connect("sqs://eu-west-1", provision="assume") as live:
        with pytest.raises(MissingStoreError, match=missing) as caught:
            async with live.running():
                pass
        with pytest.raises(MissingStoreError, match="once=True"):
            async with live.stream(OrderPlaced, group="audit", once=True):
                pass
    assert caught.value.parameter == "inbox"


async def test_a_copy_that_comes_after_its_group_was_moved_to_another_queue_is_not_handled_again(
    tmp_path: Path,
) -> None:
    handled: list[str] = []
    url = f"sqlite:///{tmp_path}/bus.db"

    def shop(queue: str) -> Bus:
        bus = Bus("shop")

        @bus.subscribe(OrderPlaced, group="points", queue=queue, once=True)
        async def give_points(_: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
            handled.append(delivery.queue)

        return bus

    with anyio.fail_after(20):
        async with shop("first").connect(url) as live:
            await live.publish(OrderPlaced("o1"))
            (copy,) = await live.queue("first").peek()
            async with live.running():
                await until(lambda: live.counts["first"].handled == 1)
            await live.queue("first").send(copy.body, attributes=copy.attributes)
            await live.topology.move("shop/points", "second")
        async with shop("second").connect(url) as live, live.running():
            await until(lambda: live.counts["second"].handled == 1)
    assert handled == ["first"]


def owner(handled: list[str], *, ordered: bool) -> Bus:
    bus = Bus("shop")

    @bus.handle(PrintKeyed, ordered=ordered, once=True)
    async def print_it(_: PrintKeyed, delivery: Delivery[PrintKeyed]) -> None:
        handled.append(delivery.queue)

    return bus


async def test_a_command_whose_owner_has_become_ordered_is_not_handled_again(tmp_path: Path) -> None:
    handled: list[str] = []
    url = f"sqlite:///{tmp_path}/bus.db"
    plain, ordered = "shop-invoice-print-keyed", "shop-invoice-print-keyed.fifo"
    with anyio.fail_after(20):
        async with owner(handled, ordered=False).connect(url) as live:
            await live.send(PrintKeyed("o1"))
            (copy,) = await live.queue(plain).peek()
            async with live.running():
                await until(lambda: live.counts[plain].handled == 1)
        async with owner(handled, ordered=True).connect(url) as live, live.running():
            await live.queue(ordered).send(copy.body, attributes=copy.attributes, group="ada")
            await until(lambda: live.counts[ordered].handled == 1)
    assert handled == [plain]


async def test_a_command_sent_to_two_brokers_and_consumed_from_both_is_handled_once(tmp_path: Path) -> None:
    handled: list[str] = []
    bus, inbox = owner(handled, ordered=False), f"sqlite:///{tmp_path}/inbox.db"
    queue = "shop-invoice-print-keyed"

    async def send_and_consume(live: Live) -> None:
        await live.send(PrintKeyed("o1"), id="o1-print")
        async with live.running():
            await until(lambda: live.counts[queue].handled == 1)

    with anyio.fail_after(20):
        async with (
            bus.connect(f"sqlite:///{tmp_path}/old.db", inbox=inbox) as old,
            bus.connect("memory://", inbox=inbox) as new,
        ):
            await send_and_consume(old)
            await send_and_consume(new)
    assert handled == [queue]
