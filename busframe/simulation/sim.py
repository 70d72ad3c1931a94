"""What a scenario is handed: queues, nodes, and words for what must be true.

Longer than most files, since it is one class that users read from top to bottom, and most of it is what they read.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import cached_property, partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final, cast

import anyio

from busframe import runtime
from busframe._consume.dead import read_dead_letter
from busframe._consume.telling import hears_errors
from busframe.backend import DeadLetters, Plan, QueueSpec
from busframe.bus import Bus
from busframe.errors import InvalidArgumentError
from busframe.message import QueueName, queue_name
from busframe.simulation.calls import escape_in, name_of
from busframe.simulation.inboxes import SharedInbox
from busframe.simulation.nodes import Incarnation, Node
from busframe.simulation.places import where_programs_wait
from busframe.simulation.store import Store
from busframe.simulation.verdicts import DeadLetter, Outcome, Violation
from busframe.simulation.world import acting

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Hashable, Iterable, Sequence

    from busframe.backend import Backend
    from busframe.config import BackendUrl
    from busframe.delivery import Delivery
    from busframe.group import Handler
    from busframe.inbox import Inbox
    from busframe.message import Peeked
    from busframe.session import Live
    from busframe.simulation.boto import SimulatedBoto
    from busframe.simulation.nodes import Program
    from busframe.simulation.record import Entry
    from busframe.simulation.verdicts import Check
    from busframe.simulation.world import World

_current: ContextVar[Sim] = ContextVar("sim")

_SECOND_US: Final = 1_000_000

LOOK_EVERY_S: Final = 1.0
HOSTILE_S: Final = 60.0
"""How long the adversary goes on after a scenario has sent everything: two leases of thirty seconds."""

DEAD_STILL_S: Final = 300.0
"""How long a dead-letter queue that somebody receives from must stay as full as it is to be left alone."""

QUIET_S: Final = 3_600.0
"""How long a world may take to come to rest, unless the scenario says so: an hour of virtual time costs nothing."""


class Sim:
    """One run of a scenario.

    Attributes:
        url: what application code connects to: `bus.connect(sim.url)`. Inside a node it is that node's connection.
        reads_keys: how the scenario reads keys from bodies, if it said so.
    """

    url: Final = "sim://"

    def __init__(self, world: World, calm: Outcome | None = None) -> None:
        self._world = world
        self._calm = calm
        self._queues: dict[QueueName, QueueSpec] = {}
        self._checks: list[Check] = []
        self._sometimes: dict[str, bool] = {}
        self._states: dict[str, object] = {}
        self._unrest = ""
        self._waiting: list[str] = []
        self._put_back: dict[str, int] = {}
        self._dead_seen: dict[QueueName, int] = {}
        self._dead_since_us = 0
        self._dead_expected: set[Hashable] | None = None
        self.reads_keys: Callable[[str], Collection[Hashable]] | None = None
        self._self = Incarnation(world, "test", 1, is_scenario=True)
        self._inbox = SharedInbox(world)
        self._stores: dict[str, Store] = {}

    # --- queues, nodes, connections ---------------------------------------------------------------------------------

    async def queue(
        self,
        name: str,
        *,
        lease_s: float = 30.0,
        delay_s: float = 0.0,
        retention_s: float = 345_600.0,
        dead_letters: tuple[str, int] | None = None,
    ) -> QueueName:
        """Make a queue; one whose name ends in `.fifo` keeps its groups in order.

        Args:
            name: of the queue.
            lease_s: for receivers that name none.
            delay_s: of messages that have none of their own.
            retention_s: how long messages are kept.
            dead_letters: name of the dead-letter queue, which is made too, and after how many receives.
        """
        queue = queue_name(name)
        specs: list[QueueSpec] = []
        dead: DeadLetters | None = None
        if dead_letters is not None:
            dead = DeadLetters(queue=queue_name(dead_letters[0]), max_receive_count=dead_letters[1])
            specs.append(QueueSpec(name=dead.queue))
        specs.append(
            QueueSpec(name=queue, lease_s=lease_s, delay_s=delay_s, retention_s=retention_s, dead_letters=dead)
        )
        # A new queue may take a moment to be there; scenarios are about what comes after.
        with self._world.calm():
            await self._world.backend.provision(Plan(queues=tuple(specs)))
        return queue

    def node(self, name: str, program: Program | Bus, *, count: int = 1, mortal: bool = True) -> Sequence[Node]:
        """Start a program on nodes of its own; the adversary may stop and kill them, and they are started again.

        Args:
            name: of the node, or, with `count`, of `name[0]`, `name[1]`, ...
            program: a bus, whose handlers are run; or a function of an `Incarnation`, whose `backend` is its way to the
                broker: async, or one that blocks, on boto3 (`boto3_client`) and `time.sleep`. When it returns, the node
                ends; when it raises, it is started again.
            count: how many nodes run it; 1 or more.
            mortal: the adversary may stop and kill it.

        Raises:
            InvalidArgumentError: the count is less.
        """
        if count < 1:
            raise InvalidArgumentError("count", count, "1 or more")
        names = [f"{name}[{index}]" for index in range(count)] if count > 1 else [name]
        if isinstance(program, Bus):
            program = partial(_serve, program)
        nodes = [Node(self._world, one, program, mortal=mortal) for one in names]
        self._world.nodes += nodes
        for node in nodes:
            self._world.tasks.start_soon(node.run, name=node.name)
        return nodes

    @property
    def backend(self) -> Backend:
        """The way to the broker of whoever asks: a node, or the scenario itself, which is the node `test`."""
        return self._incarnation().backend

    def boto3_client(self) -> Any:
        """A boto3 client of SQS for this run, the same for all who ask: each node's calls go that node's own way.

        They block, so on a node they are for code that may: see `docs/simulation.md`.

        Raises:
            ImportError: boto3 is not installed.
        """
        from busframe.simulation.boto import shared_client

        return shared_client()

    def attach(self, target: Any) -> None:
        """Lead the SQS calls of a client, resource or session of boto3 into the run that makes them.

        Outside of simulations they go where they always went.

        Raises:
            TypeError: it is none of these.
        """
        from busframe.simulation.boto import attach

        attach(target)

    def store(self, name: str, *, effects: bool = False) -> Store:
        """A small transactional database, empty at first; all nodes share it, and it outlives them.

        Args:
            name: the same name is the same database.
            effects: whatever is put under a key is an effect of that key; see `effect`.
        """
        if name not in self._stores:
            self._stores[name] = Store(self._world, name, self._self, effects=effects)
        return self._stores[name]

    @asynccontextmanager
    async def connect(self, bus: Bus) -> AsyncGenerator[Live, None]:
        """Connect a bus to the broker: the same as `bus.connect(sim.url)`."""
        async with bus.connect(self.url) as live:
            yield live

    # --- what happens -----------------------------------------------------------------------------------------------

    def accepted(self, key: Hashable) -> None:
        """Say that a producer was told that `key` is accepted: from now on it must not be lost."""
        self._note("accepted", key)

    def effect(self, key: Hashable, text: str = "") -> None:
        """Say that the work of `key` has had its effect on the world: money moved, a mail sent.

        On a node that was killed nothing happens: its power is cut.

        Args:
            key: what was to be done, as `accepted` was told of it.
            text: for the timeline, beside the key.
        """
        self._note("effect", key, text)

    def note(self, text: str) -> None:
        """Write a line into the timeline."""
        self._note("note", None, text)

    def state(self, name: str, value: object) -> None:
        """Tell what something has come to at the end. It should be what it is in a calm world (`convergence`).

        Args:
            name: of that thing.
            value: what is compared, by `==`.
        """
        self._states[name] = value

    def sometimes(self, name: str, condition: object) -> None:
        """Say what should be true in some run at least: without it the simulation may be trying nothing.

        Args:
            name: of it, in the report.
            condition: whether it is true in this run; once is enough.
        """
        self._sometimes[name] = self._sometimes.get(name, False) or bool(condition)

    def buggify(self, label: str) -> bool:
        """Whether the application should now do what it may do but seldom does: fail over, flush early, retry."""
        return self._world.choose("app", (label, self._world.nth("app", label))) is not None

    def check(self, *checks: Check) -> None:
        """Ask for more than the default checks."""
        self._checks += checks

    def read_keys(self, key_in_body: Callable[[str], Hashable]) -> None:
        """Say how to read a key from a message's body, so that it is known which keys are in dead-letter queues.

        Reports show the messages from which the key is read that something is wrong with.

        Without it, what a body names is taken to be a key: the body itself, or, where that is a JSON object, each value
        in it.
        """
        self.reads_keys = lambda body: (key_in_body(body),)

    def expect_dead_letters(self, *keys: Hashable) -> None:
        """Say that messages may end in dead-letter queues in a calm world, too: those with these keys, or any.

        Otherwise that is a failure, `no_dead_letters`: most often of a handler that never works.
        """
        self._dead_expected = (self._dead_expected or set()) | set(keys) if keys else set()

    async def quiesce(
        self,
        *,
        hostile_s: float = HOSTILE_S,
        within_s: float = QUIET_S,
        until: Callable[[], object] | None = None,
    ) -> None:
        """Let the world come to rest: the end of most scenarios.

        First everything goes on as it is for `hostile_s` seconds, so that the adversary has time to act on what was
        sent. Then the world is calm, all nodes are up, and all queues but dead-letter queues should become empty, no
        call of a node be under way, and programs be at their end that come to one in a calm world. A dead-letter queue
        that a node receives from, here or in a calm world, is waited for, too, as long as that gets anywhere. After
        `within_s` more seconds that is given up, and `nothing_left` says what is left. Then all nodes are stopped; what
        they give back as they stop is not counted as left.

        Args:
            hostile_s: virtual seconds, 0 or more.
            within_s: virtual seconds, 0 or more.
            until: what must be true besides, such as that an outbox is empty: a function of nothing, async or not.
        """
        await runtime.sleep(hostile_s)
        self._world.calm_down()
        for node in self._world.nodes:
            node.revive()
        # What a server missed to delete still comes back.
        await runtime.sleep(max((self._world.back_us - self._world.now_us()) / _SECOND_US + LOOK_EVERY_S, 0))
        with anyio.move_on_after(within_s) as patience:
            while not await self._rests(until):
                await runtime.sleep(LOOK_EVERY_S)
        if patience.cancelled_caught:
            self._waiting = where_programs_wait()
        if until is not None and not await _is_true(until):
            self._unrest = f"quiesce(until={until.__qualname__}) was not true after {within_s:g} s of calm"
        left = self._left()
        for node in self._world.nodes:
            node.retire()
        for node in self._world.nodes:
            await node.ended.wait()
        # A copy of what was handled elsewhere, waiting in a node's hands until that is sure, comes back when it stops.
        self._put_back = {queue: max(count - left.get(queue, 0), 0) for queue, count in self._left().items()}

    # --- for the runner ---------------------------------------------------------------------------------------------

    @cached_property
    def boto(self) -> SimulatedBoto:
        """Where boto3's calls arrive."""
        from busframe.simulation.boto import SimulatedBoto  # most runs have none

        return SimulatedBoto(self._world, self._self)

    @property
    def world(self) -> World:
        """The run's world."""
        return self._world

    async def outcome(self) -> Outcome:
        """What the run has come to."""
        outcome = Outcome.of(self._world.record.entries)
        outcome.states = dict(self._states)
        outcome.left = {queue: max(count - self._put_back.get(queue, 0), 0) for queue, count in self._left().items()}
        outcome.unrest, outcome.waiting, outcome.finished = self._unrest, self._waiting, self._finished()
        outcome.received_from = self._world.received_from
        backend = self._world.backend
        dead: list[tuple[QueueName, Peeked]] = []
        for queue in self._world.left(self._dead_queues()):
            after: str | None = None
            while shown := await backend.peek(queue, limit=1_000, after=after):
                dead += ((queue, peeked) for peeked in shown)
                after = shown[-1].position
        outcome.dead_letters = len(dead)
        for _, peeked in dead:
            outcome.dead.update(self._keys_of(peeked.body))
        if dead:
            outcome.moved_unrefused = self._moved_unrefused()
            outcome.unexpected = self._unexpected(dead, outcome)
        return outcome

    def _unexpected(self, dead: Iterable[tuple[QueueName, Peeked]], outcome: Outcome) -> list[DeadLetter]:
        """Which dead letters the scenario does not expect."""
        expected = self._dead_expected
        if expected is not None and not expected:
            return []
        entries = self._world.record.entries
        arrived = {(one.queue, one.message): one for one in entries if one.kind in ("sent", "arrived")}
        found: list[DeadLetter] = []
        for queue, peeked in dead:
            keys = self._keys_of(peeked.body)
            if expected is None or not any(key in expected for key in keys):
                letter = read_dead_letter(peeked.attributes)
                reason = "more deliveries than its queue allows" if letter is None else letter.reason
                key = next((key for key in keys if key in outcome.accepted), None)
                found.append(DeadLetter(arrived=arrived[queue, int(peeked.position)], key=key, reason=reason))
        return found

    def _moved_unrefused(self) -> dict[Hashable, Entry]:
        """What the broker moved to a dead-letter queue although no receiver ever gave it back: by key."""
        entries = self._world.record.entries
        refused = {(entry.queue, entry.message) for entry in entries if entry.kind == "released"}
        return {
            key: entry
            for entry in entries
            if entry.kind == "moved" and (entry.queue, entry.message) not in refused
            for key in self._keys_of(self._world.bodies[entry.queue, entry.message])
        }

    @property
    def checks(self) -> Sequence[Check]:
        """What the scenario asked for."""
        return self._checks

    @property
    def sometimes_seen(self) -> dict[str, bool]:
        """By name, whether it was true."""
        return self._sometimes

    def node_violations(self) -> list[Violation]:
        """What programs raised."""
        return [
            Violation(check=f"{type(error).__name__} in a node", text=f"{node.name} raised {error!r}")
            for node in self._world.nodes
            for error in node.failures
        ]

    def _keys_of(self, body: str) -> Collection[Hashable]:
        return (self.reads_keys or keys_in_body)(body)

    async def _rests(self, until: Callable[[], object] | None) -> bool:
        """Whether nothing is left to do."""
        world = self._world
        if world.under_way or any(self._left().values()):
            return False
        if self._calm is not None and not self._finished() >= self._calm.finished:
            return False
        if until is not None and not await _is_true(until):
            return False
        received_from = world.received_from | (set[str]() if self._calm is None else self._calm.received_from)
        worked_on = [queue for queue in self._dead_queues() if queue in received_from]
        dead = world.left(worked_on)
        if dead != self._dead_seen:
            self._dead_seen, self._dead_since_us = dead, world.now_us()
        return not dead or world.now_us() - self._dead_since_us >= DEAD_STILL_S * _SECOND_US

    def _finished(self) -> Counter[str]:
        return Counter(node.name.partition("[")[0] for node in self._world.nodes if node.finished)

    def _left(self) -> dict[str, int]:
        """How many messages there are in each queue that is no dead-letter queue."""
        dead = self._dead_queues()
        queues = sorted(self._world.queues(), key=lambda queue: queue.address.name)
        return {
            queue.address.name: queue.visible + queue.in_flight + queue.delayed
            for queue in queues
            if queue.address.name not in dead
        }

    def _dead_queues(self) -> list[QueueName]:
        redrives = (queue.accepted.redrive for queue in self._world.queues())
        return sorted({QueueName(redrive.target.name) for redrive in redrives if redrive is not None})

    async def inbox(self) -> Inbox:
        """The inbox, as `open_sim_inbox` hands it out."""
        return await self._inbox.of(self._incarnation())

    def _incarnation(self) -> Incarnation:
        return acting.get(self._self)

    def _note(self, kind: str, key: Hashable, text: str = "") -> None:
        incarnation = self._incarnation()
        if not incarnation.severed:
            self._world.note(kind, incarnation.name, key=key, text=text)


