"""Backends with one defect each, on trial by the kit: every check must find at least one of them.

Not collected with the other tests, since all of these fail: `test_every_check_can_fail` runs them in a process of
their own. Each defect names the checks that have to find it.

More than 400 lines, because it is one list of defects and is read as one.
"""

# ruff: noqa: ARG002 - a defect often is an argument that is not heeded

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import pytest

from busframe.backend import Peeks
from busframe.config import BackendUrl
from busframe.errors import BackendError, InvalidArgumentError, QueueNotFoundError, StorageError
from busframe.forwarding import ForwardingBackend
from busframe.ledger import Ledger
from busframe.message import Acknowledge, Failed, MessageId, Receipt, Received, Release, Sent, Settled, is_ordered
from busframe.testing import BackendConformance, Trial
from busframe.testing.conformance import cancellation, deliveries, trial
from busframe_memory import open_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from anyio.abc import TaskGroup

    from busframe.backend import Capabilities, Plan, QueueSpec, QueueStats
    from busframe.message import (
        Extension,
        Outgoing,
        Peeked,
        QueueName,
        SendOutcome,
        Settlement,
        SettleOutcome,
    )
    from busframe_memory import MemoryBackend

# What hangs here is meant to; the kit's own patience would make this take minutes.
for module in (trial, deliveries, cancellation):
    vars(module)["PATIENCE_S"] = 2.0


class Sound(ForwardingBackend):
    """Hands everything on. Each defect below overrides what it gets wrong.

    Attributes:
        found_by: the names of checks, without `test_`.
        tasks: run as long as the backend.
    """

    found_by: ClassVar[tuple[str, ...]] = ()

    tasks: TaskGroup

    def __init__(self, inner: MemoryBackend) -> None:
        super().__init__(inner)
        self.memory = inner
        self.now_s = 0.0

    async def advance(self, seconds: float) -> None:
        self.now_s += seconds
        self.memory.advance(seconds)

    fail_call: Callable[[int], bool] | None = None

    async def peek(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        return await self.memory.peek(queue, limit=limit, after=after)


# --- messages -------------------------------------------------------------------------------------------------------


class LosesAttributes(Sound):
    found_by = ("a_message_comes_out_as_it_went_in",)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        batch = await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        return [replace(received, attributes={}) for received in batch]


class DeclaresMoreThanItTakes(Sound):
    found_by = ("a_body_of_the_largest_size_is_taken",)

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, message_bytes_max=2_000_000)


class CutsBodies(Sound):
    found_by = ("a_body_over_the_largest_size_is_refused",)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        largest = self.capabilities.message_bytes_max
        return await super().send(queue, [replace(message, body=message.body[:largest]) for message in batch])


class FailsTogether(Sound):
    found_by = ("each_entry_of_a_batch_has_its_own_fate_in_its_own_place", "an_unknown_receipt_fails_alone")

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        outcomes = await super().send(queue, batch)
        failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
        return [failed[0]] * len(batch) if failed else outcomes

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        outcomes = await super().settle(queue, batch)
        failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
        return [failed[0]] * len(batch) if failed else outcomes


class NamesAllMessagesAlike(Sound):
    found_by = ("a_full_batch_is_taken_and_every_message_has_an_identifier_of_its_own",)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        outcomes = await super().send(queue, batch)
        return [
            replace(outcome, message_id=MessageId("m")) if isinstance(outcome, Sent) else outcome
            for outcome in outcomes
        ]

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        batch = await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        return [replace(received, message_id=MessageId("m")) for received in batch]


