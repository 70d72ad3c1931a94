"""What an operator does to the subscriptions of a running system: pause, resume, move, rename, unsubscribe."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from busframe import runtime
from busframe.backend import Plan, QueueSpec
from busframe.checks import check_flag, check_text, check_whole
from busframe.errors import InvalidArgumentError, MissingStoreError, QueueNotFoundError
from busframe.message import queue_name
from busframe.message_type import message_type
from busframe.queue_names import dead_queue
from busframe.topology import leaving
from busframe.topology.applying import apply
from busframe.topology.drift import find_drift
from busframe.topology.edits import is_of, moved, renamed, with_state
from busframe.topology.graph import look_at
from busframe.topology.leaving import take_down, until_empty, until_passed
from busframe.topology.moving import carry_over

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from busframe.backend import Backend
    from busframe.message import QueueName
    from busframe.recipients import Change, Edit, RecipientList, Subscription
    from busframe.registry import Registry
    from busframe.topology.drift import Finding
    from busframe.topology.graph import Graph
    from busframe.topology.leaving import Left


class Topology:
    """The subscriptions in a recipient list, and their queues.

    Groups are named as in the list, `bus/group`; a name without `/` is one of this bus's. All methods may be called at
    once, from any process, and again after a failure half-way.

    Args:
        registry: the program.
        backend: has the queues.
        recipients: the list; None: there is none, and all that needs one raises `MissingStoreError`.
        by: who changes things, for the history.
        before_removal: called before a queue is removed, for whoever consumes it here.
        quiet_s: for how long a queue has to be seen empty before it is; None: as long as the two stores need.
    """

    def __init__(
        self,
        registry: Registry,
        backend: Backend,
        recipients: RecipientList | None,
        *,
        by: str,
        before_removal: Callable[[QueueName], Awaitable[None]] | None = None,
        quiet_s: float | None = None,
    ) -> None:
        self._registry = registry
        self._backend = backend
        self._recipients = recipients
        self._quiet_s = leaving.quiet_s(backend, recipients) if quiet_s is None else quiet_s
        self._by = by
        self._before_removal = before_removal

    async def subscriptions(self) -> Sequence[Subscription]:
        """All rows of the list, in the order they were added."""
        return (await self._list.load()).subscriptions

    async def history(self, *, limit: int = 100) -> Sequence[Change]:
        """The last changes, the newest first."""
        check_whole("limit", limit, 1)
        return await self._list.history(limit=limit)

    async def pause(self, group: str, event: str | type | None = None) -> Sequence[Change]:
        """Let a group get no more copies until it is resumed. Events published meanwhile never reach it.

        Its queue stays, and what is on it is handled. To keep the messages for later, stop the consumers instead.

        Args:
            group: `billing`, or `shop/billing` of another bus.
            event: one event, its class or name; None: all that the group subscribed to.

        Raises:
            ConfigurationError: the list has no such group.
        """
        return await self._change(with_state(self._named(group), _topic(event), "paused", unless={"draining"}))

    async def resume(self, group: str, event: str | type | None = None) -> Sequence[Change]:
        """Let a group get copies again, whether it was paused or is being unsubscribed. Arguments as `pause`."""
        return await self._change(with_state(self._named(group), _topic(event), "active"))

    async def rename(self, group: str, new: str) -> Sequence[Change]:
        """Give a group's subscriptions to a group of another name, on the same queues.

        The program that has the group under its new name names the queue: `subscribe(..., queue="shop-billing")`; or
        `move` it to the queue the new name implies.

        Raises:
            ConfigurationError: the list has no such group.
            InvalidArgumentError: it has one of the new name already.
        """
        return await self._change(renamed(self._named(group), self._named(new, "new")))

    async def move(
        self, group: str, queue: str, event: str | type | None = None, *, carry: bool = True
    ) -> Sequence[Left]:
        """Give a group another queue, made like the one it has, and take the old one down when it is empty.

        From the start on, copies go to the new queue only. What is on the old one is carried over, unless consumers of
        the old queue get it first. Messages of one key may overtake each other while that lasts.

        Args:
            group: as `pause`.
            queue: the name of the new queue, `.fifo` included.
            event: as `pause`.
            carry: False leaves what is on the old queue to its consumers.

        Returns:
            The queues that were taken down.

        Raises:
            ConfigurationError: the list has no such group.
            InvalidArgumentError: the queue belongs to another group.
        """
        check_flag("carry", carry)
        group, topic, target = self._named(group), _topic(event), queue_name(queue)
        rows = [row for row in await self.subscriptions() if is_of(row, group, topic) and row.queue != target]
        edit = moved(group, topic, target)
        edit(await self.subscriptions())  # Refuses what is wrong before anything is made.
        for row in rows:
            await self._make_like(row.queue, target)
        await self._change(edit)
        return await self._drain(group, topic, carry_to=target if carry else None)

    async def unsubscribe(
        self,
        group: str,
        event: str | type | None = None,
        *,
        wait: bool = True,
        discard: bool = False,
        with_dead_letters: bool = False,
    ) -> Sequence[Left]:
        """Let a group get no more copies, wait until it has handled what it has, and remove its rows and its queue.

        Cancelled while it waits, the group stays as it is then, draining: call again to go on, or `resume` it.

        Args:
            group: as `pause`.
            event: as `pause`. A queue that has other subscriptions stays.
            wait: False returns when the group gets no more copies; call again, or `busframe topology apply`, to
                finish.
            discard: throw away what is on the queue instead of waiting. A queue with other subscriptions is waited
                for all the same, since their messages are among it.
            with_dead_letters: remove the dead-letter queue with what is on it. It stays otherwise, if it has anything.

        Returns:
            The queues that were removed.

        Raises:
            ConfigurationError: the list has no such group.
        """
        for parameter, value in (("wait", wait), ("discard", discard), ("with_dead_letters", with_dead_letters)):
            check_flag(parameter, value)
        group, topic = self._named(group), _topic(event)
        await self._change(with_state(group, topic, "draining"))
        if not wait:
            return ()
        return await self._drain(group, topic, discard=discard, with_dead_letters=with_dead_letters)

    async def show(self, *, depths: bool = True) -> Graph:
        """The topology as it is; see `graph.Graph`."""
        check_flag("depths", depths)
        return await look_at(self._registry, self._backend, self._recipients, depths=depths)

    async def check(self, *, prefix: str | None = None) -> list[Finding]:
        """Where program, list and queues differ; see `drift.find_drift`. Changes nothing."""
        check_text("prefix", prefix, "the beginning of names of queues", or_none=True)
        return await find_drift(self._registry, self._backend, self._recipients, prefix=prefix)

    async def apply(self, findings: Sequence[Finding], *, removals: bool = False) -> list[Finding]:
        """Do what findings say; see `applying.apply`. Returns what was left alone."""
        return await apply(
            self._registry, self._backend, self._recipients, self, findings, removals=removals, by=self._by
        )

    async def finish(self, rows: Sequence[Subscription]) -> Left | None:
        """Take down draining rows of one queue, which is empty; see `leaving.take_down`."""
        await until_empty(self._backend, rows[0].queue, for_s=self._quiet_s)
        return await self._take_down(rows)

    async def _drain(
        self,
        group: str,
        topic: str | None,
        *,
        carry_to: QueueName | None = None,
        discard: bool = False,
        with_dead_letters: bool = False,
    ) -> Sequence[Left]:
        began_s = runtime.now_s()
        listed = await self.subscriptions()
        going = [row for row in listed if is_of(row, group, topic) and row.state == "draining"]
        left: list[Left] = []
        for queue in dict.fromkeys(row.queue for row in going):
            rows = [row for row in going if row.queue == queue]
            shared = len(rows) < sum(row.queue == queue for row in listed)
            async with self._carrying(queue, None if shared else carry_to):
                if shared:
                    await until_passed(self._backend, queue, since_s=began_s, for_s=self._quiet_s)
                elif discard:
                    await self._discard(queue, began_s + self._quiet_s)
                else:
                    await until_empty(self._backend, queue, for_s=self._quiet_s)
            gone = await self._take_down(rows, with_dead_letters=with_dead_letters)
            if gone is not None:
                left.append(gone)
        return left

    async def _discard(self, queue: QueueName, until_s: float) -> None:
        """Wait until no publisher sends there any more; whatever is there then goes with the queue."""
        await runtime.sleep(max(0.0, until_s - runtime.now_s()))
        try:
            await self._backend.purge(queue)
        except QueueNotFoundError:
            return

    @asynccontextmanager
    async def _carrying(self, source: QueueName, target: QueueName | None) -> AsyncGenerator[None]:
        if target is None:
            yield
            return
        async with runtime.background_tasks() as tasks:
            tasks.start_soon(carry_over, self._backend, source, target)
            yield

    async def _take_down(self, rows: Sequence[Subscription], *, with_dead_letters: bool = False) -> Left | None:
        return await take_down(
            self._backend,
            self._list,
            rows,
            by=self._by,
            with_dead_letters=with_dead_letters,
            before_removal=self._before_removal,
        )

    async def _make_like(self, old: QueueName, new: QueueName) -> None:
        spec = await self._backend.describe(old)
        if spec is None:
            raise QueueNotFoundError(
                f"queue {old} is not there, so {new} cannot be made like it; busframe topology check"
            )
        specs: list[QueueSpec] = []
        dead = spec.dead_letters
        if dead is not None:
            letters = await self._backend.describe(dead.queue) or QueueSpec(name=dead.queue)
            dead = replace(dead, queue=dead_queue(new))
            specs.append(replace(letters, name=dead.queue))
        specs.append(replace(spec, name=new, dead_letters=dead))
        await self._backend.provision(Plan(queues=tuple(specs)))

    async def _change(self, edit: Edit) -> Sequence[Change]:
        return await self._list.change(edit, by=self._by)

    @property
    def _list(self) -> RecipientList:
        if self._recipients is None:
            raise MissingStoreError("recipients", "there is no recipient list, the one of publishers and subscribers")
        return self._recipients

    def _named(self, group: str, parameter: str = "group") -> str:
        if not group or not isinstance(group, str):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped code
            raise InvalidArgumentError(parameter, group, "the name of a group, such as 'billing' or 'shop/billing'")
        return group if "/" in group else f"{self._registry.name}/{group}"


def _topic(event: str | type | None) -> str | None:
    if isinstance(event, type):
        return message_type(event).name
    check_text("event", event, "an event's class or name", or_none=True)
    return event
