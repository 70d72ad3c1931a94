"""What a test in the lab is handed: a bus whose handlers run in virtual time, and a look at everything they did."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Final, TypeVar, cast

import anyio

from busframe import runtime
from busframe._consume.dead import read_dead_letter
from busframe._consume.opening import Opener
from busframe.errors import CodecError, InvalidArgumentError
from busframe.limits import PEEK_MAX
from busframe.message import Receipt, Received
from busframe.outcome import Outcome as Decision
from busframe.sending import Sender
from busframe.sending_side import Sending
from busframe.simulation.calls import Call, Calls, name_of, now_s
from busframe.simulation.deviations import describe
from busframe.simulation.nodes import Incarnation
from busframe.simulation.sim import HOSTILE_S
from busframe.simulation.world import acting
from busframe_emulator.delivery.choosers import Adversary, Recording
from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import SITES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from busframe.bus import Bus
    from busframe.group import Group
    from busframe.ledger import Ledger
    from busframe.message import Peeked, QueueName
    from busframe.registry import Registry
    from busframe.session import Live
    from busframe.simulation.nodes import Node
    from busframe.simulation.record import Entry
    from busframe.simulation.sim import Sim
    from busframe.simulation.world import World

T = TypeVar("T")

WITHIN_S: Final = 86_400.0
"""How long `settle` lets handlers try, unless it is told otherwise: a day of virtual time passes in a moment."""

_SECOND_US: Final = 1_000_000

_INSTANT_S: Final = 1e-7
"""Less than the broker's clock can tell: what is due now is done by then."""

_ENDS: Final = frozenset({"deleted", "moved", "expired", "purged", "queue_deleted", "called", "killed", "stopped"})
"""What may have been the last thing that was waited for."""


class NotSettledError(AssertionError):
    """Messages are left, or handlers run, although more time has passed than was allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message in a dead-letter queue.

    Attributes:
        payload: what the handler was, or would have been, called with; None if it cannot be read.
        reason: why it was given up; None if the broker moved it by itself, after too many deliveries.
        attempts: deliveries it had; None if nothing tells.
        body: as it travels.
    """

    payload: object
    reason: str | None
    attempts: int | None
    body: str


class Lab(Sending):
    """A bus in the lab. `publish` and `send` are those of `busframe.Live`, on a connection that never fails.

    Attributes:
        sim: the run as scenarios know it: `sim.effect`, `sim.check`, `sim.sometimes`, `sim.store`.
        workers: the nodes that run the handlers: `lab.workers[0].kill()`. A new one is there a second later.
        live: the connection of whoever asks, for handlers that use one: each worker has its own, and so has the test.
    """

    def __init__(self, sim: Sim, registry: Registry, *, calls: Calls, sender: Sender, lives: _Lives) -> None:
        self._world = world = sim.world
        super().__init__(registry, world.backend, world.backend.recipients, sender)
        self.sim: Final = sim
        self.live: Final = cast("Live", lives)
        self.workers: Sequence[Node] = ()
        self._calls = calls

    # --- time -------------------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """Virtual seconds since the start."""
        return now_s()

    async def advance(self, seconds: float) -> None:
        """Let time pass: whatever is due meanwhile happens, and what is due at the end of it.

        Args:
            seconds: of virtual time, 0 or more.

        Raises:
            InvalidArgumentError: they are negative or not finite.
        """
        if not 0 <= seconds < float("inf"):
            raise InvalidArgumentError("seconds", seconds, "0 or more, finite")
        await runtime.sleep(self.now_s + seconds + _INSTANT_S - runtime.now_s())

    async def settle(self, *, within_s: float = WITHIN_S) -> None:
        """Let time pass until nothing is left to do: all queues of the bus are empty and no handler runs.

        Retries, delays and time-outs included; dead-letter queues are not waited for. In a hostile world the adversary
        first has a minute to act, and is held back until all is done.

        Raises:
            NotSettledError: that is not so `within_s` virtual seconds later; says what is left.
            SimulationEscapeError: a handler failed only because it asked for what is not simulated, such as a socket.
        """
        await self._settle(within_s)
        # Otherwise it would look like a handler that fails, to be tried again and given up.
        if self._calls.escaped is not None:
            raise self._calls.escaped

    async def _settle(self, within_s: float) -> None:
        world = self._world
        if world.ask is None:
            await self._until_nothing_is_left(within_s)
            return
        await runtime.sleep(HOSTILE_S)
        with world.calm():
            for worker in self.workers:
                worker.revive()
            # What a server missed to delete may still come back.
            await runtime.sleep(SITES["delete.zombie"].high / _SECOND_US)
            await self._until_nothing_is_left(within_s)

    # --- what handlers did ------------------------------------------------------------------------------------------

    def calls(self, handler: Callable[Concatenate[T, ...], Awaitable[None]]) -> list[T]:
        """What a handler was called with: each call, in the order in which they began, repeated ones included."""
        return [call.payload for call in self.attempts(handler)]

    def attempts(self, handler: Callable[Concatenate[T, ...], Awaitable[None]]) -> list[Call[T]]:
        """The same with what came of each.

        Raises:
            InvalidArgumentError: the function is no handler of the bus.
        """
        known = [one.function for group in self._registry.groups.values() for one in group.all_handlers]
        if handler not in known:
            names = ", ".join(sorted({name_of(function) for function in known})) or "none"
            raise InvalidArgumentError("handler", handler, f"a handler of the bus: {names}")
        return self._calls.of(handler)

    def dead_letters(self, group: str) -> list[DeadLetter]:
        """What lies in the dead-letter queue of a group, oldest first.

        Args:
            group: its name, with or without the bus's; or that of a command.
        """
        (found,) = self._registry.select([group])
        opener, letters, after = Opener(found), list[DeadLetter](), None
        while shown := self._world.backend.peek_now(found.dead_queue, limit=PEEK_MAX, after=after):
            letters += [_dead_letter(opener, peeked) for peeked in shown]
            after = shown[-1].position
        return letters

    # --- what was done to them --------------------------------------------------------------------------------------

    @property
    def script(self) -> Script:
        """What the adversary has done so far: hand it in as `script=`, and it does that and no more."""
        chooser = self._world.chooser
        return chooser.fired if isinstance(chooser, Recording | Adversary) else Script()

    @property
    def faults(self) -> list[str]:
        """The same in words."""
        return [describe(*entry) for entry in self.script]

    @property
    def ledger(self) -> Ledger:
        """The calls that the broker got, from all workers and the test: `lab.ledger.calls`."""
        return self._world.backend.ledger

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _until_nothing_is_left(self, within_s: float) -> None:
        world, record = self._world, self._world.record
        changed = anyio.Event()

        def hear(entry: Entry) -> None:
            if entry.kind in _ENDS:
                changed.set()

        record.listeners.append(hear)
        try:
            with anyio.move_on_after(within_s) as scope:
                while world.left(self._registry.groups) or self._calls.running:
                    await changed.wait()
                    changed = anyio.Event()
        finally:
            record.listeners.remove(hear)
        if scope.cancelled_caught:
            left = world.left(self._registry.groups)
            lines = [f"{count} in {queue}" for queue, count in left.items()] + self._calls.running
            raise NotSettledError(f"not settled within {within_s:g} virtual seconds: {', '.join(lines)}")


