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
        self.sizes: list[int] = []

    async def extend(self, _: QueueName, batch: Sequence[Extension]) -> Sequence[Settled]:
        self.extended_s.append(runtime.now_s())
        self.sizes.append(len(batch))
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


async def test_leases_that_were_taken_together_stay_together_however_often_they_are_extended() -> None:
    backend = Extending()
    async with runtime.background_tasks() as tasks:
        keeper = LeaseKeeper(cast("Backend", backend), QueueName("q"), 30, tasks)
        began_s = runtime.now_s()
        slot = keeper.slot(began_s, began_s)
        for nth in range(10):
            received = Received(
                message_id=MessageId("m"),
                receipt=Receipt(f"{nth}"),
                body="",
                attributes={},
                receive_count=1,
                sent_at_s=0,
            )
            lease = Lease(received, ValueError("unread"), None, HandlerCounts(), began_s, began_s + 30, slot)
            if nth == 0:
                # As one that is held: its lease is extended for all of that at once, and looked at with the others.
                lease.needed_until_s = began_s + 600
        tasks.start_soon(keeper.run)
        await anyio.sleep(600)
    assert backend.sizes[0] == 10
    assert set(backend.sizes[1:-1]) == {9}
    assert 600 / 18 - 2 <= len(backend.sizes) <= 600 / 12 + 2


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