@asynccontextmanager
async def entered(sim: Sim) -> AsyncGenerator[Sim, None]:
    """Let `sim://` mean this run, and let it hear what handlers raise."""
    token, ears = _current.set(sim), hears_errors.set(partial(_hear, sim.world))
    try:
        yield sim
    finally:
        hears_errors.reset(ears)
        _current.reset(token)


def _hear(world: World, handler: Handler, delivery: Delivery[object], error: Exception) -> None:
    """To a bus a handler that asks for what is not simulated is one that fails as any does."""
    name = name_of(handler.function)
    if (escape := escape_in(error)) is not None:
        world.tell_escape(name, escape)
    world.tell_error(f"{name} raised {error!r}", delivery)


@asynccontextmanager
async def open_sim(url: BackendUrl) -> AsyncGenerator[Backend, None]:
    """Open `sim://`: the connection of the node that asks to the broker of the running simulation."""
    url.require_only(())
    yield _running().backend


@asynccontextmanager
async def open_sim_inbox(url: BackendUrl) -> AsyncGenerator[Inbox, None]:
    """Open `sim://` as an inbox: that of the running simulation, which all nodes share."""
    url.require_only(())
    yield await _running().inbox()


def running_sim() -> Sim | None:
    """The run that whoever asks is part of."""
    return _current.get(None)


def _running() -> Sim:
    sim = running_sim()
    if sim is None:
        raise InvalidArgumentError("url", "sim://", "only inside a simulation: see busframe.simulation.simulate")
    return sim


async def _serve(bus: Bus, _: Incarnation) -> None:
    async with bus.connect(Sim.url) as live:
        await live.serve()


async def _is_true(condition: Callable[[], object]) -> bool:
    found = condition()
    return bool(await cast("Awaitable[object]", found) if isawaitable(found) else found)


def keys_in_body(body: str) -> Collection[Hashable]:
    """What a body names: itself, and, where it is a JSON object, each value in it that can be a key."""
    keys: list[Hashable] = [body]
    try:
        data: object = json.loads(body)
    except ValueError:
        return keys
    values: list[object] = list(cast("dict[str, object]", data).values()) if isinstance(data, dict) else [data]
    return keys + [value for value in values if isinstance(value, str | int)]
