"""A backend in a directory: `directory:///path`. Each queue is a folder, each message a file.

Small rather than fast: it shows what the contract (`busframe.backend`) asks for, and passes the conformance kit. Made
for reading and for queues of some hundred messages; `sqlite://` is the durable backend for one machine.

    path/.lock                  held by whoever reads or changes anything; a file lock, so processes may share the path
    path/orders/.queue.json     how the queue is set up
    path/orders/01900000000017  a message; files in the order of their names are messages in the order sent

Everything happens in worker threads, under the lock. A function that was begun is finished there even if its caller is
cancelled, and the caller then still gets its result: so nothing is ever half done, and nothing stays hidden for nobody.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from base64 import b64decode, b64encode
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from busframe import runtime
from busframe.backend import Capabilities, DeadLetters, QueueSpec, QueueStats
from busframe.errors import (
    BackendError,
    ClosedError,
    InvalidArgumentError,
    LeaseLostError,
    MessageTooLargeError,
    QueueMismatchError,
    QueueNotFoundError,
    ReceiptInvalidError,
    StorageError,
    UnsupportedError,
)
from busframe.ledger import Ledger
from busframe.limits import check_extend, check_receive, check_send, check_settle
from busframe.message import (
    Acknowledge,
    Extension,
    Failed,
    MessageId,
    QueueName,
    Receipt,
    Received,
    Release,
    Sent,
    Settled,
    queue_name,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

    from busframe.backend import Plan
    from busframe.config import BackendUrl
    from busframe.message import Outgoing, SendOutcome, Settlement, SettleOutcome

R = TypeVar("R")

# What is declared here the kit tries to break. No order, so no deduplication either; the bus refuses `ordered=True`
# on this backend when it connects.
CAPABILITIES: Final = Capabilities(
    ordered=False,
    fair_groups=False,
    deduplication_window_s=0,
    delay_s_max=14 * 86_400,
    lease_s_max=43_200,
    retention_s_max=14 * 86_400,
    wait_s_max=20,
    message_bytes_max=1_048_576,
    batch_bytes_max=1_048_576,
    batch_entries_max=10,
    receive_entries_max=10,
    dead_letters=True,
    topics=False,
    durable=True,
    shared=True,
    exact_stats=True,
)

LOOK_EVERY_S: Final = 0.05
"""How often a waiting receive looks: files do not tell when they come."""

_SETUP: Final = ".queue.json"


@dataclass(slots=True, kw_only=True)
class StoredMessage:
    """What stands in a message's file. Times are seconds since 1970.

    Attributes:
        visible_at_s: before this it is delayed or in flight.
    """

    body: str
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    binary_attributes: dict[str, str] = field(default_factory=dict[str, str])
    group: str | None = None
    sent_at_s: float
    visible_at_s: float
    received_at_s: float = 0.0
    receive_count: int = 0
    receives_before: int = 0
    message_id: str = ""
    source: str | None = None


class DirectoryBackend:
    """Implements `busframe.backend.Backend`. Make one with `open_directory`.

    Args:
        root: where the queues are.
        now_s: the clock; tests hand in one that they can move.
    """

    def __init__(self, root: Path, now_s: Callable[[], float]) -> None:
        self.ledger: Final = Ledger()
        self._root = root
        self._now_s = now_s
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return CAPABILITIES

    def close(self) -> None:
        """Refuse every later call."""
        self._closed = True

    # --- queues -----------------------------------------------------------------------------------------------------

    async def provision(self, plan: Plan) -> None:
        """See `Backend.provision`."""
        if plan.topics:
            raise UnsupportedError("directory:// has no topics of its own: publish by a recipient list")
        for spec in plan.queues:
            queue_name(spec.name)
            if plan.mode != "assume":
                await self._locked(partial(self._set_up, spec, check=plan.mode == "check"))

    async def describe(self, queue: QueueName) -> QueueSpec | None:
        """See `Backend.describe`."""
        return await self._locked(lambda: self._setup(queue))

    async def list_queues(self, prefix: str = "") -> Sequence[QueueName]:
        """See `Backend.list_queues`."""
        return await self._locked(
            lambda: sorted(QueueName(path.parent.name) for path in self._root.glob(f"{prefix}*/{_SETUP}"))
        )

    async def stats(self, queue: QueueName) -> QueueStats:
        """See `Backend.stats`."""
        return await self._locked(lambda: self._count(queue))

    async def purge(self, queue: QueueName) -> None:
        """See `Backend.purge`."""

        def purge() -> None:
            for path in self._files(queue):
                path.unlink()

        await self._locked(purge)

    async def remove(self, queue: QueueName) -> None:
        """See `Backend.remove`."""

        def remove() -> None:
            if self._setup(queue) is not None:
                # The set-up first: a queue without it is not there, whatever else a crash leaves.
                (self._root / queue / _SETUP).unlink()
                for path in (self._root / queue).iterdir():
                    path.unlink()
                (self._root / queue).rmdir()

        await self._locked(remove)

    # --- messages ---------------------------------------------------------------------------------------------------

    async def send(self, queue: QueueName, batch: Sequence[Outgoing]) -> Sequence[SendOutcome]:
        """See `Backend.send`."""
        check_send(CAPABILITIES, queue, batch)
        self.ledger.note("send")
        return await self._locked(lambda: [self._append(queue, message) for message in batch])

    async def receive(self, queue: QueueName, *, limit: int, wait_s: float, lease_s: float) -> Sequence[Received]:
        """See `Backend.receive`."""
        check_receive(CAPABILITIES, limit=limit, wait_s=wait_s, lease_s=lease_s)
        self.ledger.note("receive")
        until_s = runtime.now_s() + wait_s
        while True:
            batch = await self._locked(lambda: self._take(queue, limit, lease_s))
            if batch or runtime.now_s() >= until_s:
                return batch
            await runtime.sleep(min(LOOK_EVERY_S, until_s - runtime.now_s()))

    async def settle(self, queue: QueueName, batch: Sequence[Settlement]) -> Sequence[SettleOutcome]:
        """See `Backend.settle`."""
        check_settle(CAPABILITIES, batch)
        self.ledger.note("settle")
        return await self._locked(lambda: [self._settle(queue, entry) for entry in batch])

    async def extend(self, queue: QueueName, batch: Sequence[Extension]) -> Sequence[SettleOutcome]:
        """See `Backend.extend`."""
        check_extend(CAPABILITIES, batch)
        self.ledger.note("extend")
        return await self._locked(lambda: [self._settle(queue, entry) for entry in batch])

    # --- under the lock, in a thread --------------------------------------------------------------------------------

    async def _locked(self, work: Callable[[], R]) -> R:
        if self._closed:
            raise ClosedError("the directory:// backend is closed")

        def run() -> R:
            with (self._root / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                return work()

        try:
            return await runtime.run_blocking(run)
        except OSError as error:
            # Part of a batch may have been written before the disk failed.
            raise StorageError(f"{self._root}: {error}", effect="unknown") from error

    def _set_up(self, spec: QueueSpec, *, check: bool) -> None:
        found = self._setup(spec.name)
        if found == spec:
            return
        if check:
            if found is None:
                raise QueueNotFoundError(f"queue {spec.name} is not there")
            raise QueueMismatchError(f"queue {spec.name} is {found}, planned is {spec}")
        (self._root / spec.name).mkdir(exist_ok=True)
        _write(self._root / spec.name / _SETUP, {**asdict(spec), "labels": dict(spec.labels)})

    def _setup(self, queue: QueueName) -> QueueSpec | None:
        path = self._root / queue / _SETUP
        if not path.exists():
            return None
        told = json.loads(path.read_text())
        dead = told.pop("dead_letters")
        return QueueSpec(**told, dead_letters=dead and DeadLetters(**dead))

    def _require(self, queue: QueueName) -> QueueSpec:
        spec = self._setup(queue)
        if spec is None:
            raise QueueNotFoundError(f"queue {queue} is not there; provision it first")
        return spec

    def _files(self, queue: QueueName) -> list[Path]:
        self._require(queue)
        return sorted(path for path in (self._root / queue).iterdir() if not path.name.startswith("."))

    def _messages(self, queue: QueueName) -> Iterator[tuple[Path, StoredMessage]]:
        """The messages of a queue that are within their retention; those beyond it are removed on the way."""
        retention_s = self._require(queue).retention_s
        for path in self._files(queue):
            message = StoredMessage(**json.loads(path.read_text()))
            if message.sent_at_s + retention_s <= self._now_s():
                path.unlink()
            else:
                yield path, message

    def _append(self, queue: QueueName, message: Outgoing) -> SendOutcome:
        spec = self._require(queue)
        if message.size_bytes > CAPABILITIES.message_bytes_max:
            largest = CAPABILITIES.message_bytes_max
            return Failed(error=MessageTooLargeError(f"message of {message.size_bytes} bytes; {largest} fit"))
        now_s = self._now_s()
        stored = StoredMessage(
            body=message.body,
            attributes={name: value for name, value in message.attributes.items() if isinstance(value, str)},
            binary_attributes={
                name: b64encode(value).decode()
                for name, value in message.attributes.items()
                if isinstance(value, bytes)
            },
            group=message.group,
            sent_at_s=now_s,
            visible_at_s=now_s + (message.delay_s or spec.delay_s),
            message_id=runtime.new_id(),
        )
        _write(self._next_file(queue), asdict(stored))
        return Sent(message_id=MessageId(stored.message_id))

    def _next_file(self, queue: QueueName) -> Path:
        """A name greater than all before it, on any clock that does not go back: nanoseconds since 1970."""
        number = time.time_ns()  # noqa: TID251 - not a time, a name
        while (path := self._root / queue / f"{number:020}").exists():
            number += 1
        return path

    def _take(self, queue: QueueName, limit: int, lease_s: float) -> list[Received]:
        spec = self._require(queue)
        now_s = self._now_s()
        batch: list[Received] = []
        for path, message in self._messages(queue):
            if len(batch) == limit:
                break
            if message.visible_at_s > now_s:
                continue
            dead = spec.dead_letters
            if dead and message.receive_count - message.receives_before >= dead.max_receive_count:
                self._bury(path, message, queue, dead.queue)
                continue
            message.receive_count += 1
            message.received_at_s = now_s
            message.visible_at_s = now_s + lease_s
            _write(path, asdict(message))
            batch.append(_received(path, message))
        return batch

    def _bury(self, path: Path, message: StoredMessage, source: QueueName, dead: QueueName) -> None:
        buried = replace(message, source=source, receives_before=message.receive_count)
        # Written there before it is removed here: a crash in between leaves two, never none.
        _write(self._next_file(dead), asdict(buried))
        path.unlink()

    def _settle(self, queue: QueueName, entry: Settlement | Extension) -> SettleOutcome:
        self._require(queue)
        name, _, count = entry.receipt.partition("-")
        if not (name.isdecimal() and count.isdecimal()):
            return Failed(error=ReceiptInvalidError(f"{entry.receipt!r} is no receipt of this backend"))
        path = self._root / queue / name
        if not path.exists():
            return Settled() if isinstance(entry, Acknowledge) else _lost(entry.receipt)
        message = StoredMessage(**json.loads(path.read_text()))
        if message.receive_count != int(count):
            return _lost(entry.receipt)
        if isinstance(entry, Acknowledge):
            path.unlink()
            return Settled()
        return self._hide(path, message, entry)

    def _hide(self, path: Path, message: StoredMessage, entry: Release | Extension) -> SettleOutcome:
        now_s = self._now_s()
        hidden_s = entry.delay_s if isinstance(entry, Release) else entry.lease_s
        longest_s = message.received_at_s + CAPABILITIES.lease_s_max - now_s
        if message.visible_at_s <= now_s or hidden_s > longest_s:
            return _lost(entry.receipt)
        message.visible_at_s = now_s + hidden_s
        _write(path, asdict(message))
        return Settled()

    def _count(self, queue: QueueName) -> QueueStats:
        now_s = self._now_s()
        visible = in_flight = delayed = 0
        oldest_s: float | None = None
        for _, message in self._messages(queue):
            oldest_s = min(oldest_s or message.sent_at_s, message.sent_at_s)
            if message.visible_at_s <= now_s:
                visible += 1
            elif message.receive_count:
                in_flight += 1
            else:
                delayed += 1
        age_s = None if oldest_s is None else now_s - oldest_s
        return QueueStats(visible=visible, in_flight=in_flight, delayed=delayed, oldest_age_s=age_s)


@asynccontextmanager
async def open_directory(url: BackendUrl) -> AsyncGenerator[DirectoryBackend, None]:
    """Open `directory:///path`; the entry point. See `busframe.backend.BackendFactory`."""
    url.require_only(())
    if not url.place:
        raise InvalidArgumentError("url", "directory://", "directory:///path, where the queues are to be")
    async with open_path(Path(url.place), time.time) as backend:  # noqa: TID251 - a backend owns its clock
        yield backend


@asynccontextmanager
async def open_path(root: Path, now_s: Callable[[], float]) -> AsyncGenerator[DirectoryBackend, None]:
    """Open a directory, making it if need be, with a clock."""
    try:
        await runtime.run_blocking(lambda: root.mkdir(parents=True, exist_ok=True))
    except OSError as error:
        raise BackendError(f"{root} cannot be used: {error}") from error
    backend = DirectoryBackend(root, now_s)
    try:
        yield backend
    finally:
        backend.close()


def _lost(receipt: Receipt) -> Failed:
    return Failed(error=LeaseLostError(f"the lease of {receipt} is over"))


def _received(path: Path, message: StoredMessage) -> Received:
    binary = {name: b64decode(value) for name, value in message.binary_attributes.items()}
    return Received(
        message_id=MessageId(message.message_id),
        receipt=Receipt(f"{path.name}-{message.receive_count}"),
        body=message.body,
        attributes={**message.attributes, **binary},
        receive_count=message.receive_count,
        sent_at_s=message.sent_at_s,
        group=message.group,
        dead_letter_source=QueueName(message.source) if message.source else None,
    )


def _write(path: Path, content: Any) -> None:
    """Write a file so that after a crash it is there whole, old or new."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