class _Lives:
    """Is the `Live` of whoever asks it for anything."""

    def __init__(self) -> None:
        self.by_node: dict[str, Live] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.by_node[acting.get().name], name)


@asynccontextmanager
async def open_lab(sim: Sim, buses: Sequence[Bus], *, workers: int) -> AsyncGenerator[Lab, None]:
    """Have the handlers of buses run, and give a lab that looks on; at the end they are stopped."""
    world = sim.world
    world.hears_errors = False  # all calls are told, those that raise nothing as well
    calls = Calls(lambda function, call: _note(world, function, call))
    watched = [calls.watched(bus) for bus in buses]
    lives = _Lives()
    me = Incarnation(world, "test", 1)
    me.backend = cast("Any", world.backend)  # The test itself is not on trial: its own calls never fail.
    token = acting.set(me)
    try:
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(runtime.background_tasks())
            with world.calm():
                # All subscriptions are there before anybody publishes.
                for bus in watched:
                    live = await stack.enter_async_context(bus.connect(sim.url))
                    lives.by_node.setdefault(me.name, live)
            sender = Sender(world.backend, tasks)
            lab = Lab(sim, together(buses), calls=calls, sender=sender, lives=lives)
            lab.workers = [node for bus in watched for node in _start(sim, bus, lives, workers)]
            try:
                yield lab
            finally:
                for node in lab.workers:
                    node.retire()
                for node in lab.workers:
                    await node.ended.wait()
                await sender.aclose()
    finally:
        acting.reset(token)


def _start(sim: Sim, bus: Bus, lives: _Lives, count: int) -> Sequence[Node]:
    async def serve(me: Incarnation) -> None:
        async with bus.connect(sim.url) as live:
            lives.by_node[me.name] = live
            await live.serve()

    return sim.node(bus.name, serve, count=count)


def together(buses: Sequence[Bus]) -> Registry:
    """The first bus, knowing the groups of all.

    Raises:
        InvalidArgumentError: two have a queue in common.
    """
    groups: dict[QueueName, Group] = {}
    for bus in buses:
        if common := groups.keys() & bus.groups.keys():
            raise InvalidArgumentError("bus", bus.name, f"buses without queues in common, such as {min(common)}")
        groups.update(bus.groups)
    return buses[0].regrouped(groups)


def _note(world: World, function: Callable[..., object], call: Call[Any]) -> None:
    ended = call.outcome if call.error is None else f"{call.outcome}: {call.error!r}"
    world.note(
        "called",
        call.node,
        queue=call.queue,
        message=world.ordinal(call.queue, call.message_id),
        delivery=call.attempt,
        text=f"{name_of(function)}: {ended}",
    )


def _dead_letter(opener: Opener, peeked: Peeked) -> DeadLetter:
    dead = read_dead_letter(peeked.attributes)
    received = Received(
        message_id=peeked.message_id,
        receipt=Receipt(""),
        body=peeked.body,
        attributes=peeked.attributes,
        receive_count=peeked.receive_count,
        sent_at_s=peeked.sent_at_s,
        group=peeked.group,
    )
    try:
        payload = opener.open(received)[1].payload
    except (CodecError, Decision):
        payload = None
    return DeadLetter(
        payload=payload,
        reason=None if dead is None else dead.reason,
        attempts=None if dead is None else dead.attempts,
        body=peeked.body,
    )
