"""Group commit: what is asked for while a transaction runs is done together in the next one.

A flush to the disk costs the same for one message as for a thousand, and so does the hop to SQLite's thread. There is
one transaction at a time; nobody waits for a group to fill.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import anyio

from busframe.errors import ClosedError
from busframe_sqlite.ledger import Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from busframe.message import QueueName
    from busframe_sqlite.connection import SqliteThread
    from busframe_sqlite.ledger import Ledger, Look
    from busframe_sqlite.transaction import Transaction
    from busframe_sqlite.waiting import WaitingRoom

R = TypeVar("R")

_GROUP_MAX: Final = 512
"""Operations in one transaction: bounds how long a caller, and another process, waits for those before."""


class _Group:
    """Operations that share a transaction, and the one event their callers wait for."""

    __slots__ = ("done", "pending")

    def __init__(self) -> None:
        self.pending: list[Pending[Any]] = []
        self.done = anyio.Event()


class Committer:
    """Collects operations and has them carried out. Lives on one event loop; `serve` must be running.

    Attributes:
        thread: where they are carried out.
        transactions: how many have begun.
    """

    def __init__(self, thread: SqliteThread, ledger: Ledger, room: WaitingRoom) -> None:
        self.thread = thread
        self._ledger = ledger
        self._room = room
        self._groups: deque[_Group] = deque()
        self._wanted = anyio.Event()
        self._closing = False
        self.transactions = 0

    async def run(
        self,
        operation: Callable[[Transaction], R],
        *,
        undo: Callable[[Transaction, R], object] | None = None,
        reads_only: bool = False,
    ) -> R:
        """Have an operation carried out and committed; any number of tasks may call at once.

        Cancelled, the caller leaves at once; the operation may still be carried out. If it is, and `undo` is given,
        that is carried out after it.

        Args:
            operation: runs on SQLite's thread, perhaps more than once; only its last run is committed. If it raises
                a BusframeError it should not have changed anything, or its neighbours pay for it in time.
            undo: handed the result, takes back what nobody heard of.
            reads_only: promises that the operation changes nothing, and so need not wait for other processes.

        Raises:
            ClosedError: the backend is closed.
            BackendError: from the operation, or from SQLite by the table in `busframe_sqlite.errors`.
        """
        if self._closing:
            raise ClosedError("the SQLite file was closed: use it inside its 'async with' block")
        pending = Pending(operation, undo, reads_only=reads_only)
        group = self._add(pending)
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

    async def serve(self) -> None:
        """Carry out what is asked for, until closed and nothing is left to do."""
        with anyio.CancelScope(shield=True):  # What was accepted is finished, whoever is being cancelled.
            while self._groups or not self._closing:
                if not self._groups:
                    self._wanted = anyio.Event()
                    await self._wanted.wait()
                    continue
                await self._carry_out(self._groups.popleft())

    def close(self) -> None:
        """Accept nothing more; `serve` ends when the rest is done."""
        self._closing = True
        self._wanted.set()

    async def _carry_out(self, group: _Group) -> None:
        self.transactions += 1
        watched = self._room.watched()
        looks: Mapping[QueueName, Look | None] = {}
        try:
            looks = await self.thread.run(lambda _: self._ledger.carry_out(group.pending, watched))
        except Exception as error:  # noqa: BLE001 - unforeseen; nobody may wait for ever
            for pending in group.pending:
                pending.fail(error)
        group.done.set()
        self._room.tell(looks)
        for pending in group.pending:
            if pending.withdrawn:
                self._take_back(pending)

    def _add(self, pending: Pending[Any]) -> _Group:
        if not self._groups or len(self._groups[-1].pending) >= _GROUP_MAX:
            self._groups.append(_Group())
            self._wanted.set()
        group = self._groups[-1]
        group.pending.append(pending)
        return group

    def _take_back(self, pending: Pending[Any]) -> None:
        undo, result = pending.undo, pending.result
        if undo is not None and pending.done and pending.error is None:
            pending.undo = None  # once
            self._add(Pending(lambda transaction: undo(transaction, result), None, reads_only=False))
