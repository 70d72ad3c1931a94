"""The recipient list in the file."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import anyio
import pytest

from busframe.message import QueueName
from busframe.recipients import Recipient

if TYPE_CHECKING:
    from busframe_sqlite.backend import SqliteBackend

pytestmark = pytest.mark.anyio

BILLING, SHIPPING = QueueName("billing"), QueueName("shipping")


async def test_lines_are_kept_in_the_order_they_were_added_each_once(backend: SqliteBackend) -> None:
    recipients = backend.recipients
    lines = [Recipient(topic="t", queue=SHIPPING), Recipient(topic="t", queue=BILLING)]
    await recipients.add(lines)
    await recipients.add([Recipient(topic="t", queue=BILLING), Recipient(topic="u", queue=BILLING)])
    assert (await recipients.load()).by_topic == {"t": [SHIPPING, BILLING], "u": [BILLING]}
    await recipients.remove([lines[0], Recipient(topic="nowhere", queue=BILLING)])
    assert (await recipients.load()).by_topic == {"t": [BILLING], "u": [BILLING]}


async def test_the_version_grows_with_every_change_and_with_nothing_else(backend: SqliteBackend) -> None:
    recipients = backend.recipients
    line = Recipient(topic="t", queue=BILLING)
    versions = [await recipients.version()]
    for change in (recipients.add, recipients.add, recipients.remove, recipients.remove):
        await change([line])
        versions.append(await recipients.version())
    assert [late > early for early, late in pairwise(versions)] == [True, False, True, False]
    assert (await recipients.load()).version == versions[-1]


async def test_changes_at_once_are_all_kept(backend: SqliteBackend) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(backend.recipients.add, [Recipient(topic=f"t{number}", queue=BILLING)])
    assert len((await backend.recipients.load()).by_topic) == 20
