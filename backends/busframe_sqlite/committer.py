"""Group commit: what is asked for while a transaction runs is done together in the next one.

A flush to the disk costs the same for one message as for a thousand, and so does the hop to SQLite's thread. There is
one transaction at a time; nobody waits for a group to fill.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import anyio

from busframe import runtime
from busframe.errors import ClosedError
from busframe_sqlite.transactor import Alone, Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from busframe.message import QueueName
    from busframe_sqlite.connection import SqliteThread
    from busframe_sqlite.transaction import Transaction
    from busframe_sqlite.transactor import Look, Transactor, Work
    from busframe_sqlite.waiting import WaitingRoom

A = TypeVar("A")
R = TypeVar("R")

_CALLS_MAX: Final = 512
_WEIGHT_MAX: Final = 4_096
"""What one transaction takes in: some 50 ms of work. Bounds how long a caller, and another process, waits for those
before; a call that is heavier goes alone."""


class _Group:
    """Callers that share a transaction, and the one event they wait for."""

    __slots__ = ("done", "pending", "weight")

    def __init__(self) -> None:
        self.pending: list[Pending[Any, Any]] = []
        self.done = runtime.signal()
        self.weight = 0

    def take(self, pending: Pending[Any, Any], weight: int) -> bool:
        """Take one in, if there is room for it."""
        others, weight_after = self.pending, self.weight + weight
        if others and (weight_after > _WEIGHT_MAX or len(others) >= _CALLS_MAX):
            return False
        others.append(pending)
        self.weight = weight_after
        return True


class Committer:
    """Collects work and has it carried out. Lives on one event loop; `serve` must be running.

    Attributes:
        thread: where it is carried out.
        transactions: how many have begun.
    """

    def __init__(self, thread: SqliteThread, transactor: Transactor, room: WaitingRoom) -> None:
        self.thread = thread
        self._transactor = transactor
        self._room = room
        self._groups: deque[_Group] = deque()
        self._wanted = anyio.Event()
        self._closing = False
        self.transactions = 0

    async def run(self, function: Callable[[Transaction], R], *, reads_only: bool = False) -> R:
        """Have a function run in a transaction, and return its result once that is committed.

        Args:
            function: may be run more than once; only its last run is committed. If it raises a BusframeError it should
                not have changed anything, or its neighbours pay for it in time.
            reads_only: promises that it changes nothing, and so need not wait for other processes.

        Raises: see `share`.
        """
        return await self._fate(Pending(Alone(function), None, None, reads_only=reads_only), weight=1)

    def share(
        self, work: Work[A, R], asked: A, *, weight: int = 1, undo: Callable[[Transaction, R], object] | None = None
    ) -> Coroutine[Any, Any, R]:
        """Take part in work that others may be asking for too, and return one's own result once it is committed.

        To be awaited at once. Cancelled, it was done or it was not; what was done and has an `undo` is taken back.

        Args:
            work: what is done.
            asked: this caller's part of it.
            weight: how many messages that is, by and large.
            undo: handed the result, takes back what nobody heard of.

        Raises:
            ClosedError: the backend is closed.
            BackendError: from the work, or from SQLite by the table in `busframe_sqlite.errors`.
        """
        return self._fate(Pending(work, asked, undo, reads_only=False), weight)

    async def serve(self) -> None:
        """Carry out what is asked for, until closed and nothing is left to do."""
        turn = runtime.turns()
        with anyio.CancelScope(shield=True):  # What was accepted is finished, whoever is being cancelled.
            while self._groups or not self._closing:
                if not self._groups:
                    self._wanted = anyio.Event()
                    await self._wanted.wait()
                    continue
                await self._carry_out(self._groups.popleft())
                # Those who were told just now mostly ask for something again. Let them, and it is in the next
                # transaction with what waits for that already. Twice, since on trio any order goes within a turn.
                await turn()
                await turn()

    def close(self) -> None:
        """Accept nothing more; `serve` ends when the rest is done."""
        self._closing = True
        self._wanted.set()

    async def _fate(self, pending: Pending[A, R], weight: int) -> R:
        if self._closing:
            raise ClosedError("the SQLite file was closed: use it inside its 'async with' block")
        group = self._add(pending, weight)
        try:
            await group.done.wait()
        except BaseException:  # only cancellation can interrupt the wait
            pending.withdrawn = True
            if group.done.is_set():
                self._take_back(pending)
            raise
        if pending.error is not None:
            raise pending.error
        return cast("R", pending.result)

    async def _carry_out(self, group: _Group) -> None:
        self.transactions += 1
        watched = self._room.watched()
        looks: Mapping[QueueName, Look | None] = {}
        try:
            looks = await self.thread.run(lambda _: self._transactor.carry_out(group.pending, watched))
        except Exception as error:  # noqa: BLE001 - unforeseen; nobody may wait for ever
            for pending in group.pending:
                pending.fail(error)
        group.done.set()
        self._room.tell(looks)
        for pending in group.pending:
            if pending.withdrawn:
                self._take_back(pending)

    def _add(self, pending: Pending[Any, Any], weight: int) -> _Group:
        groups = self._groups
        if groups and (last := groups[-1]).take(pending, weight):
            return last
        group = _Group()
        group.take(pending, weight)
        groups.append(group)
        self._wanted.set()
        return group

    def _take_back(self, pending: Pending[Any, Any]) -> None:
        undo, result = pending.undo, pending.result
        if undo is not None and pending.done and pending.error is None:
            pending.undo = None  # once
            self._add(Pending(Alone(lambda transaction: undo(transaction, result)), None, None, reads_only=False), 1)
