"""The recipient list in a file that is older than subscriptions with groups and spaces."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from busframe.config import BackendUrl
from busframe.message import QueueName
from busframe.recipients import Subscription
from busframe_sqlite import open_sqlite, open_sqlite_recipients
from busframe_sqlite.schema import APPLICATION_ID, MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(path: Path) -> BackendUrl:
    """A file as version 1 wrote it, with two rows."""
    with sqlite3.connect(path) as old:
        old.executescript(MIGRATIONS[0])
        old.execute("INSERT INTO store VALUES (1, x'00', 1, 2)")
        old.execute("INSERT INTO recipient (topic, queue) VALUES ('shop.order.placed', 'shop-billing')")
        old.execute("INSERT INTO recipient (topic, queue) VALUES ('shop.order.placed', 'shop-audit')")
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute("PRAGMA user_version = 1")
    old.close()
    return BackendUrl.parse(f"sqlite:///{path}")


OLD = [
    Subscription(topic="shop.order.placed", queue=QueueName("shop-billing")),
    Subscription(topic="shop.order.placed", queue=QueueName("shop-audit")),
]


async def test_the_rows_of_an_old_file_are_still_there(url: BackendUrl) -> None:
    async with open_sqlite_recipients(url, space="") as recipients:
        assert (await recipients.load()).subscriptions == OLD


async def test_the_rows_of_an_old_file_belong_to_the_first_space_that_uses_it(url: BackendUrl) -> None:
    async with open_sqlite(url):  # opens the list without using it
        pass
    async with open_sqlite_recipients(url, space="dev-") as first:
        assert (await first.load(["shop.order.placed"])).subscriptions == OLD
    async with open_sqlite_recipients(url, space="") as second:
        assert (await second.load()).subscriptions == []