class TakesWhatItShouldRefuse(Sound):
    found_by = (
        "empty_and_oversized_batches_are_refused_before_anything_is_sent",
        "a_receive_out_of_range_is_refused",
        "a_peek_that_cannot_be_is_refused",
    )

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        return await super().send(queue, batch[: self.capabilities.batch_entries_max]) if batch else []

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        try:
            return await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        except InvalidArgumentError:
            return []

    async def peek(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        try:
            return await super().peek(queue, limit=limit, after=after)
        except InvalidArgumentError:
            return []


class PretendsQueuesAreThere(Sound):
    found_by = ("a_queue_that_is_not_there_is_named_in_the_error",)

    async def stats(self, queue: QueueName) -> QueueStats:
        try:
            return await super().stats(queue)
        except QueueNotFoundError:
            return await super().stats(trial.ORDERS)


# --- deliveries -----------------------------------------------------------------------------------------------------


class NeverWakes(Sound):
    found_by = (
        "a_waiting_receive_is_answered_when_a_message_comes",
        "a_waiting_receive_is_answered_when_a_lease_ends",
        "a_waiting_receive_is_answered_when_a_message_is_released",
    )

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        batch = await super().receive(queue, limit=limit, wait_s=0, lease_s=lease_s)
        if not batch and wait_s:
            await anyio.sleep_forever()
        return batch


class InventsMessages(Sound):
    found_by = ("a_waiting_receive_ends_empty",)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        batch = await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        invented = Received(
            message_id=MessageId("m"), receipt=Receipt("r"), body="boo", attributes={}, receive_count=1, sent_at_s=0
        )
        return batch or [invented]


class ReceivesOnWhenNobodyWaits(Sound):
    found_by = ("a_cancelled_receive_takes_nothing_with_it", "a_receive_cancelled_anywhere_hides_nothing")

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        try:
            batch = await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class():
            self.tasks.start_soon(lambda: self.inner.receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s))
            raise
        return batch


class HidesNothing(Sound):
    found_by = ("a_delivered_message_is_hidden_until_its_lease_ends",)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        return await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=0)


class HandsOutTheLastOnesAgain(Sound):
    found_by = ("competing_consumers_share_the_messages",)

    def __init__(self, inner: MemoryBackend) -> None:
        super().__init__(inner)
        self.last: Sequence[Received] = ()

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        batch = await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        again, self.last = self.last, batch
        return [*batch, *again]


class ExtendsNothing(Sound):
    found_by = (
        "an_extended_lease_ends_at_its_new_time",
        "a_lease_can_be_shortened",
        "a_lease_cannot_grow_beyond_the_longest",
    )

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        return [Settled() for _ in batch]


class HidesForASecondAtLeast(Sound):
    found_by = ("a_lease_of_no_time_hides_nothing",)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        return await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=max(lease_s, 1))


class ReleasesNothing(Sound):
    found_by = ("a_released_message_comes_again_at_once",)

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        return [
            Settled()
            if isinstance(settlement, Release)
            else (await super(ReleasesNothing, self).settle(queue, [settlement]))[0]
            for settlement in batch
        ]


class ReleasesAtOnce(Sound):
    found_by = (
        "a_message_released_with_a_delay_comes_again_after_it",
        "a_message_can_be_released_for_what_is_left_of_the_longest_lease",
        "a_message_released_for_longer_is_released_so_or_not_at_all",
    )

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        at_once = [replace(entry, delay_s=0) if isinstance(entry, Release) else entry for entry in batch]
        return await super().settle(queue, at_once)


class AcknowledgesNothing(Sound):
    found_by = ("an_acknowledged_message_is_gone", "an_acknowledgement_cancelled_anywhere_can_be_repeated")

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        releases = [entry for entry in batch if isinstance(entry, Release)]
        if releases:
            await super().settle(queue, releases)
        return [Settled() for _ in batch]


class AcknowledgesOnce(Sound):
    found_by = ("acknowledging_twice_succeeds_twice",)

    def __init__(self, inner: MemoryBackend) -> None:
        super().__init__(inner)
        self.settled: set[str] = set()

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        outcomes = list(await super().settle(queue, batch))
        for index, entry in enumerate(batch):
            if entry.receipt in self.settled:
                outcomes[index] = Failed(error=StorageError("settled before"))
            self.settled.add(entry.receipt)
        return outcomes


class AcknowledgesInTimeOnly(Sound):
    found_by = ("a_late_acknowledgement_still_removes_a_message_nobody_else_has",)

    def __init__(self, inner: MemoryBackend) -> None:
        super().__init__(inner)
        self.until_s: dict[str, float] = {}

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        batch = await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        self.until_s |= {received.receipt: self.now_s + lease_s for received in batch}
        return batch

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        if any(self.until_s.get(entry.receipt, self.now_s) < self.now_s for entry in batch):
            return [Settled() for _ in batch]
        return await super().settle(queue, batch)


class TakesReleasesForAcknowledgements(Sound):
    found_by = ("acknowledgements_and_releases_mix_in_one_batch", "a_release_cancelled_anywhere_loses_nothing")

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        return await super().settle(queue, [Acknowledge(receipt=entry.receipt) for entry in batch])


# --- lifetimes ------------------------------------------------------------------------------------------------------


class IgnoresDelays(Sound):
    found_by = ("a_delayed_message_comes_after_its_delay",)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        return await super().send(queue, [replace(message, delay_s=0) for message in batch])


