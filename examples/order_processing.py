"""Processes a file of orders: every order is published once and handled by two groups, billing and shipping.

    python examples/order_processing.py examples/orders.csv
    python examples/order_processing.py examples/orders.csv --url "sqs://us-east-1?..." --recipients sqlite:///list.db

The file is CSV with the columns order, customer, product, quantity and price_cents. Two things go wrong on the way:
the payment provider for gift cards is down for the first two attempts, so those orders are billed at the third; and an
order with a negative quantity cannot be billed at all and ends in the dead-letter queue.

Kill it at any moment and start it again: it goes on where it was, and no order is lost. What it has published and done
it notes in `<state>/ledger.db`; since a message may be delivered again, the handlers note each order once only. At the
end it compares the ledger with the file, and exits with 1 if anything is missing.
"""

from __future__ import annotations

import argparse
import csv
import logging
import shutil
import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from busframe import Bus, Delivery, Retry, event

if TYPE_CHECKING:
    from busframe import Live

COLUMNS = ["order", "customer", "product", "quantity", "price_cents"]
PUBLISHERS = 100
# What a killed process had in hand comes back after so long. Much shorter would cost calls: leases are extended.
LEASE_S = 5
PROVIDER_FAILURES = 2


@event("demo.order.placed", key="customer")
@dataclass(frozen=True)
class OrderPlaced:
    """A line of the file."""

    order: str
    customer: str
    product: str
    quantity: int
    price_cents: int


class PaymentProviderDownError(Exception):
    """What a payment provider does now and then."""


