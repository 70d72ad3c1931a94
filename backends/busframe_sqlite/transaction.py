"""What an operation may use while its transaction is open. Everything here runs on SQLite's thread.

Two habits keep the number of SQLite calls low. Each call lets go of Python's global lock, and a program whose event
loop is busy gives it back only after 5 ms; so what matters is not how much a statement does but how many there are.
New messages are collected and written with few long INSERTs, before the first statement that could see them. And the
settings of queues are remembered from one transaction to the next, until another connection changes the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from busframe.errors import QueueNotFoundError
from busframe.message import QueueName, is_ordered
from busframe_sqlite.clock import to_us

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from busframe_sqlite.receipts import Receipts

Parameters = Sequence[object] | Mapping[str, object]
Rows = list[tuple[Any, ...]]
"""What SQLite gives back. The columns' types are the schema's, which is STRICT."""

_INSERT_ROWS: Final = (64, 8, 1)
_COLUMNS: Final = 15


def _insert(rows: int) -> str:
    row = f"({', '.join('?' * _COLUMNS)})"
    return f"INSERT INTO message VALUES {', '.join([row] * rows)}"  # noqa: S608 - only question marks


_INSERTS: Final = tuple((rows, _insert(rows)) for rows in _INSERT_ROWS)

DEDUPLICATION_WINDOW_US: Final = to_us(300)
LEASE_US_MAX: Final = to_us(43_200)


class NewMessage(NamedTuple):
    """A row of the table `message`, in the order of its columns."""

    number: int
    queue_id: int
    visible_at_us: int
    leased: int
    received_at_us: int
    receive_count: int
    sent_at_us: int
    kept_from_us: int
    sequence: int | None
    message_group: str | None
    message_id: str
    deduplication_id: str | None
    dead_letter_source: str | None
    attributes: bytes | None
    body: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A row of the table `queue`, without the labels.

    Attributes:
        ordered: whether it keeps the order of its groups; its name says so.
    """

    id: int
    name: QueueName
    lease_us: int
    delay_us: int
    retention_us: int
    dead_letter_queue: QueueName | None
    max_receive_count: int | None
    ordered: bool


@dataclass(slots=True)
class Memory:
    """What one connection remembers between transactions. Void as soon as another one has changed the file.

    Attributes:
        data_version: tells by its change that another connection has changed the file.
        next_number: None: to be read.
        unexpired_until_us: by queue, the time before which nothing in it can be beyond its retention.
    """

    receipts: Receipts
    message_id_prefix: str
    data_version: int = 0
    queues: dict[str, Queue | None] = field(default_factory=dict[str, "Queue | None"])
    next_number: int | None = None
    unexpired_until_us: dict[int, int] = field(default_factory=dict[int, int])

    def forget(self) -> None:
        """Read everything again when it is next needed."""
        self.queues.clear()
        self.next_number = None
        self.unexpired_until_us.clear()


class Transaction:
    """An open transaction.

    Attributes:
        now_us: the one time at which all of it happens.
        touched: names of queues whose messages may have changed.
        unexpired_until_us: see `Memory`.
    """

    def __init__(self, connection: sqlite3.Connection, memory: Memory, now_us: int) -> None:
        self._connection = connection
        self._memory = memory
        self._unwritten: list[NewMessage] = []
        self._first_number = memory.next_number
        self.now_us = now_us
        self.receipts = memory.receipts
        self.touched: set[str] = set()
        self._arrived: dict[int, int] = {}
        self.unexpired_until_us = memory.unexpired_until_us

    @property
    def changes(self) -> int:
        """How much was changed so far: equal numbers mean that nothing was changed in between."""
        return self._connection.total_changes + len(self._unwritten)

    def fetch(self, statement: str, parameters: Parameters = ()) -> Rows:
        """Run a statement and take all its rows."""
        if self._unwritten:
            self.write_out()
        return self._connection.execute(statement, parameters).fetchall()

    def execute(self, statement: str, parameters: Parameters = ()) -> int:
        """Run a statement and tell how many rows it changed."""
        if self._unwritten:
            self.write_out()
        return self._connection.execute(statement, parameters).rowcount

    def execute_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement once for each row of parameters."""
        if self._unwritten:
            self.write_out()
        self._connection.executemany(statement, rows)

    def insert(self, message: NewMessage) -> None:
        """Add a message. It is written at the latest before the next statement."""
        self._unwritten.append(message)

    def write_out(self) -> None:
        """Write the messages that were added."""
        rows, self._unwritten = self._unwritten, []
        start = 0
        for count, statement in _INSERTS:
            while len(rows) - start >= count:
                self._connection.execute(statement, tuple(chain.from_iterable(rows[start : start + count])))
                start += count

    def finish(self) -> None:
        """Write what is still to be written; after this comes only the COMMIT."""
        if self._unwritten:
            self.write_out()
        if self._memory.next_number != self._first_number:
            self._connection.execute("UPDATE store SET next_number = ?", (self._memory.next_number,))
        for queue_id, count in self._arrived.items():
            self._connection.execute("UPDATE queue SET arrived = arrived + ? WHERE id = ?", (count, queue_id))

    def new_number(self) -> int:
        """A number greater than all before it, in this file, for ever."""
        number = self._memory.next_number
        if number is None:
            number = int(self._connection.execute("SELECT next_number FROM store").fetchone()[0])
        self._memory.next_number = number + 1
        return number

    def note_arrived(self, queue: Queue, count: int) -> None:
        """Count messages that have come onto a queue."""
        self._arrived[queue.id] = self._arrived.get(queue.id, 0) + count

    def new_message_id(self, number: int) -> str:
        """An identifier that no other message has, not even in a copy of this file: the prefix is new at each start."""
        return f"{self._memory.message_id_prefix}{number:016x}"

    def queue(self, name: QueueName) -> Queue:
        """Find a queue, and count it as touched.

        Raises:
            QueueNotFoundError: it is not there.
        """
        queue = self.find_queue(name)
        if queue is None:
            raise QueueNotFoundError(
                f"the queue {name!r} is not there; `busframe topology apply` makes those of a program"
            )
        self.touched.add(name)
        return queue

    def find_queue(self, name: QueueName) -> Queue | None:
        """Find a queue, or None."""
        queues = self._memory.queues
        if name in queues:
            return queues[name]
        row = self._connection.execute(
            "SELECT id, name, lease_us, delay_us, retention_us, dead_letter_queue, max_receive_count"
            "  FROM queue WHERE name = ?",
            (name,),
        ).fetchone()
        if row is None:
            queues[name] = None
            return None
        settings: tuple[int, QueueName, int, int, int, QueueName | None, int | None] = row
        queue = queues[name] = Queue(*settings, is_ordered(name))
        return queue

    def queues_changed(self) -> None:
        """Say that the table `queue` was changed."""
        self._memory.queues.clear()
        self._memory.unexpired_until_us.clear()
