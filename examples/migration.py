"""Moves a running system from one broker to another: here from SQLite to SQS, with nothing lost and nothing done twice.

    python examples/migration.py
    python examples/migration.py --old sqlite:///old.db --new 'sqs://eu-west-1?prefix=shop-' --recipients sqlite:///l.db

Without arguments the new broker is an SQS emulator in this process. The application stays the same: handlers and
message types know no broker, so the move is a matter of who connects where, in four steps. Each can be undone until the
last.

1. *Before*: publishers and consumers are on the old broker.
2. *Dual publish*: publishers publish to both. Consumers are still on the old one; the new one fills. Anything wrong
   with its permissions, limits or names shows now, and costs nothing: stop publishing there, and purge it.
3. *Dual consume*: consumers run on both. Each message comes twice, under one id, and the second is dropped by the inbox
   that both share (`once=True`): delivery is at least once on every broker, so this is of use before and after, too.
4. *Switch*: publishers publish to the new broker only. When the old one is empty, its consumers end.

A publish to both that fails at one of them is repeated at both, under the same id: again duplicates, and again they are
dropped. To go on when one of two has failed would lose messages as soon as the other is switched off.

Here one program does it all. In a system that is deployed, the connections are named in the configuration of its
publishers and workers, and each step is a deployment. The inbox has to be one that all workers reach: a SQLite file
serves those of one machine.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from busframe import BackendError, Bus, Delivery, Event, PublishError, event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe import Live, Producer

log = logging.getLogger("migration")

PER_STEP = 50


@event("demo.order.placed")
@dataclass(frozen=True)
class OrderPlaced(Event):
    """Somebody has ordered something."""

    order: str


bus = Bus("demo")


@bus.subscribe(OrderPlaced, group="invoices", concurrency=20, once=True, lease_s=5)
async def write_invoice(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
    """Write the invoice of an order, in the transaction that marks the message as handled."""
    delivery.transaction.execute("INSERT INTO invoices VALUES (?)", (order.order,))


async def publish(producers: Sequence[Producer], orders: Sequence[str]) -> None:
    """Publish orders to one broker or both, many at a time."""
    remaining = iter(orders)

    async def publisher() -> None:
        for order in remaining:
            while not await published(producers, order):  # noqa: ASYNC110 - nobody tells when a broker is back
                await anyio.sleep(1)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(publisher)


async def published(producers: Sequence[Producer], order: str) -> bool:
    """Publish one order, and tell whether every broker has it."""
    try:
        for producer in producers:
            await producer.publish(OrderPlaced(order), id=f"{order}-placed")
    except (BackendError, PublishError) as error:
        log.warning("%s is published once more: %s", order, error)
        return False
    return True


async def until_empty(live: Live) -> None:
    """Wait until nothing is left on a broker. What is hidden counts too: it comes again if its consumer has died."""
    while True:
        left = (await live.stats())["demo-invoices"]
        if not (left.visible or left.in_flight or left.delayed):
            return
        await anyio.sleep(0.05)


async def migrate(old_url: str, new_url: str, recipients: str | None, inbox: str) -> bool:
    """Take the four steps, and tell whether every order has its one invoice."""
    everything: list[str] = []

    async with (
        bus.connect(old_url, inbox=inbox) as old,
        bus.connect(new_url, recipients=recipients, inbox=inbox) as new,
    ):
        await new.inbox.run(lambda database: database.execute("CREATE TABLE invoices (order_number TEXT)"))

        async def invoices() -> Sequence[str]:
            rows = await new.inbox.run(lambda database: database.execute("SELECT * FROM invoices").fetchall())
            return [order for (order,) in rows]

        async def more(step: str) -> Sequence[str]:
            orders = [f"{step}-{number}" for number in range(PER_STEP)]
            everything.extend(orders)
            print(f"{step}: {len(await invoices())} invoices")
            return orders

        async with old.running():
            await publish([old], await more("1-before"))
            await publish([old, new], await more("2-dual-publish"))

        async with new.running():
            async with old.running():
                await publish([old, new], await more("3-dual-consume"))
                await publish([new], await more("4-switch"))
                await until_empty(old)
            # Here too, since the new broker has copies of its own of what the old one's consumers have handled.
            await until_empty(new)
        written = await invoices()
        handled = sum(live.counts["demo-invoices"].handled for live in (old, new))
    print(f"done: {len(written)} invoices for {len(everything)} orders, {handled - len(written)} duplicates dropped")
    return sorted(written) == sorted(everything) and handled > len(written)


def main() -> int:
    """Read the command line, start what is needed, and move."""
    parser = argparse.ArgumentParser(description="Moves a system from one broker to another.")
    parser.add_argument("--old", help="URL of the broker it runs on; by default SQLite in a folder of its own")
    parser.add_argument("--new", help="URL of the other; by default an SQS emulator in this process")
    parser.add_argument("--recipients", help="the recipient list of the new broker, if it keeps none itself")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("busframe").setLevel(logging.ERROR)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        new, recipients = arguments.new, arguments.recipients
        if new is None:
            from busframe_emulator.server.thread import run_in_thread

            server = stack.enter_context(run_in_thread())
            os.environ.setdefault("AWS_ACCESS_KEY_ID", "anything")
            os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "anything")
            new = f"sqs://us-east-1?endpoint_url={server.url}&wait_s=1"
            recipients = recipients or f"sqlite:///{folder}/recipients.db"
        old, inbox = arguments.old or f"sqlite:///{folder}/old.db", f"sqlite:///{folder}/invoices.db"
        complete = anyio.run(migrate, old, new, recipients, inbox)
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
