"""A node's way to the broker: where requests and answers get lost, late or refused.

It implements the backend contract around the broker that all nodes share. A node that was killed has no way any more:
its calls end the program, as in a power cut nobody is left to see an error.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.lowlevel

from busframe import runtime
from busframe.errors import ThrottledError, UnavailableError
from busframe.message import Acknowledge, Failed
from busframe.simulation.errors import SeveredError
from busframe.simulation.record import Entry
from busframe_emulator.delivery.sites import NetFault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.backend import Capabilities, Plan, QueueSpec, QueueStats
    from busframe.ledger import Ledger
    from busframe.message import (
        Extension,
        Outgoing,
        Peeked,
        QueueName,
        Received,
        SendOutcome,
        Settlement,
        SettleOutcome,
    )
    from busframe.recipients import RecipientList
    from busframe.simulation.nodes import Incarnation
    from busframe.simulation.world import World

R = TypeVar("R")
E = TypeVar("E")

_SECOND_US: Final = 1_000_000
_FAULTS: Final[dict[int, str]] = {fault: fault.name.lower().replace("_", " ") for fault in NetFault}
MESSAGE_ACTIONS: Final = frozenset(
    (
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
        *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch"),
    )
)
"""The actions of SQS that programs call all the time. As with the bus, all others always arrive."""

_BROKER: Final = MESSAGE_ACTIONS | {"send", "receive", "settle", "extend"}
_RECEIVES: Final = frozenset(("receive", "ReceiveMessage"))
_TAKES_EFFECT: Final = frozenset((NetFault.LOST_ANSWER, NetFault.TIMEOUT))
TIMEOUT_S: Final = 30.0
"""How long a client waits for an answer that does not come, as boto3 is set here."""


def _error_of(operation: str, place: str, fault: NetFault) -> Exception:
    """What a bus sees of it."""
    if fault == NetFault.THROTTLED:
        return ThrottledError(f"{operation} on {place}: too many requests")
    return UnavailableError(f"{operation} on {place}: {_FAULTS[fault]}")


class NodeBackend:
    """Implements `busframe.backend.Backend` for one incarnation of a node."""

    def __init__(self, world: World, incarnation: Incarnation) -> None:
        self._world = world
        self._incarnation = incarnation
        self._node = incarnation.name
        self._broker = world.backend
        self._paused_until_us = 0
        self._out_until_us: dict[str, int] = {}

    @property
    def capabilities(self) -> Capabilities:
        """The broker's."""
        return self._broker.capabilities

    @property
    def ledger(self) -> Ledger:
        """The broker's: of all nodes together."""
        return self._broker.ledger

    @property
    def recipients(self) -> RecipientList:
        """The broker's. It is not reached over the network."""
        return self._broker.recipients

    async def provision(self, plan: Plan) -> None:
        """See `Backend.provision`. Never fails, and is done at once: a program that cannot start is not on trial."""
        await self._require_alive()
        with self._world.calm():
            await self._broker.provision(plan)

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """See `Backend.send`."""
        outcomes = await self._in_parts("send", queue, batch, self._broker.send)
        # An entry of a send that fails unseen is a message lost, and so is the only one.
        return self._world.watch_outcomes("send", self._node, queue, outcomes, entries_min=1)

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """See `Backend.receive`."""
        ask = partial(self._broker.receive, queue, limit=limit, wait_s=wait_s, lease_s=lease_s)
        batch = await self.call("receive", queue, ask)
        self._world.received(self._node, queue, batch)
        return batch

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `Backend.settle`."""
        outcomes = await self._in_parts("settle", queue, batch, self._broker.settle)
        for entry, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Failed):
                kind = "acknowledged" if isinstance(entry, Acknowledge) else "released"
                self._world.saw(self._node, kind, queue, entry.receipt)
        return self._world.watch_outcomes("settle", self._node, queue, outcomes)

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """See `Backend.extend`."""
        outcomes = await self._in_parts("extend", queue, batch, self._broker.extend)
        return self._world.watch_outcomes("extend", self._node, queue, outcomes)

    async def stats(self, queue: QueueName) -> QueueStats:
        """See `Backend.stats`."""
        return await self.direct(lambda: self._broker.stats(queue))

    async def peek(self, queue: QueueName, *, limit: int, after: str | None = None) -> Sequence[Peeked]:
        """See `busframe.backend.Peeks`."""
        return await self.direct(lambda: self._broker.peek(queue, limit=limit, after=after))

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """See `Backend.describe`."""
        return await self.direct(lambda: self._broker.describe(queue))

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        """See `Backend.list_queues`."""
        return await self.direct(lambda: self._broker.list_queues(prefix))

    async def purge(self, queue: QueueName) -> None:
        """See `Backend.purge`."""
        await self.direct(lambda: self._broker.purge(queue))

    async def remove(self, queue: QueueName) -> None:
        """See `Backend.remove`."""
        await self.direct(lambda: self._broker.remove(queue))

    # --- on the way -------------------------------------------------------------------------------------------------

    async def direct(self, call: Callable[[], Awaitable[R]]) -> R:
        """Reach the broker without anything in between, but for a power cut."""
        await self._require_alive()
        return await call()

    async def _in_parts(
        self,
        operation: str,
        queue: QueueName,
        batch: Sequence[E],
        call: Callable[[QueueName, Sequence[E]], Awaitable[Sequence[Any]]],
    ) -> Sequence[Any]:
        """Make a batch call some of whose entries may fail by themselves, with nothing done."""
        world = self._world
        failed: set[int] = set()
        if world.ask is not None:
            nth = world.nth("batch", self._node)
            for index in range(len(batch)):
                if world.choose("batch.partial", (self._node, nth, index)) is not None:
                    failed.add(index)
        if not failed:
            return await self.call(operation, queue, partial(call, queue, batch))

        async def part() -> list[Any]:
            for index in sorted(failed):
                text = f"{operation}: entry {index} of the batch"
                world.record.add(Entry(world.now_us(), "client", "entry_failed", self._node, queue, text=text))
            rest = [entry for index, entry in enumerate(batch) if index not in failed]
            outcomes = iter(await call(queue, rest) if rest else ())
            return [
                Failed(error=UnavailableError("this entry failed in the service", effect="none"))
                if index in failed
                else next(outcomes)
                for index in range(len(batch))
            ]

        return await self.call(operation, queue, part)

    async def call(  # noqa: C901 - a coroutine more for each call would be dear
        self,
        operation: str,
        place: str,
        call: Callable[[], Awaitable[R]],
        error_of: Callable[[str, str, NetFault], Exception] = _error_of,
    ) -> R:
        """Reach for something that is not on this node, over whatever there is in between.

        Args:
            operation: the name of the call; the adversary counts calls by it.
            place: what it is reached for, for people.
            call: has the effect.
            error_of: makes what the caller sees of a failure, of operation, place and fault.
        """
        incarnation, world = self._incarnation, self._world
        if incarnation.severed:
            await self._require_alive()
        under_way = 1
        if operation in _RECEIVES:
            under_way = 0
            world.received_from.add(place)
        world.under_way += under_way
        try:
            if world.ask is None and not self._paused_until_us:
                return await call()
            key = (self._node, operation, world.nth(operation, self._node))
            if self._must_stand_still(key):
                await self._stand_still()
            delay_us = world.choose("net.request", key)
            if delay_us is not None:
                await self._travel(operation, "request", place, delay_us)
            fault = NetFault.UNAVAILABLE if self._is_out(operation, key) else world.choose("net", key)
            if fault is not None and fault not in _TAKES_EFFECT:
                raise self._failure(operation, place, fault, error_of)
            result = await call()
            if fault is not None:
                await self._require_alive()
                if fault == NetFault.TIMEOUT:
                    await runtime.sleep(TIMEOUT_S)
                raise self._failure(operation, place, fault, error_of)
            delay_us = world.choose("net.answer", key)
            if delay_us is not None:
                await self._travel(operation, "answer", place, delay_us)
            if incarnation.severed:
                await self._require_alive()
            return result
        finally:
            world.under_way -= under_way

    def _must_stand_still(self, key: tuple[str | int, ...]) -> bool:
        """Begin a pause if one is due, and tell whether one has begun."""
        world = self._world
        pause_us = world.choose("node.pause", key)
        if pause_us is not None and pause_us > 0:
            self._paused_until_us = max(self._paused_until_us, world.now_us() + pause_us)
            world.note("paused", self._node, until_us=self._paused_until_us)
        return bool(self._paused_until_us)

    async def _stand_still(self) -> None:
        """Wait for the end of a pause."""
        world = self._world
        while (left_us := self._paused_until_us - world.now_us()) > 0:
            await runtime.sleep(left_us / _SECOND_US)
        self._paused_until_us = 0
        await self._require_alive()

    def _is_out(self, operation: str, key: tuple[str | int, ...]) -> bool:
        """Begin an outage of the broker if one is due, for this node and this kind of call; tell whether one lasts."""
        if operation not in _BROKER or self._incarnation.is_scenario:
            return False
        outage_us = self._world.choose("net.outage", key)
        if outage_us is not None and outage_us > 0:
            self._out_until_us[operation] = self._world.now_us() + outage_us
            self._world.note("outage", self._node, text=operation, until_us=self._out_until_us[operation])
        until_us = self._out_until_us.get(operation)
        return until_us is not None and self._world.now_us() < until_us

    async def _travel(self, operation: str, leg: str, place: str, delay_us: int) -> None:
        world = self._world
        if world.tells_delays:
            text = f"{operation}: its {leg}, {delay_us / _SECOND_US:g} s"
            world.record.add(Entry(world.now_us(), "client", "late", self._node, place, text=text))
        await runtime.sleep(max(delay_us, 0) / _SECOND_US)
        if self._incarnation.severed:
            await self._require_alive()

    def _failure(
        self, operation: str, place: str, number: int, error_of: Callable[[str, str, NetFault], Exception]
    ) -> Exception:
        world = self._world
        # A script may hold any number.
        fault = NetFault(number) if number in _FAULTS else NetFault.LOST_REQUEST
        text = f"{operation}: {_FAULTS[fault]}"
        world.record.add(Entry(world.now_us(), "client", "failure", self._node, place, text=text))
        return error_of(operation, place, fault)

    async def _require_alive(self) -> None:
        if self._incarnation.severed:
            await anyio.lowlevel.checkpoint()  # Here a program that is cancelled ends.
            raise SeveredError
