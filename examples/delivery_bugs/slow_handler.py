"""The bug: the work takes longer than the lease. The message comes to another worker while the first is at it.

The bus extends leases for as long as a handler runs, so this application talks to its queue by itself, as one does with
boto3. It is the one bug of these that shows in a calm world.

Mended: a handler of the bus, whose lease is kept, and which is called once at a time (`once=True`); the report is filed
in the transaction in which the message is marked as done.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from busframe import Bus, Command, Delivery, command
from busframe.errors import BackendError
from busframe.message import Acknowledge, Outgoing, QueueName, Sent
from busframe.simulation import exactly_once

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from busframe.backend import Backend
    from busframe.simulation import Sim
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.store import Store

REPORTS = QueueName("reports")


async def write_reports(backend: Backend, reports: Store) -> None:
    """The application."""
    while True:
        try:
            for received in await backend.receive(REPORTS, limit=1, wait_s=20, lease_s=30):
                await anyio.sleep(45)
                await reports.put(received.body, "all that happened")
                await backend.settle(REPORTS, [Acknowledge(receipt=received.receipt)])
        except BackendError:
            await anyio.sleep(1)


@command("shop.report.write")
@dataclass(frozen=True)
class WriteReport(Command):
    """Somebody wants a report."""

    month: str


def reporting_mended(file: Callable[[sqlite3.Connection, str], None]) -> Bus:
    """The application, mended."""
    bus = Bus("shop")

    @bus.handle(WriteReport, once=True)
    async def write(report: WriteReport, delivery: Delivery[WriteReport]) -> None:
        await anyio.sleep(45)
        delivery.transaction.run(lambda connection: file(connection, report.month))

    return bus


# --- on trial -------------------------------------------------------------------------------------------------------

MONTHS = ("june",)


async def trial(sim: Sim) -> None:
    """Two workers, one report: it is to be written once."""
    sim.check(exactly_once)
    await sim.queue("reports", lease_s=30)
    reports = sim.store("reports", effects=True)

    async def worker(me: Incarnation) -> None:
        await write_reports(me.backend, reports)

    sim.node("worker", worker, count=2)
    for month in MONTHS:
        while True:
            with suppress(BackendError):
                (outcome,) = await sim.backend.send(REPORTS, [Outgoing(body=month)])
                if isinstance(outcome, Sent):
                    break
            await anyio.sleep(1)
        sim.accepted(month)
    await sim.quiesce()


async def trial_mended(sim: Sim) -> None:
    """The same with the mended application."""
    sim.check(exactly_once)

    def file(_: sqlite3.Connection, month: str) -> None:
        sim.effect(month)

    bus = reporting_mended(file)
    async with bus.connect(sim.url) as live:
        sim.node("worker", bus, count=2)
        for month in MONTHS:
            while True:
                with suppress(BackendError):
                    await live.send(WriteReport(month))
                    break
                await anyio.sleep(1)
            sim.accepted(month)
        await sim.quiesce()
