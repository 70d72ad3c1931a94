"""Cancelled calls: at every point where a call waits, it is cut off there, and what it leaves behind is looked at.

A call that is cancelled at its first wait, then at its second, and so on until it ends by itself before it is cut off.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anyio
import pytest

from busframe.backend import Plan
from busframe.message import Acknowledge, Extension, Outgoing, Release, Settled
from busframe.testing.conformance.trial import DEAD, LEASE_S, ORDERS, PATIENCE_S, queues, receive, receive_all, send

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from busframe.testing.conformance.trial import Trial

WAITS_MAX: Final = 60
"""A call that still waits after so many waits is waiting for something that does not come."""


@pytest.mark.anyio
class CancellationChecks:
    """Of calls that are cut off at every wait."""

    async def test_a_send_cancelled_anywhere_has_sent_all_or_nothing_of_each_entry_and_blocks_nobody(
        self, trial: Trial
    ) -> None:
        """Which of the two is not known, so the caller sends again."""

        async def attempt(step: int) -> _Ending:
            bodies = [f"{step} a", f"{step} b"]
            ending = await _cut_off(step, lambda: trial.backend.send(ORDERS, [Outgoing(body=body) for body in bodies]))
            await send(trial, f"{step} after")
            found: set[str] = set()
            with anyio.fail_after(PATIENCE_S):
                while f"{step} after" not in found or (ending.finished and not found.issuperset(bodies)):
                    batch = await trial.backend.receive(ORDERS, limit=10, wait_s=1, lease_s=LEASE_S)
                    found |= {received.body for received in batch}
                    if batch:
                        await trial.backend.settle(ORDERS, [Acknowledge(receipt=r.receipt) for r in batch])
            assert found <= {*bodies, f"{step} after"}
            return ending

        await _at_every_wait(attempt)

    async def test_a_receive_cancelled_anywhere_hides_nothing(self, trial: Trial) -> None:
        """What the broker handed out all the same is given back at once, not at the end of its lease."""

        async def attempt(step: int) -> _Ending:
            await send(trial, f"{step}")
            ending = await _cut_off(step, lambda: trial.backend.receive(ORDERS, limit=10, wait_s=1, lease_s=600))
            if ending.finished:
                await trial.backend.purge(ORDERS)
            else:
                (received,) = await receive_all(trial, 1)
                assert received.body == f"{step}"
                await trial.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])
            return ending

        await _at_every_wait(attempt)

    async def test_an_acknowledgement_cancelled_anywhere_can_be_repeated(self, trial: Trial) -> None:
        """It took effect or it did not; either way the second one is answered."""

        async def attempt(step: int) -> _Ending:
            await send(trial, f"{step}")
            (received,) = await receive_all(trial, 1)
            acknowledge = [Acknowledge(receipt=received.receipt)]
            ending = await _cut_off(step, lambda: trial.backend.settle(ORDERS, acknowledge))
            assert await trial.backend.settle(ORDERS, acknowledge) == [Settled()]
            await trial.advance(LEASE_S + 1)
            assert await receive(trial) == []
            return ending

        await _at_every_wait(attempt)

    async def test_a_release_cancelled_anywhere_loses_nothing(self, trial: Trial) -> None:
        """The message comes at once, or when its lease ends."""

        async def attempt(step: int) -> _Ending:
            await send(trial, f"{step}")
            (received,) = await receive_all(trial, 1)
            release = [Release(receipt=received.receipt)]
            ending = await _cut_off(step, lambda: trial.backend.settle(ORDERS, release))
            await trial.advance(LEASE_S + 1)
            (again,) = await receive_all(trial, 1)
            assert again.body == f"{step}"
            await trial.backend.settle(ORDERS, [Acknowledge(receipt=again.receipt)])
            return ending

        await _at_every_wait(attempt)

    async def test_an_extension_cancelled_anywhere_can_be_repeated(self, trial: Trial) -> None:
        """The lease is still ours meanwhile."""

        async def attempt(step: int) -> _Ending:
            await send(trial, f"{step}")
            (received,) = await receive_all(trial, 1)
            extend = [Extension(receipt=received.receipt, lease_s=2 * LEASE_S)]
            ending = await _cut_off(step, lambda: trial.backend.extend(ORDERS, extend))
            assert await trial.backend.extend(ORDERS, extend) == [Settled()]
            await trial.advance(1.5 * LEASE_S)
            assert await receive(trial) == []
            await trial.backend.settle(ORDERS, [Acknowledge(receipt=received.receipt)])
            return ending

        await _at_every_wait(attempt)

    async def test_provisioning_cancelled_anywhere_can_be_repeated(self, trial: Trial) -> None:
        """What was made stays, and what is missing is made."""
        plan = Plan(queues=queues(ORDERS, DEAD))

        async def attempt(step: int) -> _Ending:
            for queue in (ORDERS, DEAD):
                await trial.backend.remove(queue)
            # A broker may keep a removed queue's name back for a while.
            await trial.advance(61)
            ending = await _cut_off(step, lambda: trial.backend.provision(plan))
            await trial.backend.provision(plan)
            assert await trial.backend.list_queues() == [ORDERS, DEAD]
            await send(trial, f"{step}")
            (received,) = await receive_all(trial, 1)
            assert received.body == f"{step}"
            return ending

        await _at_every_wait(attempt)


class _Ending(NamedTuple):
    """How a call ended that was to be cut off.

    Attributes:
        finished: it returned, perhaps although it had been cancelled.
        untouched: it returned before it came to the wait at which it was to be cut off: there are no more waits.
    """

    finished: bool
    untouched: bool


async def _at_every_wait(attempt: Callable[[int], Awaitable[_Ending]]) -> None:
    """Try with a cut at the first wait, the second, ... until the call ends before it is cut off."""
    for step in count(1):
        assert step <= WAITS_MAX, f"the call still waits after {WAITS_MAX} waits"
        if (await attempt(step)).untouched:
            return


async def _cut_off(step: int, call: Callable[[], Coroutine[Any, Any, Any]]) -> _Ending:
    """Cancel a call at its `step`-th wait."""
    finished = False
    with anyio.fail_after(PATIENCE_S), anyio.CancelScope() as scope:
        await _Cut(call(), step, scope)
        finished = True
    return _Ending(finished, not scope.cancel_called)


class _Cut:
    """Awaits a coroutine, and cancels the scope it runs in when it waits for the `step`-th time."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], step: int, scope: anyio.CancelScope) -> None:
        self._coroutine = coroutine
        self._step = step
        self._scope = scope

    def __await__(self) -> Generator[Any, Any, Any]:
        waits = 0
        value: Any = None
        failure: BaseException | None = None
        while True:
            try:
                waited_for = self._coroutine.send(value) if failure is None else self._coroutine.throw(failure)
            except StopIteration as ended:
                return ended.value
            waits += 1
            if waits == self._step:
                self._scope.cancel()
            value = failure = None
            try:
                value = yield waited_for
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine
                failure = error
