"""The backend contract (`busframe.backend`) as tests.

Subclass it in a test module and say how to open your backend:

    class TestMyBackend(BackendConformance):
        @asynccontextmanager
        async def open_trial(self) -> AsyncGenerator[Trial, None]:
            clock = ManualClock()
            async with open_my_backend(clock) as backend:
                yield Trial(backend=backend, advance=clock.advance)

Each test gets a fresh, empty backend. A capability that the backend declares selects the tests that try to break it;
what it does not declare is skipped by name. Tests never sleep: they call `Trial.advance`.

    messages, deliveries, lifetimes, queues, order     what the methods do
    cancellation, failures                             what they leave behind when they are cut off
    trial                                              what you hand over
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pytest

from busframe.backend import Plan
from busframe.testing.conformance.cancellation import CancellationChecks
from busframe.testing.conformance.deliveries import DeliveryChecks
from busframe.testing.conformance.failures import FailureChecks
from busframe.testing.conformance.lifetimes import LifetimeChecks
from busframe.testing.conformance.messages import MessageChecks
from busframe.testing.conformance.order import OrderChecks
from busframe.testing.conformance.queues import QueueChecks
from busframe.testing.conformance.trial import DEAD, ORDERED, ORDERED_DEAD, ORDERS, Trial, queues, require

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

__all__ = ["BackendConformance", "Trial"]


class BackendConformance(
    MessageChecks,
    DeliveryChecks,
    LifetimeChecks,
    QueueChecks,
    OrderChecks,
    CancellationChecks,
    FailureChecks,
    ABC,
):
    """See the head of this file."""

    @abstractmethod
    def open_trial(self) -> AbstractAsyncContextManager[Trial]:
        """Open a fresh backend without queues."""

    @pytest.fixture
    async def trial(self) -> AsyncGenerator[Trial, None]:
        """A fresh backend with the queue `orders`, which has a dead-letter queue after three receives."""
        async with self.open_trial() as trial:
            await trial.backend.provision(Plan(queues=queues(ORDERS, DEAD)))
            yield trial

    @pytest.fixture
    async def ordered(self, trial: Trial) -> Trial:
        """The same with the queue `orders.fifo`."""
        require(trial, "ordered")
        await trial.backend.provision(Plan(queues=queues(ORDERED, ORDERED_DEAD)))
        return trial
