"""The pull form: the program asks for the next delivery, in place of being called with it.

Beneath it runs a consumer like any other, so that leases, retries, dead letters and draining are the same. Its handler
lays each delivery on a shelf and waits there until whoever took it has said what becomes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from busframe._consume.verdict import GivenBack
from busframe.delivery import Delivery, current_delivery, enter_delivery
from busframe.errors import ConfigurationError
from busframe.tracing import current_trace, enter_trace

if TYPE_CHECKING:
    from types import TracebackType

    from busframe.inbox import Transaction
    from busframe.tracing import TraceContext

T_co = TypeVar("T_co", covariant=True)


class _Hold:
    """What is between the one who took a delivery and the handler that waits for it.

    Attributes:
        told: set when it is known what becomes of the delivery: `outcome` is what the handler is to raise, if anything.
        scope: encloses the work on it.
        lost: the broker delivers it again; nobody waits for the outcome.
    """

    __slots__ = ("lost", "outcome", "outside", "scope", "told")

    def __init__(self) -> None:
        self.told = anyio.Event()
        self.outcome: Exception | None = None
        self.scope: anyio.CancelScope | None = None
        self.outside: tuple[Delivery[Any] | None, TraceContext | None] = (None, None)
        self.lost = False

    def tell(self, outcome: Exception | None) -> None:
        """Let the handler end."""
        if not self.told.is_set():
            self.outcome = outcome
            self.told.set()

    def lose(self) -> None:
        """Stop whoever works on it."""
        self.lost = True
        if self.scope is not None:
            self.scope.cancel()


class PulledDelivery(Delivery[T_co], frozen=True, kw_only=True):
    """A delivery to be worked on inside `async with`, once.

    Leaving the block acknowledges the message. An exception that leaves it decides as it does in a handler, by `Later`,
    `Reject`, `Drop` or the retry policy, and goes no further: the loop around it takes the next. A cancellation gives
    the message back and goes on. The lease is kept meanwhile; if it is lost all the same, the block is cancelled and
    the loop goes on, since somebody else will get the message.
    """

    source: Delivery[T_co]
    hold: _Hold

    @property
    def transaction(self) -> Transaction:
        """See `Delivery.transaction`."""
        return self.source.transaction

    async def __aenter__(self) -> PulledDelivery[T_co]:
        hold = self.hold
        if hold.scope is not None or (hold.told.is_set() and not hold.lost):
            raise ConfigurationError(f"message {self.message_id}: each delivery is worked on once, inside its stream")
        hold.outside = (current_delivery(), current_trace())
        hold.scope = anyio.CancelScope()
        hold.scope.__enter__()
        if hold.lost:
            hold.scope.cancel()
        enter_delivery(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        hold = self.hold
        assert hold.scope is not None  # noqa: S101 - entered
        delivery, outside = hold.outside
        enter_delivery(delivery)
        enter_trace(outside)
        try:
            swallowed = hold.scope.__exit__(kind, error, trace)
        finally:
            if error is None or isinstance(error, Exception):
                hold.tell(error)
            else:
                hold.tell(GivenBack("whoever worked on it was interrupted", begun=True))
        return bool(swallowed) or isinstance(error, Exception)


class Shelf(Generic[T_co]):
    """Where deliveries lie until somebody takes them."""

    def __init__(self) -> None:
        self._lying: dict[_Hold, PulledDelivery[T_co]] = {}
        self._out: dict[_Hold, None] = {}
        self._changed = anyio.Event()
        self._closed = False

    async def hand_over(self, _: object, delivery: Delivery[Any]) -> None:
        """Handle a delivery by having it taken: the handler of the stream's consumer."""
        hold = _Hold()
        pulled: PulledDelivery[T_co] = PulledDelivery(
            payload=delivery.payload,
            headers=delivery.headers,
            attempt=delivery.attempt,
            queue=delivery.queue,
            message_id=delivery.message_id,
            sent_at_s=delivery.sent_at_s,
            source=delivery,
            hold=hold,
        )
        if self._closed:
            raise GivenBack("the stream is closed", begun=False)
        self._out[hold] = None
        self._lying[hold] = pulled
        self._change()
        try:
            await hold.told.wait()
        except BaseException:
            hold.lose()
            raise
        finally:
            self._lying.pop(hold, None)
            del self._out[hold]
        if hold.outcome is not None:
            raise hold.outcome

    async def take(self) -> PulledDelivery[T_co]:
        """Wait for a delivery.

        Raises:
            StopAsyncIteration: the stream is closed.
        """
        while not self._lying:
            if self._closed:
                raise StopAsyncIteration
            await self._changed.wait()
        return self._lying.pop(next(iter(self._lying)))

    def close(self) -> None:
        """Give back what nobody works on."""
        self._closed = True
        self._lying.clear()
        for hold in self._out:
            if hold.scope is None:
                hold.tell(GivenBack("the stream was closed", begun=False))
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Stream(Generic[T_co]):
    """The deliveries of one queue, one after the other. Several tasks may take from it at once.

    async for delivery in stream:
        async with delivery:
            ...
    """

    def __init__(self, shelf: Shelf[T_co]) -> None:
        self._shelf = shelf

    def __aiter__(self) -> Stream[T_co]:
        return self

    async def __anext__(self) -> PulledDelivery[T_co]:
        return await self._shelf.take()