class ForgetsSettings(Sound):
    found_by = (
        "the_delay_of_a_queue_applies_to_each_message",
        "a_message_is_gone_after_its_retention",
        "a_message_received_too_often_moves_to_the_dead_letter_queue",
        "a_dead_letter_lets_its_group_go_on",
    )

    async def provision(self, plan: Plan) -> None:
        bare = [replace(spec, delay_s=0, retention_s=345_600, dead_letters=None) for spec in plan.queues]
        await super().provision(replace(plan, queues=tuple(bare)))


# --- queues ---------------------------------------------------------------------------------------------------------


class StartsAfresh(Sound):
    found_by = ("provisioning_twice_keeps_the_messages",)

    async def provision(self, plan: Plan) -> None:
        await super().provision(plan)
        for spec in plan.queues:
            await self.inner.purge(spec.name)


class ForgetsLabels(Sound):
    found_by = ("a_queue_is_described_as_it_was_planned",)

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        spec = await super().describe(queue)
        return spec and replace(spec, labels={})


class ChecksNothing(Sound):
    found_by = ("check_names_what_is_missing_and_what_differs_and_changes_nothing",)

    async def provision(self, plan: Plan) -> None:
        if plan.mode != "check":
            await super().provision(plan)


class AssumesNothing(Sound):
    found_by = ("assume_makes_no_queue",)

    async def provision(self, plan: Plan) -> None:
        await super().provision(replace(plan, mode="create"))


class ListsAll(Sound):
    found_by = ("queues_are_listed_by_prefix_and_removed",)

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        return await super().list_queues()


class PurgesWhatIsVisible(Sound):
    found_by = ("purge_removes_what_waits_and_what_is_in_flight",)

    async def purge(self, queue: QueueName) -> None:
        while batch := await self.inner.receive(queue, limit=10, wait_s=0, lease_s=30):
            await self.inner.settle(queue, [Acknowledge(receipt=received.receipt) for received in batch])


class CountsWhatIsVisible(Sound):
    found_by = ("stats_count_visible_in_flight_and_delayed",)

    async def stats(self, queue: QueueName) -> QueueStats:
        return replace(await super().stats(queue), in_flight=0, delayed=0)


class CountsWhatIsLeft(Sound):
    found_by = ("what_has_arrived_stays_counted_when_it_has_gone",)

    async def stats(self, queue: QueueName) -> QueueStats:
        stats = await super().stats(queue)
        return replace(stats, arrived=stats.visible + stats.in_flight + stats.delayed)


class KeepsNoLedger(Sound):
    found_by = ("every_call_of_the_broker_is_in_the_ledger",)

    @property
    def ledger(self) -> Ledger:
        return Ledger()


class ChargesForRefusals(Sound):
    found_by = ("what_is_refused_before_it_is_sent_is_not_in_the_ledger",)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        self.ledger.note("attempt")
        return await super().send(queue, batch)


