"""What a receive gives, and what becomes of it: waiting, leases, settling, competing consumers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from busframe.errors import LeaseLostError, ReceiptInvalidError
from busframe.message import Acknowledge, Extension, Failed, Receipt, Release, Settled
from busframe.testing.conformance.trial import LEASE_S, ORDERS, PATIENCE_S, receive, receive_all, send

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.message import Received, Settlement
    from busframe.testing.conformance.trial import Trial


@pytest.mark.anyio
class DeliveryChecks:
    """Of `receive`, `settle` and `extend`."""

    # --- waiting ------------------------------------------------------------------------------------------------------

    async def test_a_waiting_receive_is_answered_when_a_message_comes(self, trial: Trial) -> None:
        """At once, not at the end of the wait."""
        received = await self._received_by_waiter(trial, lambda: send(trial, "late"))
        assert [r.body for r in received] == ["late"]

    async def test_a_waiting_receive_is_answered_when_a_lease_ends(self, trial: Trial) -> None:
        """Time makes a message visible too."""
        lease_s = trial.backend.capabilities.wait_s_max / 2
        await send(trial, "again")
        await trial.backend.receive(ORDERS, limit=1, wait_s=1, lease_s=lease_s)
        received = await self._received_by_waiter(trial, lambda: trial.advance(lease_s))
        assert [(r.body, r.receive_count) for r in received] == [("again", 2)]

    async def test_a_waiting_receive_is_answered_when_a_message_is_released(self, trial: Trial) -> None:
        """So does giving it back."""
        await send(trial, "back")
        (first,) = await receive(trial)

        async def release() -> None:
            await trial.backend.settle(ORDERS, [Release(receipt=first.receipt)])

        received = await self._received_by_waiter(trial, release)
        assert [r.body for r in received] == ["back"]

    async def test_a_waiting_receive_ends_empty(self, trial: Trial) -> None:
        """When its time is over, by the clock on the wall: nobody moves the backend's."""
        with anyio.fail_after(PATIENCE_S):
            assert await trial.backend.receive(ORDERS, limit=1, wait_s=1, lease_s=LEASE_S) == []

    async def test_a_cancelled_receive_takes_nothing_with_it(self, trial: Trial) -> None:
        """A message sent after the cancellation is there for the next receiver."""
        for n in range(5):
            with anyio.move_on_after(0.05):
                await trial.backend.receive(ORDERS, limit=10, wait_s=trial.backend.capabilities.wait_s_max, lease_s=600)
            await send(trial, f"kept {n}")
            (received,) = await receive_all(trial, 1)
            assert received.body == f"kept {n}"
            await trial.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])

    async def _received_by_waiter(self, trial: Trial, cause: Callable[[], Awaitable[None]]) -> Sequence[Received]:
        answers: list[Sequence[Received]] = []

        async def wait() -> None:
            wait_s = trial.backend.capabilities.wait_s_max
            answers.append(await trial.backend.receive(ORDERS, limit=10, wait_s=wait_s, lease_s=LEASE_S))

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await cause()
        return answers[0]

    # --- leases -------------------------------------------------------------------------------------------------------

    async def test_a_delivered_message_is_hidden_until_its_lease_ends(self, trial: Trial) -> None:
        """Not earlier, not much later, however long it has waited before."""
        await send(trial, "x")
        await trial.advance(2 * LEASE_S)
        (first,) = await receive(trial)
        await trial.advance(LEASE_S - 5)
        assert await receive(trial) == []
        await trial.advance(5)
        (second,) = await receive_all(trial, 1)
        assert second.message_id == first.message_id
        assert second.receive_count == 2
        assert second.receipt != first.receipt
        assert second.sent_at_s == first.sent_at_s

    async def test_an_extended_lease_ends_at_its_new_time(self, trial: Trial) -> None:
        """Counted from the extension."""
        await send(trial, "x")
        (first,) = await receive(trial)
        await trial.advance(20)
        assert await trial.backend.extend(ORDERS, [Extension(receipt=first.receipt, lease_s=60)]) == [Settled()]
        await trial.advance(55)
        assert await receive(trial) == []
        await trial.advance(5)
        assert len(await receive_all(trial, 1)) == 1

    async def test_a_lease_can_be_shortened(self, trial: Trial) -> None:
        """An extension is a new end, not an addition."""
        await send(trial, "x")
        (first,) = await receive(trial)
        await trial.backend.extend(ORDERS, [Extension(receipt=first.receipt, lease_s=2)])
        await trial.advance(2)
        assert len(await receive_all(trial, 1)) == 1

    async def test_a_lease_cannot_grow_beyond_the_longest(self, trial: Trial) -> None:
        """Counted from the receive."""
        await send(trial, "x")
        (first,) = await receive(trial)
        await trial.advance(10)
        longest = trial.backend.capabilities.lease_s_max
        (outcome,) = await trial.backend.extend(ORDERS, [Extension(receipt=first.receipt, lease_s=longest)])
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, LeaseLostError)

    async def test_a_lease_of_no_time_hides_nothing(self, trial: Trial) -> None:
        """A look."""
        await send(trial, "x")
        looks = [await trial.backend.receive(ORDERS, limit=1, wait_s=0, lease_s=0) for _ in range(2)]
        assert [look[0].receive_count for look in looks] == [1, 2]

    async def test_a_released_message_comes_again_at_once(self, trial: Trial) -> None:
        """And counts."""
        await send(trial, "x")
        (first,) = await receive(trial)
        assert await trial.backend.settle(ORDERS, [Release(receipt=first.receipt)]) == [Settled()]
        (second,) = await receive_all(trial, 1)
        assert second.receive_count == 2

    async def test_a_message_released_with_a_delay_comes_again_after_it(self, trial: Trial) -> None:
        """A retry with back-off costs no worker."""
        await send(trial, "x")
        (first,) = await receive(trial)
        await trial.backend.settle(ORDERS, [Release(receipt=first.receipt, delay_s=100)])
        await trial.advance(95)
        assert await receive(trial) == []
        await trial.advance(5)
        assert len(await receive_all(trial, 1)) == 1

    async def test_a_message_can_be_released_for_what_is_left_of_the_longest_lease(self, trial: Trial) -> None:
        """Counted from the receive, as for an extension."""
        await send(trial, "x")
        (first,) = await receive(trial)
        await trial.advance(LEASE_S / 2)
        delay_s = trial.backend.capabilities.lease_s_max - LEASE_S
        assert await trial.backend.settle(ORDERS, [Release(receipt=first.receipt, delay_s=delay_s)]) == [Settled()]
        await trial.advance(delay_s - 5)
        assert await receive(trial) == []
        await trial.advance(5)
        assert len(await receive_all(trial, 1)) == 1

    async def test_a_message_released_for_longer_is_released_so_or_not_at_all(self, trial: Trial) -> None:
        """It does not come again earlier."""
        await send(trial, "x")
        (first,) = await receive(trial)
        await trial.advance(LEASE_S / 2)
        longest = trial.backend.capabilities.lease_s_max
        (outcome,) = await trial.backend.settle(ORDERS, [Release(receipt=first.receipt, delay_s=longest)])
        if isinstance(outcome, Failed):
            assert isinstance(outcome.error, LeaseLostError)
            assert await trial.backend.settle(ORDERS, [Acknowledge(receipt=first.receipt)]) == [Settled()]
        else:
            await trial.advance(longest - 5)
            assert await receive(trial) == []

    # --- settling -----------------------------------------------------------------------------------------------------

    async def test_an_acknowledged_message_is_gone(self, trial: Trial) -> None:
        """For good."""
        await send(trial, "x")
        (first,) = await receive(trial)
        assert await trial.backend.settle(ORDERS, [Acknowledge(receipt=first.receipt)]) == [Settled()]
        await trial.advance(LEASE_S + 1)
        assert await receive(trial) == []

    async def test_acknowledging_twice_succeeds_twice(self, trial: Trial) -> None:
        """So that an acknowledgement whose answer got lost can be repeated."""
        await send(trial, "x")
        (first,) = await receive(trial)
        for _ in range(2):
            assert await trial.backend.settle(ORDERS, [Acknowledge(receipt=first.receipt)]) == [Settled()]

    async def test_a_late_acknowledgement_still_removes_a_message_nobody_else_has(self, trial: Trial) -> None:
        """The lease has ended, no other delivery has begun."""
        await send(trial, "x")
        (first,) = await receive(trial)
        await trial.advance(LEASE_S + 1)
        assert await trial.backend.settle(ORDERS, [Acknowledge(receipt=first.receipt)]) == [Settled()]
        assert await receive(trial) == []

    async def test_acknowledgements_and_releases_mix_in_one_batch(self, trial: Trial) -> None:
        """With one outcome each, in order."""
        await send(trial, "done", "again")
        received = {r.body: r.receipt for r in await receive_all(trial, 2)}
        batch: list[Settlement] = [Acknowledge(receipt=received["done"]), Release(receipt=received["again"])]
        assert await trial.backend.settle(ORDERS, batch) == [Settled(), Settled()]
        assert [r.body for r in await receive_all(trial, 1)] == ["again"]

    async def test_an_unknown_receipt_fails_alone(self, trial: Trial) -> None:
        """The entry beside it is settled."""
        await send(trial, "x")
        (first,) = await receive(trial)
        batch = [Acknowledge(receipt=Receipt("garbage")), Acknowledge(receipt=first.receipt)]
        bad, good = await trial.backend.settle(ORDERS, batch)
        assert isinstance(bad, Failed)
        assert isinstance(bad.error, ReceiptInvalidError)
        assert good == Settled()
        (outcome,) = await trial.backend.extend(ORDERS, [Extension(receipt=Receipt("garbage"), lease_s=5)])
        assert isinstance(outcome, Failed)

    # --- competing consumers ------------------------------------------------------------------------------------------

    async def test_competing_consumers_share_the_messages(self, trial: Trial) -> None:
        """Each message goes to one of them, none is left over."""
        count = 30
        for start in range(0, count, 10):
            await send(trial, *(str(n) for n in range(start, start + 10)))
        taken: list[str] = []

        async def consume() -> None:
            while received := await trial.backend.receive(ORDERS, limit=3, wait_s=1, lease_s=LEASE_S):
                taken.extend(r.body for r in received)
                await trial.backend.settle(ORDERS, [Acknowledge(receipt=r.receipt) for r in received])

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(consume)
        assert sorted(map(int, taken)) == list(range(count))
