"""One run's world: the broker all nodes share, its chance, its record, and who is acting at the moment."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

from busframe import runtime
from busframe.simulation.record import Entry, Record
from busframe.simulation.unread import Outcomes
from busframe.simulation.verdicts import Violation
from busframe_emulator.delivery import CALM
from busframe_emulator.delivery.checkers import EngineChecks
from busframe_emulator.delivery.triggers import Happening, Happenings
from busframe_emulator.engine import Engine, Ids, Limits
from busframe_memory import MemoryBackend, queue_address
from busframe_memory.driver import EngineDriver

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Generator, Iterable, Sequence

    from anyio.abc import TaskGroup

    from busframe.delivery import Delivery
    from busframe.message import MessageId, QueueName, Receipt, Received
    from busframe.simulation.errors import SimulationEscapeError
    from busframe.simulation.nodes import Incarnation, Node
    from busframe_emulator.delivery import Chooser
    from busframe_emulator.delivery.chooser import Key
    from busframe_emulator.delivery.choosers import Scripted
    from busframe_emulator.engine.events import Content, Event
    from busframe_emulator.engine.queue import Queue

T = TypeVar("T")

_UNTOLD: Final = {"waiting", "wait_ended", "looked", "copied"}
"""Events for checkers only: polls that found nothing are no story, and what chance did is told as a deviation."""

acting: ContextVar[Incarnation] = ContextVar("acting")
"""Which node the running task belongs to: tasks inherit it from the one that started them."""


class World:
    """Made by `open_world`.

    Attributes:
        chooser: decides everything that is left to chance, until `calm_down`.
        backend: the broker, without anything in between.
        bodies: of all messages, by queue and ordinal.
        tasks: run as long as the world: timers, and whatever outlives a node.
        record: what happened.
        checks: whether the broker keeps the contract; it always should.
        ask: the chooser's `ask`; None once the world is calm.
        back_us: when the last message is back that was deleted, and not everywhere.
        under_way: calls of nodes that have not come back, but for those that wait for messages.
        received_from: the queues that nodes asked for messages, whether an answer came or not.
        nodes: all that were started.
        hears_errors: what handlers raise is written down.
        tells_delays: what is late on its way is written down: somebody reads it where a script says it, and not chance.
        escaped: the first handler that failed only of asking for what is not simulated.
    """

    def __init__(self, chooser: Chooser, tasks: TaskGroup, *, seed: int, scripted: Scripted | None = None) -> None:
        self.chooser = chooser
        self.ask = None if chooser is CALM else chooser.ask
        self._outcomes: list[Outcomes[Any]] = []
        self.tasks = tasks
        self.back_us = 0
        self.under_way = 0
        self.received_from: set[str] = set()
        self.nodes: list[Node] = []
        self.escaped: Violation | None = None
        self.record = Record()
        self.hears_errors = True
        self.tells_delays = scripted is not None
        # Only a script that waits for something to happen wants to be told.
        self._listening = scripted if scripted is not None and scripted.listens else None
        self._happenings = Happenings()
        if self._listening is not None:
            self.record.listeners.append(self._listen)
        self.checks = EngineChecks()
        self.counters: dict[tuple[str, ...], int] = {}
        limits = Limits(purge_interval_us=0, recreate_after_us=0)
        engine = Engine(ids=Ids(seed), chooser=_Switch(self), sink=self._note, limits=limits)
        if self.ask is None:
            engine = Engine(ids=Ids(seed), sink=self._note, limits=limits)
        self.driver = EngineDriver(engine)
        self.backend = MemoryBackend(self.driver)
        self.bodies: dict[tuple[str, int], str] = {}
        self._queues, _ = engine.look(self.driver.now_us())
        self._start_us = self.driver.now_us()

    def calm_down(self) -> None:
        """From now on nothing unexpected happens."""
        self.ask = None

    @contextmanager
    def calm(self) -> Generator[None, None, None]:
        """Nothing unexpected happens for as long as the context lasts."""
        ask, self.ask = self.ask, None
        try:
            yield
        finally:
            self.ask = ask

    def now_us(self) -> int:
        """Virtual microseconds since the start."""
        return self.driver.now_us() - self._start_us

    def nth(self, *what: str) -> int:
        """Count an occasion, from 1."""
        count = self.counters[what] = self.counters.get(what, 0) + 1
        return count

    def choose(self, site: str, key: Key) -> int | None:
        """Ask the chooser."""
        return None if self.ask is None else self.ask(site, key)

    def note(self, kind: str, node: str, **details: Any) -> None:
        """Write down something of the application's or of a node's."""
        self.record.add(Entry(self.now_us(), "app", kind, node, **details))

    def received(self, node: str, queue: QueueName, batch: Sequence[Received]) -> None:
        """Write down who got which deliveries: the engine does not know who asks."""
        for one in batch:
            self.saw(node, "received", queue, one.receipt)

    def saw(self, node: str, kind: str, queue: QueueName, receipt: Receipt) -> None:
        """Write down who received or settled which delivery."""
        message, delivery = self.locate(queue, receipt)
        self.record.add(Entry(self.now_us(), "client", kind, node, queue, message, delivery))

    def locate(self, queue: QueueName, receipt: Receipt) -> tuple[int, int]:
        """Which message and which of its deliveries a receipt is of."""
        found = self._queues.get(queue_address(queue))
        return (0, 0) if found is None else found.ids.read_receipt(receipt)

    def ordinal(self, queue: QueueName, message_id: MessageId) -> int:
        """The ordinal of a message that is still there; 0 if it is not."""
        found = self._queues.get(queue_address(queue))
        if found is None:
            return 0
        return next((one for one in found.messages if found.ids.message_id(one) == message_id), 0)

    def tell_escape(self, handler: str, escape: SimulationEscapeError) -> None:
        """A handler failed of asking for what is not simulated."""
        node = acting.get().name
        text = f"the handler {handler} on {node} failed, and only because of the simulation: {escape}"
        self.escaped = self.escaped or Violation(check=type(escape).__name__, text=text)

    def tell_error(self, text: str, delivery: Delivery[Any]) -> None:
        """A handler has not just returned: write down what it raised."""
        incarnation = acting.get()
        if self.hears_errors and not incarnation.severed:
            message = self.ordinal(delivery.queue, delivery.message_id)
            self.note(
                "called",
                incarnation.name,
                queue=delivery.queue,
                message=message,
                delivery=delivery.attempt,
                text=text,
            )

    def watch_outcomes(
        self, operation: str, node: str, queue: QueueName, outcomes: Sequence[T], *, entries_min: int = 2
    ) -> Sequence[T]:
        """Hand out a batch's outcomes so that it will be known whether anybody looked at them: in a calm world.

        Those of fewer entries than `entries_min` are nobody's concern.
        """
        if self.chooser is not CALM or len(outcomes) < entries_min:
            return outcomes
        text = f"{operation} of {len(outcomes)} {'entries' if len(outcomes) > 1 else 'entry'}"
        watched = Outcomes(outcomes, Entry(self.now_us(), "client", operation, node, queue, text=text))
        self._outcomes.append(watched)
        return watched

    def unread_batches(self) -> list[Entry]:
        """Calls of a calm world whose outcomes nobody has looked at."""
        return [outcomes.call for outcomes in self._outcomes if not outcomes.looked_at]

    def queues(self) -> Collection[Queue]:
        """The broker's queues as they are now."""
        queues, _ = self.driver.perform(Engine.look)
        return queues.values()

    def left(self, queues: Iterable[QueueName]) -> dict[QueueName, int]:
        """How many messages there are in each of some queues, whatever their state; without those that are empty."""
        found = {queue: self._queues.get(queue_address(queue)) for queue in queues}
        return {queue: len(one.messages) for queue, one in found.items() if one is not None and one.messages}

    def broker_violations(self) -> list[Violation]:
        """What the broker itself has done wrong: nothing, or the simulation is not to be trusted."""
        findings = self.checks.finish(self.driver.now_us()).findings
        return [
            Violation(check=f"broker: {one.check}", text=f"{one.queue}#{one.message}: {one.text}") for one in findings
        ]

    def _note(self, event: Event) -> None:
        self.checks.event(event)
        kind, at_us, (_, _, queue), message, delivery, until_us, _, about = event
        if kind in _UNTOLD:
            return
        if kind == "sent":
            content: Content = about  # type: ignore[assignment]  # by kind
            self.bodies[queue, message] = content.body
        start_us = self._start_us
        until_us = until_us - start_us if until_us else 0
        self.record.add(Entry(at_us - start_us, "broker", kind, "", queue, message, delivery, None, "", until_us))
        if self._listening is not None:
            for happening in self._happenings.of(event):
                self._happened(happening)

    def _listen(self, entry: Entry) -> None:
        if entry.level != "broker":
            self._happened(Happening(entry.kind, entry.queue, entry.node, entry.message, entry.delivery, entry.key))

    def _happened(self, happening: Happening) -> None:
        """Let entries of the script come up that wait for this, and nodes die of it."""
        if self._listening is None:
            return
        self._listening.happened(happening)
        nth = self.nth("happened", happening.kind)
        incarnation = acting.get(None)
        actor = happening.node or (incarnation.name if incarnation is not None else "")
        # Whose doing it is comes first: "whoever does this dies of it".
        for node in sorted(self.nodes, key=lambda node: node.name != actor):
            node.hear(happening.kind, nth)


class _Switch:
    """What the engine asks: the world's chooser, as long as the world is not calm."""

    def __init__(self, world: World) -> None:
        self._world = world

    def ask(self, site: str, key: Key) -> int | None:
        world = self._world
        ask = world.ask
        answer = None if ask is None else ask(site, key)
        if answer is not None and site == "delete.zombie":
            world.back_us = max(world.back_us, world.now_us() + answer)
        return answer


@asynccontextmanager
async def open_world(chooser: Chooser, *, seed: int, scripted: Scripted | None = None) -> AsyncGenerator[World, None]:
    """Make a world, and let its time pass for as long as the context lasts.

    Args:
        chooser: decides what is left to chance.
        seed: of the broker's identifiers.
        scripted: the part of the chooser that may wait for something to happen.
    """
    async with runtime.background_tasks() as tasks:
        world = World(chooser, tasks, seed=seed, scripted=scripted)
        tasks.start_soon(world.driver.run)
        try:
            yield world
        finally:
            world.backend.close()
