"""Failing brokers: the n-th call fails, for every n, and what was told is compared with what is there.

Only where the trial can make calls fail (`Trial.fail_call`).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar

import pytest

from busframe.backend import Plan
from busframe.errors import BackendError
from busframe.message import Acknowledge, Failed, Outgoing
from busframe.testing.conformance.trial import DEAD, LEASE_S, ORDERS, queues, receive

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from busframe.message import Sent, Settled
    from busframe.testing.conformance.trial import Trial

T = TypeVar("T")

CALLS_MAX: Final = 500
"""More calls than the whole story makes on any broker."""


@pytest.mark.anyio
class FailureChecks:
    """Of calls that fail."""

    async def test_whichever_call_fails_nothing_accepted_is_lost_and_nothing_settled_comes_back(
        self, trial: Trial
    ) -> None:
        """And the failure is a `BackendError` that tells whether the call may have had an effect."""
        if (fail_call := trial.fail_call) is None:
            pytest.skip("the trial cannot make calls fail")
        for nth in count(1):
            assert nth <= CALLS_MAX, f"call {CALLS_MAX} was still made"
            story = _Story(trial)
            fail_call(nth)
            await story.tell(str(nth))
            came_up = fail_call(0)
            await story.compare()
            # Not whether the story met a failure: the backend may have repeated a call that was not about messages.
            assert came_up or not story.failures, "fail_call has to tell whether the call it was asked for has failed"
            if not came_up:
                return


class _Story:
    """Provision, send, receive, acknowledge; and what was told of each message.

    Attributes:
        failures: what failed.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.failures: list[BackendError] = []
        self._accepted: set[str] = set()
        self._settled: set[str] = set()
        self._unknown: set[str] = set()

    async def tell(self, name: str) -> None:
        """Do it all, come what may."""
        backend = self._trial.backend
        await self._try(backend.provision(Plan(queues=queues(ORDERS, DEAD))))
        for body in (f"{name} a", f"{name} b"):
            outcomes = await self._try(backend.send(ORDERS, [Outgoing(body=body)]), body)
            self._accepted |= {body for outcome in outcomes or () if self._succeeded(outcome, body)}
        for _ in range(2):
            for one in await self._try(backend.receive(ORDERS, limit=10, wait_s=0, lease_s=LEASE_S)) or ():
                settled = await self._try(backend.settle(ORDERS, [Acknowledge(receipt=one.receipt)]), one.body)
                self._settled |= {one.body for outcome in settled or () if self._succeeded(outcome, one.body)}

    async def compare(self) -> None:
        """Compare what was told with what is there once all leases are over."""
        backend = self._trial.backend
        await self._trial.advance(LEASE_S + 1)
        left: set[str] = set()
        while batch := await receive(self._trial):
            left |= {one.body for one in batch}
            await backend.settle(ORDERS, [Acknowledge(receipt=one.receipt) for one in batch])
        assert not left & self._settled, "settled, and there again"
        assert self._accepted - self._settled - self._unknown <= left, "accepted, and lost"
        assert left <= self._accepted | self._unknown, "refused, and there all the same"

    async def _try(self, call: Awaitable[T], body: str = "") -> T | None:
        try:
            return await call
        except BackendError as error:
            self._note(error, body)
            return None

    def _succeeded(self, outcome: Sent | Settled | Failed, body: str) -> bool:
        if isinstance(outcome, Failed):
            self._note(outcome.error, body)
        return not isinstance(outcome, Failed)

    def _note(self, error: BackendError, body: str) -> None:
        self.failures.append(error)
        if error.effect == "unknown":
            self._unknown.add(body)
