"""Ordered queues: whose turn it is. The orders are those that Amazon SQS was seen to give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from busframe.message import Acknowledge, Extension, Outgoing, QueueName, Release, Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.message import Received
    from busframe_sqlite.backend import SqliteBackend
    from busframe_sqlite.clock import ManualClock

pytestmark = pytest.mark.anyio

WORK = QueueName("work.fifo")
DEAD = QueueName("dead.fifo")


async def _send(backend: SqliteBackend, clock: ManualClock, *names: str) -> None:
    """Send messages named by their group and place, one after the other: g1a is the first of group g1."""
    for name in names:
        await backend.send(WORK, [Outgoing(body=name, group=name[:2])])
        clock.advance(1)


async def _receive(backend: SqliteBackend, limit: int, lease_s: float = 300) -> Sequence[Received]:
    return await backend.receive(WORK, limit=limit, wait_s=0, lease_s=lease_s)


async def _names(backend: SqliteBackend, limit: int, lease_s: float = 300) -> str:
    return " ".join(received.body for received in await _receive(backend, limit, lease_s))


async def test_a_group_is_emptied_before_the_next_has_its_turn(backend: SqliteBackend, clock: ManualClock) -> None:
    await _send(backend, clock, "g1a", "g2a", "g1b", "g1c")
    assert await _names(backend, 10) == "g1a g1b g1c g2a"


async def test_messages_sent_together_keep_their_order(backend: SqliteBackend) -> None:
    await backend.send(WORK, [Outgoing(body=name, group=name[:2]) for name in ("g2a", "g1a", "g2b", "g3a", "g1b")])
    assert await _names(backend, 10) == "g2a g2b g1a g1b g3a"


async def test_groups_whose_leases_ended_come_behind_those_that_waited(
    backend: SqliteBackend, clock: ManualClock
) -> None:
    await _send(backend, clock, "g1a", "g1b", "g1c", "g1d", "g2a", "g3a")
    assert await _names(backend, 2, lease_s=5) == "g1a g1b"
    assert await _names(backend, 1, lease_s=5) == "g2a"
    clock.advance(20)
    assert await _names(backend, 10, lease_s=0) == "g3a g1a g1b g1c g1d g2a"


async def test_a_look_without_a_lease_puts_the_groups_seen_behind(backend: SqliteBackend, clock: ManualClock) -> None:
    await _send(backend, clock, "g1a", "g2a", "g2b", "g3a", "g1b")
    assert await _names(backend, 3, lease_s=0) == "g1a g1b g2a"
    clock.advance(1)
    assert await _names(backend, 10, lease_s=0) == "g3a g1a g1b g2a g2b"


async def test_a_released_head_comes_back_without_those_behind_it_that_are_out(
    backend: SqliteBackend, clock: ManualClock
) -> None:
    await _send(backend, clock, "g1a", "g1b", "g2a")
    first, _ = await _receive(backend, 2)
    clock.advance(1)
    await backend.settle(WORK, [Release(receipt=first.receipt)])
    assert await _names(backend, 3) == "g2a g1a"


async def test_a_group_goes_on_when_all_that_was_out_is_done(backend: SqliteBackend, clock: ManualClock) -> None:
    await _send(backend, clock, "g1a", "g2a", "g1b", "g2b", "g1c", "g1d", "g3a")
    taken = await _receive(backend, 2)
    assert [received.body for received in taken] == ["g1a", "g1b"]
    await backend.settle(WORK, [Acknowledge(receipt=received.receipt) for received in taken])
    assert await _names(backend, 10) == "g2a g2b g1c g1d g3a"


async def test_a_group_stays_closed_while_any_that_was_out_is_not_done(
    backend: SqliteBackend, clock: ManualClock
) -> None:
    await _send(backend, clock, "g1a", "g2a", "g1b", "g2b", "g1c", "g3a")
    first, _ = await _receive(backend, 2)
    await backend.settle(WORK, [Acknowledge(receipt=first.receipt)])
    assert await _names(backend, 10) == "g2a g2b g3a"


@pytest.mark.parametrize(("extended", "expected"), [(0, ""), (1, "g1a"), (2, "g1a g1b")])
async def test_what_is_taken_ends_before_the_first_that_is_out(
    backend: SqliteBackend, clock: ManualClock, extended: int, expected: str
) -> None:
    await _send(backend, clock, "g1a", "g1b", "g1c")
    taken = await _receive(backend, 5, lease_s=5)
    await backend.extend(WORK, [Extension(receipt=taken[extended].receipt, lease_s=50)])
    clock.advance(10)
    assert await _names(backend, 5) == expected


async def test_a_release_with_a_delay_holds_its_group_back(backend: SqliteBackend, clock: ManualClock) -> None:
    await _send(backend, clock, "g1a", "g1b")
    (first,) = await _receive(backend, 1)
    await backend.settle(WORK, [Release(receipt=first.receipt, delay_s=60)])
    clock.advance(59)
    assert await _names(backend, 10) == ""
    clock.advance(1)
    assert await _names(backend, 10) == "g1a g1b"


async def test_a_duplicate_is_told_the_first_ones_identifier_and_sequence(backend: SqliteBackend) -> None:
    message = Outgoing(body="once", group="g1", deduplication_id="d")
    first, twin = await backend.send(WORK, [message, message])
    assert isinstance(first, Sent)
    assert twin == first
    assert await backend.send(WORK, [message]) == [first]


async def test_a_dead_letter_goes_behind_its_group_over_there_and_starts_its_retention_anew(
    backend: SqliteBackend, clock: ManualClock
) -> None:
    await backend.send(DEAD, [Outgoing(body="g1 was here", group="g1")])
    await _send(backend, clock, "g1a", "g1b")
    sent = await _receive(backend, 1, lease_s=1)
    for _ in range(3):
        clock.advance(1)
        await _receive(backend, 1, lease_s=1)
    there, dead = await backend.receive(DEAD, limit=10, wait_s=0, lease_s=30)
    assert (there.body, dead.body) == ("g1 was here", "g1a")
    assert dead.message_id == sent[0].message_id
    assert dead.sent_at_s > sent[0].sent_at_s
    assert int(dead.sequence or 0) > int(there.sequence or 0)
    assert dead.dead_letter_source == WORK
