"""When leases are extended."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import anyio
import pytest
from trio.testing import MockClock

from busframe import runtime
from busframe._consume.counts import HandlerCounts
from busframe._consume.leases import Lease, LeaseKeeper
from busframe.message import MessageId, QueueName, Receipt, Received, Settled
from busframe_memory.backend import CAPABILITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import Backend
    from busframe.message import Extension

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Extending:
    """As much of a backend as is needed."""

    capabilities = CAPABILITIES

    def __init__(self) -> None:
        self.extended_s: list[float] = []

    async def extend(self, _: QueueName, batch: Sequence[Extension]) -> Sequence[Settled]:
        self.extended_s.append(runtime.now_s())
        return [Settled()] * len(batch)


async def test_a_message_that_comes_before_the_keeper_has_begun_is_kept_too() -> None:
    backend = Extending()
    received = Received(
        message_id=MessageId("m"), receipt=Receipt("r"), body="x", attributes={}, receive_count=1, sent_at_s=0
    )
    async with runtime.background_tasks() as tasks:
        keeper = LeaseKeeper(cast("Backend", backend), QueueName("q"), 30, tasks)
        began_s = runtime.now_s()
        slot = keeper.slot(began_s, began_s)
        Lease(received, ValueError("unread"), None, HandlerCounts(), began_s, began_s + 30, slot)
        tasks.start_soon(keeper.run)
        await anyio.sleep(30)
    assert 10 < backend.extended_s[0] - began_s < 20


class Silent(Extending):
    """One that does not answer."""

    async def extend(self, _: QueueName, batch: Sequence[Extension]) -> Sequence[Settled]:  # noqa: ARG002 - as above
        await anyio.sleep_forever()
        raise AssertionError


async def test_each_of_several_leases_in_one_unanswered_call_is_lost_when_it_ends_itself() -> None:
    async with runtime.background_tasks() as tasks:
        keeper = LeaseKeeper(cast("Backend", Silent()), QueueName("q"), 30, tasks)
        began_s = runtime.now_s()
        slot = keeper.slot(began_s, began_s)
        leases = [
            Lease(
                Received(
                    message_id=MessageId("m"),
                    receipt=Receipt("r"),
                    body="x",
                    attributes={},
                    receive_count=1,
                    sent_at_s=0,
                ),
                ValueError("unread"),
                None,
                HandlerCounts(),
                began_s,
                began_s + ends_s,
                slot,
            )
            for ends_s in (30, 31)
        ]
        tasks.start_soon(keeper.run)
        await anyio.sleep(30.5)
        assert [lease.lost for lease in leases] == [True, False]
        await anyio.sleep(1)
        assert [lease.lost for lease in leases] == [True, True]