class PeeksByReceiving(Sound):
    found_by = (
        "a_peek_shows_every_message_and_what_holds_it_back",
        "a_peek_takes_nothing_and_does_not_count",
        "a_peek_goes_on_behind_a_message_even_one_that_is_gone",
    )

    async def peek(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        await super().receive(queue, limit=min(limit, 10), wait_s=0, lease_s=0)
        shown = await super().peek(queue, limit=limit)
        return [peeked for peeked in shown if peeked.state == "visible"]


class PeeksWithoutOrigin(Sound):
    found_by = ("a_peek_shows_where_dead_letters_come_from",)

    async def peek(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        shown = await super().peek(queue, limit=limit, after=after)
        return [replace(peeked, dead_letter_source=None) for peeked in shown]


# --- order ----------------------------------------------------------------------------------------------------------


class Reverses(Sound):
    found_by = ("a_group_keeps_its_order",)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        return list(reversed(await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)))


class KnowsNoGroups(Sound):
    found_by = (
        "a_group_in_flight_holds_back_its_rest_and_nobody_else",
        "a_released_message_comes_back_in_its_place",
        "a_group_whose_lease_ends_starts_over_in_order",
    )

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        return await super().send(queue, [replace(message, group=message.group and message.body) for message in batch])


class NumbersNothing(Sound):
    found_by = ("sequences_grow",)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        batch = await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        return [replace(received, sequence=None) for received in batch]


class TakesEveryDuplicate(Sound):
    found_by = ("a_duplicate_within_the_window_is_accepted_and_not_delivered",)

    def __init__(self, inner: MemoryBackend) -> None:
        super().__init__(inner)
        self.numbers = count()

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        fresh = [replace(m, deduplication_id=m.deduplication_id and f"{next(self.numbers)}") for m in batch]
        return await super().send(queue, fresh)


class RemembersDuplicatesForEver(Sound):
    found_by = ("a_duplicate_after_the_window_is_delivered",)

    def __init__(self, inner: MemoryBackend) -> None:
        super().__init__(inner)
        self.known: set[str] = set()

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        ids = {message.deduplication_id for message in batch if message.deduplication_id}
        if ids & self.known:
            return [Sent(message_id=MessageId("m")) for _ in batch]
        self.known |= ids
        return await super().send(queue, batch)


class FillsInWhatIsMissing(Sound):
    found_by = (
        "an_ordered_queue_refuses_what_has_no_group",
        "a_queue_without_order_refuses_a_deduplication_id",
    )

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        if is_ordered(queue):
            return await super().send(queue, [replace(m, group=m.group or "g", delay_s=0) for m in batch])
        return await super().send(queue, [replace(m, deduplication_id=None) for m in batch])


class SettlesWhoeverHasIt(Sound):
    found_by = (
        "an_old_receipt_does_not_acknowledge_a_newer_delivery",
        "an_old_receipt_neither_ends_nor_prolongs_a_newer_lease",
    )

    def __init__(self, inner: MemoryBackend) -> None:
        super().__init__(inner)
        self.messages: dict[str, str] = {}
        self.newest: dict[str, Receipt] = {}

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        batch = await super().receive(queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        for received in batch:
            self.messages[received.receipt] = received.message_id
            self.newest[received.message_id] = received.receipt
        return batch

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        newest = [replace(e, receipt=self.newest.get(self.messages.get(e.receipt, ""), e.receipt)) for e in batch]
        return await super().settle(queue, newest)


# --- cut off, failing -----------------------------------------------------------------------------------------------


class BreaksWhenCancelled(Sound):
    """As a connection does that is shared, and left in the middle of an answer."""

    found_by = (
        "a_send_cancelled_anywhere_has_sent_all_or_nothing_of_each_entry_and_blocks_nobody",
        "an_extension_cancelled_anywhere_can_be_repeated",
        "provisioning_cancelled_anywhere_can_be_repeated",
    )

    broken = False

    async def _guard(self, call: Awaitable[Any]) -> Any:
        if self.broken:
            raise BackendError("out of step")
        try:
            await anyio.lowlevel.checkpoint()
            return await call
        except anyio.get_cancelled_exc_class():
            self.broken = True
            raise

    async def provision(self, plan: Plan) -> None:
        await self._guard(super().provision(plan))

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        return await self._guard(super().send(queue, batch))  # type: ignore[no-any-return]

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        return await self._guard(super().extend(queue, batch))  # type: ignore[no-any-return]


class ReportsWhatItLost(Sound):
    found_by = ("whichever_call_fails_nothing_accepted_is_lost_and_nothing_settled_comes_back",)

    def __init__(self, inner: MemoryBackend) -> None:
        super().__init__(inner)
        self.left = 0
        self.fail_call = self._fail

    def _fail(self, nth: int) -> bool:
        came_up, self.left = self.left <= 0, nth
        return came_up

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        self.left -= 1
        if not self.left:
            return [Sent(message_id=MessageId("m")) for _ in batch]
        return await super().send(queue, batch)


DEFECTS = Sound.__subclasses__()


def _on_trial(defect: type[Sound]) -> type[BackendConformance]:
    class TestDefect(BackendConformance):
        found_by = None if defect is Sound else defect.found_by

        @asynccontextmanager
        async def open_trial(self) -> AsyncGenerator[Trial, None]:
            async with open_memory(BackendUrl.parse("memory://")) as backend, anyio.create_task_group() as tasks:
                broken = defect(backend)
                broken.tasks = tasks
                assert isinstance(broken, Peeks)
                try:
                    yield Trial(backend=broken, advance=broken.advance, fail_call=broken.fail_call)
                finally:
                    tasks.cancel_scope.cancel()

    TestDefect.__name__ = TestDefect.__qualname__ = f"Test{defect.__name__}"
    return TestDefect


backends: tuple[type[Sound], ...] = (Sound, *DEFECTS)
for one in backends:
    globals()[f"Test{one.__name__}"] = _on_trial(one)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
