"""Much work in one transaction, each caller with a fate of its own. Everything here runs on SQLite's thread.

What many callers ask at once is done together: a hundred single acknowledgements are one DELETE of a hundred rows,
since a statement costs more than a row. What is done first is free to choose, as none of the callers has heard of the
others; receives come last, so that they see what the others sent and released.

All is first carried out together. Work that is refused (no such queue, say) must not have changed anything by then, and
the rest goes on. If anything else goes wrong, or the COMMIT fails, the transaction is rolled back and each caller gets
one to itself: whoever caused the trouble then has it alone. This is cheaper than a savepoint for each, which copies
every page that is touched.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar

from busframe import runtime
from busframe.errors import BusframeError
from busframe_sqlite.errors import primary_code, translate
from busframe_sqlite.receipts import Receipts
from busframe_sqlite.schema import check_version
from busframe_sqlite.transaction import Memory, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from busframe.message import QueueName
    from busframe_sqlite.clock import Clock
    from busframe_sqlite.settings import Settings

A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_LOCK_PAUSE_S: Final = 0.0005
"""Between two attempts to begin while another process holds the file: shorter than the pauses between its own
transactions, so that two busy processes take turns."""


class Work(Protocol[A_contra, R_co]):
    """Something that callers ask for. Those who hand in the same object have it done together.

    Attributes:
        comes_last: it sees what all other work of the transaction has done.
    """

    comes_last: ClassVar[bool]

    def carry_out(self, transaction: Transaction, asked: Sequence[A_contra]) -> Sequence[R_co]:
        """Do what each of the callers asks, and give each its result, in their order.

        Raises:
            BusframeError: refused. If nothing was changed by then, this costs the others nothing.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Alone(Generic[R]):
    """A function of one caller: equal to nothing but itself."""

    comes_last: ClassVar[bool] = False

    function: Callable[[Transaction], R]

    def carry_out(self, transaction: Transaction, asked: Sequence[None]) -> Sequence[R]:
        """See `Work`."""
        return [self.function(transaction) for _ in asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What receivers that wait on a queue can expect.

    Attributes:
        ready: how many of them have something to take now; at least.
        due_at_us: when the next message becomes visible, as far as is known; None: no such message is known.
    """

    ready: int
    due_at_us: int | None


class Pending(Generic[A, R]):
    """What a caller asks for on its way, and then its fate.

    Attributes:
        work: done at most once in a transaction that ends in a COMMIT; may be done before in ones that do not.
        asked: this caller's part of it.
        undo: takes back a result nobody heard of.
        reads_only: it changes nothing.
        withdrawn: nobody waits for it any more; if it has not begun, it need not.
        done: `result` or `error` is set.
    """

    __slots__ = ("asked", "done", "error", "reads_only", "result", "undo", "withdrawn", "work")

    def __init__(
        self, work: Work[A, R], asked: A, undo: Callable[[Transaction, R], object] | None, *, reads_only: bool
    ) -> None:
        self.work = work
        self.asked = asked
        self.undo = undo
        self.reads_only = reads_only
        self.withdrawn = False
        self.done = False
        self.result: R | None = None
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Note that it failed."""
        self.done = True
        self.result = None
        self.error = error


class Transactor:
    """Carries out groups of work on the file."""

    def __init__(self, connection: sqlite3.Connection, settings: Settings, clock: Clock) -> None:
        (secret,) = connection.execute("SELECT secret FROM store").fetchone()
        self._connection = connection
        self._settings = settings
        self._clock = clock
        self._memory = Memory(Receipts(secret), message_id_prefix=runtime.new_id()[:16])

    def carry_out(
        self, group: Sequence[Pending[Any, Any]], watched: Mapping[QueueName, int]
    ) -> Mapping[QueueName, Look | None]:
        """Do all that is asked, so that at the end each has its fate.

        Args:
            group: what is asked.
            watched: how many receivers wait, by queue.

        Returns:
            What the receivers can expect on the watched queues that may have changed. None: look for yourselves.
        """
        wanted = [pending for pending in group if not pending.withdrawn]
        if not wanted:
            return {}
        try:
            return self._together(wanted, watched)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to one of them
            if len(wanted) == 1 or _is_locked(error):
                for pending in wanted:
                    pending.fail(self._explain(error))
                return {} if _is_locked(error) else dict.fromkeys(watched)
        for position, pending in enumerate(wanted):
            try:
                self._together([pending], {})
            except Exception as error:  # noqa: BLE001 - the same
                # Another process holds the file: nobody behind this one will fare better.
                for lost in wanted[position:] if _is_locked(error) else [pending]:
                    lost.fail(self._explain(error))
                if _is_locked(error):
                    break
        return dict.fromkeys(watched)

    def _together(
        self, group: Sequence[Pending[Any, Any]], watched: Mapping[QueueName, int]
    ) -> dict[QueueName, Look | None]:
        self._begin("BEGIN" if all(pending.reads_only for pending in group) else "BEGIN IMMEDIATE")
        try:
            changed = self._was_changed_by_others()
            transaction = Transaction(self._connection, self._memory, self._clock.now_us())
            for work, callers in _by_work(group):
                _do(transaction, work, callers)
            looks = {
                queue: _look(transaction, queue, waiting)
                for queue, waiting in watched.items()
                if changed or queue in transaction.touched
            }
            transaction.finish()
            self._connection.execute("COMMIT")
        except BaseException:
            self._memory.forget()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return looks

    def _begin(self, statement: str) -> None:
        attempts_left = self._settings.busy_timeout_s / _LOCK_PAUSE_S
        while True:
            try:
                self._connection.execute(statement)
            except sqlite3.OperationalError as error:
                attempts_left -= 1
                if attempts_left < 0 or not _is_locked(error):
                    raise
                time.sleep(_LOCK_PAUSE_S)  # noqa: TID251 - SQLite's thread waits here, not the event loop
            else:
                return

    def _was_changed_by_others(self) -> bool:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version == self._memory.data_version:
            return False
        check_version(self._connection, self._settings.path)
        self._memory.data_version = version
        self._memory.forget()
        return True

    def _explain(self, error: Exception) -> Exception:
        return translate(error, self._settings.path) if isinstance(error, sqlite3.Error) else error


def _by_work(group: Sequence[Pending[Any, Any]]) -> list[tuple[Work[Any, Any], list[Pending[Any, Any]]]]:
    """Put together who asks for the same."""
    callers: dict[Work[Any, Any], list[Pending[Any, Any]]] = {}
    for pending in group:
        same = callers.get(pending.work)
        if same is None:
            callers[pending.work] = [pending]
        else:
            same.append(pending)
    return sorted(callers.items(), key=lambda item: item[0].comes_last)


def _do(transaction: Transaction, work: Work[A, R], callers: Sequence[Pending[A, R]]) -> None:
    """Carry out work and note each caller's fate.

    Raises:
        Exception: the transaction has to be rolled back.
    """
    before = transaction.changes
    try:
        results = work.carry_out(transaction, [pending.asked for pending in callers])
    except BusframeError as error:
        if transaction.changes != before:
            raise
        if len(callers) == 1:
            callers[0].fail(error)
            return
        for pending in callers:  # each with an error of its own, which it may keep and add to
            _do(transaction, work, [pending])
    else:
        for pending, result in zip(callers, results, strict=True):
            pending.result = result
            pending.error = None
            pending.done = True


def _is_locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and primary_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _look(transaction: Transaction, name: QueueName, waiting: int) -> Look | None:
    queue = transaction.find_queue(name)
    if queue is None:
        return None  # Removed: each receiver learns it from its own next attempt.
    column, table = ("head_visible_at_us", "ordered_group") if queue.ordered else ("visible_at_us", "message")
    rows = transaction.fetch(
        f"SELECT {column} FROM {table} WHERE queue_id = ? ORDER BY {column} LIMIT ?",  # noqa: S608 - from the line above
        (queue.id, waiting + 1),
    )
    ready = sum(1 for (at_us,) in rows if at_us <= transaction.now_us)
    return Look(ready=ready, due_at_us=rows[ready][0] if ready < len(rows) else None)
