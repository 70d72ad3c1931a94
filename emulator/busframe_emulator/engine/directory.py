"""Which queues there are: making, changing and removing them, and finding them by name or by dead-letter queue.

Names are kept sorted, so that a page of them costs no more with many queues than with few.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from busframe_emulator.engine.errors import SqsError, invalid_value, no_such_queue
from busframe_emulator.engine.events import Event
from busframe_emulator.engine.lagging import (
    CHANGE_US_MAX,
    CREATION_US_MAX,
    DELETION_US_MAX,
    RETENTION_CHANGE_US_MAX,
    Later,
    LaterChange,
)
from busframe_emulator.engine.queue import Queue
from busframe_emulator.engine.requests import QueueNames
from busframe_emulator.engine.sending import delay_again
from busframe_emulator.engine.settings import WIRE_NAMES, QueueSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from busframe_emulator.engine.ids import Ids
    from busframe_emulator.engine.queue import Surroundings
    from busframe_emulator.engine.requests import CreateQueue, ListQueues, ListSources, SetQueue
    from busframe_emulator.engine.settings import QueueAddress, Redrive


class Directory:
    """All queues of all accounts and regions.

    Attributes:
        queues: by address.
    """

    def __init__(self, around: Surroundings, ids: Ids, *, removed: Callable[[QueueAddress], None]) -> None:
        self.queues = around.queues
        self._removed = removed
        self._around = around
        self._ids = ids
        self._made = 0
        self._names: dict[tuple[str, str], list[str]] = {}
        self._sources: dict[QueueAddress, list[str]] = {}
        self._deleted: dict[QueueAddress, int] = {}
        self._deletions: deque[tuple[int, QueueAddress]] = deque()
        # Only with a chooser that is not calm: made and not there yet, deleted and still there, and how often of each.
        self._coming: dict[QueueAddress, Queue] = {}
        self._leaving: dict[QueueAddress, Later] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def get(self, address: QueueAddress) -> Queue:
        """Find a queue.

        Raises:
            SqsError: QueueDoesNotExist.
        """
        queue = self.queues.get(address)
        if queue is None:
            raise no_such_queue()
        return queue

    # --- changing ---------------------------------------------------------------------------------------------------

    def create(self, now_us: int, request: CreateQueue) -> None:
        """Make a queue, unless there is the same one already."""
        address = request.queue
        while self._deletions and self._deletions[0][0] <= now_us:
            self._deleted.pop(self._deletions.popleft()[1], None)
        if address in self._deleted:
            wait = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
            raise SqsError("QueueDeletedRecently", wait)
        if address in self._leaving:
            self._leave(now_us, address)
        queue = self.queues.get(address) or self._coming.get(address)
        if queue is not None:
            _require_same(queue.accepted, request)
            if request.tags and self._around.limits.recreate_compares_tags and request.tags != queue.tags:
                raise SqsError("QueueNameExists", "A queue already exists with the same name and different tags")
            return
        settings = replace(QueueSettings(), **request.settings)  # type: ignore[arg-type]  # names are checked by the caller
        settings.deduplicates_by_group = settings.deduplication_scope == "messageGroup"
        self._check_redrive(address, settings)
        self._made += 1
        ids = self._ids.for_queue(self._made)
        queue = Queue(
            self._around, address, number=self._made, ids=ids, settings=settings, tags=request.tags, now_us=now_us
        )
        lag_us = self._lag_us(address, "created", CREATION_US_MAX)
        if lag_us:
            self._coming[address] = queue
            self._around.timers.arm(now_us + lag_us, Later(lambda at_us: self._come(at_us, self._coming.pop(address))))
        else:
            self._come(now_us, queue)

    def change(self, now_us: int, request: SetQueue) -> None:
        """Change a queue's settings, and do what follows for the messages that are there."""
        address = request.queue
        queue = self.get(address)
        if queue.pending is not None:
            # So that the later of two changes is also the one that stays.
            self._change(queue, now_us, queue.pending.settings)
        settings = replace(queue.settings, **request.settings)  # type: ignore[arg-type]  # names are checked by the caller
        if "redrive" in request.settings:
            self._check_redrive(address, settings)
        key = (address.name, queue.count("change")) if self._around.ask is not None else ()
        longest_us = RETENTION_CHANGE_US_MAX if [*request.settings] == ["retention_us"] else CHANGE_US_MAX
        lag_us = self._around.lag_us("attr.lag", key, longest_us)
        if lag_us:
            queue.pending = LaterChange(settings, lambda at_us: self._change(queue, at_us, settings))
            self._around.timers.arm(now_us + lag_us, queue.pending)
        else:
            self._change(queue, now_us, settings)

    def remove(self, now_us: int, address: QueueAddress) -> None:
        """Remove a queue with its messages."""
        self.get(address)
        if address in self._leaving:
            return
        until_us = now_us + self._around.limits.recreate_after_us
        if until_us > now_us:
            self._refuse(address, until_us)
        lag_us = self._lag_us(address, "deleted", DELETION_US_MAX)
        self._leaving[address] = later = Later(lambda at_us: self._leave(at_us, address))
        if lag_us:
            self._around.timers.arm(now_us + lag_us, later)
        else:
            later.fire(now_us)

    # --- what a change comes to, now or later -----------------------------------------------------------------------

    def _come(self, at_us: int, queue: Queue) -> None:
        self._list(queue)
        if self._around.changes is not None:
            self._around.changes.note_queue(queue, self._made)
        self._tell(Event("queue_created", at_us, queue.address, about=queue.settings))

    def _change(self, queue: Queue, at_us: int, settings: QueueSettings) -> None:
        if queue.pending is not None:
            self._around.timers.disarm(queue.pending)
            queue.pending = None
        before, queue.settings = queue.settings, settings
        queue.modified_us = at_us
        # Before what follows from it is told.
        self._tell(Event("queue_changed", at_us, queue.address, about=settings))
        self._note_source(queue.address, before.redrive, settings.redrive)
        queue.ageing.fire(at_us)
        if settings.fifo and settings.delay_us != before.delay_us:
            delay_again(queue, at_us)
        if self._around.changes is not None:
            self._around.changes.note_queue(queue)

    def _leave(self, at_us: int, address: QueueAddress) -> None:
        self._around.timers.disarm(self._leaving.pop(address))
        queue = self.queues[address]
        queue.close(at_us)
        del self.queues[address]
        names = self._names[address[:2]]
        del names[bisect_left(names, address.name)]
        if not names:
            del self._names[address[:2]]
        self._note_source(address, queue.settings.redrive, None)
        if self._around.changes is not None:
            self._around.changes.note_removal(queue, self._deleted.get(address, at_us))
        self._tell(Event("queue_deleted", at_us, address))
        self._removed(address)

    def _lag_us(self, address: QueueAddress, what: str, most_us: int) -> int:
        """How much later a queue is made or deleted. Counted over all queues of the name, one after another."""
        if self._around.ask is None:
            return 0
        self._counts[address.name, what] += 1
        return self._around.lag_us("queue.lag", (address.name, what, self._counts[address.name, what]), most_us)

    def put_back(self, queues: Iterable[Queue], made: int, deleted: Iterable[tuple[QueueAddress, int]]) -> None:
        """Begin with these queues, and with these names refused until then.

        Args:
            queues: no two of a name.
            made: how many queues there ever were.
            deleted: names that are refused.

        Raises:
            ValueError: two have one name.
        """
        self._made = made
        for queue in queues:
            if queue.address in self.queues:
                raise ValueError(f"there are two queues {queue.address.arn}")
            self._list(queue)
        for address, until_us in sorted(deleted, key=lambda each: each[1]):
            # A queue of the name may have been made since.
            if address not in self.queues:
                self._refuse(address, until_us)

    def _list(self, queue: Queue) -> None:
        address = queue.address
        self.queues[address] = queue
        insort(self._names.setdefault(address[:2], []), address.name)
        self._note_source(address, None, queue.settings.redrive)

    def _refuse(self, address: QueueAddress, until_us: int) -> None:
        self._deleted[address] = until_us
        self._deletions.append((until_us, address))

    # --- finding ----------------------------------------------------------------------------------------------------

    def names(self, request: ListQueues) -> QueueNames:
        """Name the queues of an account and region."""
        names, prefix = self._names.get((request.region, request.account), []), request.prefix
        first = max(bisect_left(names, prefix), bisect_right(names, request.after))
        # After any name that begins with the prefix: no name has this character.
        end = bisect_left(names, prefix + "\U0010ffff", lo=first)
        return QueueNames(names=names[first : min(end, first + request.limit)])

    def sources(self, request: ListSources) -> QueueNames:
        """Name the queues that have this one as their dead-letter queue."""
        self.get(request.queue)
        names = self._sources.get(request.queue, [])
        first = bisect_right(names, request.after)
        return QueueNames(names=names[first : first + request.limit])

    def has_sources(self, address: QueueAddress) -> bool:
        """Whether the queue is the dead-letter queue of any."""
        return address in self._sources

    def _note_source(self, address: QueueAddress, before: Redrive | None, now: Redrive | None) -> None:
        """Keep the names of a dead-letter queue's sources. They are of its own account and region."""
        if before is not None:
            names = self._sources[before.target]
            del names[bisect_left(names, address.name)]
            if not names:
                del self._sources[before.target]
        if now is not None:
            insort(self._sources.setdefault(now.target, []), address.name)

    # --- rules ------------------------------------------------------------------------------------------------------

    def _check_redrive(self, address: QueueAddress, settings: QueueSettings) -> None:
        redrive = settings.redrive
        if redrive is None:
            return
        target = self.queues.get(redrive.target)
        if redrive.target != address:
            if target is None:
                raise invalid_value("RedrivePolicy", _redrive_text(redrive), "Dead letter target does not exist.")
            if redrive.target[:2] != address[:2]:
                reason = "Dead-letter queue must be in the same account and region as the source."
                raise invalid_value("RedrivePolicy", _redrive_text(redrive), reason)
            if target.settings.fifo != settings.fifo:
                kind = "FIFO" if settings.fifo else "standard"
                reason = f"Dead-letter queue must be same type of queue as the source: {kind}."
                raise invalid_value("RedrivePolicy", _redrive_text(redrive), reason)
        allow = target.settings.redrive_allow if target is not None else settings.redrive_allow
        if allow is not None and (
            allow.permission == "denyAll" or (allow.permission == "byQueue" and address not in allow.sources)
        ):
            reason = f"Queue {redrive.target.arn} does not allow {address.arn} as a source of dead letters."
            raise invalid_value("RedrivePolicy", _redrive_text(redrive), reason)

    def _tell(self, event: Event) -> None:
        if self._around.sink is not None:
            self._around.sink(event)


def _require_same(settings: QueueSettings, request: CreateQueue) -> None:
    """Creating again is fine with the same settings, or some of them."""
    for setting in fields(QueueSettings):
        name = setting.name
        if name in request.settings and request.settings[name] != getattr(settings, name):
            raise SqsError(
                "QueueNameExists",
                f"A queue already exists with the same name and a different value for attribute {WIRE_NAMES[name]}",
            )


def _redrive_text(redrive: Redrive) -> str:
    return f'{{"deadLetterTargetArn":"{redrive.target.arn}","maxReceiveCount":{redrive.max_receive_count}}}'