class Ledger:
    """What was done, in a file that survives the process. Each line is written once, however often it is noted."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        # A transaction a line, without waiting for the disk: what is written survives the process, if not the machine.
        self._file.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE IF NOT EXISTS done (step TEXT, subject TEXT, PRIMARY KEY (step, subject)) WITHOUT ROWID"
        )

    def note(self, step: str, subject: str) -> None:
        """Write that `step` is done for `subject`."""
        self._file.execute("INSERT OR IGNORE INTO done VALUES (?, ?)", (step, subject))

    def subjects(self, step: str) -> set[str]:
        """Read for what `step` is done."""
        return {subject for (subject,) in self._file.execute("SELECT subject FROM done WHERE step = ?", (step,))}

    def count(self, step: str) -> int:
        """Count for how many `step` is done."""
        row = self._file.execute("SELECT count(*) FROM done WHERE step = ?", (step,)).fetchone()
        return int(row[0])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


bus = Bus("demo")
ledger: Ledger


@bus.subscribe(
    OrderPlaced, group="billing", concurrency=100, lease_s=LEASE_S, retry=Retry.exponential(attempts=3, first_s=0.2)
)
async def bill(order: OrderPlaced, delivery: Delivery[OrderPlaced]) -> None:
    """Bill an order, if the payment provider is up and the order makes sense."""
    if order.quantity < 0:
        raise ValueError(f"order {order.order} asks for {order.quantity}")
    if order.product == "gift card" and delivery.attempt <= PROVIDER_FAILURES:
        raise PaymentProviderDownError
    ledger.note("billed", order.order)


@bus.subscribe(OrderPlaced, group="shipping", concurrency=100, lease_s=LEASE_S)
async def ship(order: OrderPlaced) -> None:
    """Ship an order."""
    ledger.note("shipped", order.order)


def read_orders(path: Path) -> list[OrderPlaced]:
    """Read the file, and refuse it as a whole if anything in it is wrong."""
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        if missing := [column for column in COLUMNS if column not in (rows.fieldnames or [])]:
            sys.exit(f"{path}: the column {missing[0]!r} is missing; it needs {', '.join(COLUMNS)}")
        orders: list[OrderPlaced] = []
        for row in rows:
            try:
                quantity, price = int(row["quantity"]), int(row["price_cents"])
            except (TypeError, ValueError):
                sys.exit(f"{path}, line {rows.line_num}: quantity and price_cents must be whole numbers: {row}")
            orders.append(OrderPlaced(row["order"], row["customer"], row["product"], quantity, price))
    if len({order.order for order in orders}) != len(orders):
        sys.exit(f"{path}: every order needs a name of its own")
    if not orders:
        sys.exit(f"{path}: there are no orders in it")
    return orders


async def publish_all(live: Live, orders: list[OrderPlaced]) -> None:
    """Publish what an earlier run did not, many at a time, so that they share calls."""
    published = ledger.subjects("published")
    remaining = iter([order for order in orders if order.order not in published])

    async def publisher() -> None:
        for order in remaining:
            await live.publish(order)
            ledger.note("published", order.order)

    async with anyio.create_task_group() as tasks:
        for _ in range(PUBLISHERS):
            tasks.start_soon(publisher)


async def wait_until_done(live: Live, orders: list[OrderPlaced], poison: int) -> None:
    """Show progress until every order went through both groups, the unbillable ones to the dead-letter queue."""
    total = 2 * len(orders)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("handled", total=total)
        done = said = 0
        while done < total:
            await anyio.sleep(0.1)
            dead = (await live.stats())["demo-billing-dead"].visible if poison else 0
            done = ledger.count("billed") + ledger.count("shipped") + min(dead, poison)
            progress.update(bar, completed=done)
            if not console.is_terminal and done - said >= total // 20:
                said = done
                print(f"handled {done} of {total} (each order by two groups)", file=sys.stderr, flush=True)


async def process(orders: list[OrderPlaced], url: str, recipients: str | None) -> list[str]:
    """Run it all; returns what is wrong at the end."""
    poison = {order.order for order in orders if order.quantity < 0}
    resumed = ledger.count("published") > 0
    began = time.monotonic()  # noqa: TID251 - a demo measures real time
    async with bus.connect(url, recipients=recipients) as live:
        async with live.running(), anyio.create_task_group() as tasks:
            tasks.start_soon(publish_all, live, orders)
            await wait_until_done(live, orders, len(poison))
        seconds = time.monotonic() - began  # noqa: TID251 - the same
        dead = (await live.stats())["demo-billing-dead"].visible
        counts = live.counts

    table = Table(title=f"{len(orders)} orders, two groups, {url.partition('?')[0]}")
    for column in ("group", "sent", "handled", "redelivered", "dead-lettered", "per second"):
        table.add_column(column, justify="left" if column == "group" else "right")
    for queue, count in counts.items():
        cells = (len(orders), count.handled, count.redelivered, count.dead_lettered, f"{count.handled / seconds:,.0f}")
        table.add_row(queue.removeprefix("demo-"), *(str(cell) for cell in cells))
    table.caption = (
        "per second: handled messages of the group. Redelivered: gift cards, whose payment provider was down twice, "
        "and the orders that cannot be billed, which end as dead letters."
    )
    Console().print(table)

    wrong: list[str] = []
    everything = {order.order for order in orders}
    for step, expected in (("published", everything), ("billed", everything - poison), ("shipped", everything)):
        if (difference := len(expected ^ ledger.subjects(step))) != 0:
            wrong.append(f"{difference} orders are not {step} as they should be")
    # A run that was killed may have buried an order twice; it must not have lost one.
    if dead < len(poison) or (dead > len(poison) and not resumed):
        wrong.append(f"the dead-letter queue has {dead} messages, and should have {len(poison)}")
    if not resumed:
        flaky = sum(order.product == "gift card" and order.quantity >= 0 for order in orders)
        retries = PROVIDER_FAILURES * flaky + 2 * len(poison)
        if counts["demo-billing"].redelivered < retries:
            wrong.append(f"billing saw too few redeliveries: {counts['demo-billing'].redelivered}, not {retries}")
    return wrong


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description="Processes a file of orders through a message bus.")
    parser.add_argument("orders", type=Path, help="CSV with the columns " + ", ".join(COLUMNS))
    parser.add_argument("--state", type=Path, default=Path(".demo/sqlite"), help="folder for what must survive a kill")
    parser.add_argument("--url", help="the backend; by default SQLite in the state folder")
    parser.add_argument("--recipients", help="the recipient list, where the backend keeps none")
    arguments = parser.parse_args()
    logging.getLogger("busframe").setLevel(logging.CRITICAL)  # failures are part of the show

    orders = read_orders(arguments.orders)
    state: Path = arguments.state
    if (state / "finished").exists():
        shutil.rmtree(state)
    state.mkdir(parents=True, exist_ok=True)
    global ledger  # noqa: PLW0603 - the handlers' one collaborator, made when the state folder is known
    ledger = Ledger(state / "ledger.db")
    try:
        wrong = anyio.run(process, orders, arguments.url or f"sqlite:///{state}/bus.db", arguments.recipients)
    finally:
        ledger.close()
    (state / "finished").touch()
    for complaint in wrong:
        print(f"WRONG: {complaint}", file=sys.stderr)
    if not wrong:
        print("every order was billed and shipped, or is in the dead-letter queue")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
