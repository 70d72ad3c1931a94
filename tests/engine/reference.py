"""A second SQS, written from the rules and not from the engine: lists, linear scans, nothing clever.

A message is a row with the time from which it can be received; whether it is visible, in flight or delayed follows
from that time and the clock. Every question is answered by looking at every row. It is as slow as it is easy to check,
and the engine must agree with it. All of it is in this one file, however long: there is nothing else to look up.

Where the rules leave an order open, this says which one calm is: whatever has been visible longest comes first, and of
two that became visible at one instant the one that was hidden (or sent) first. Where a chooser decides, it is asked the
same questions as the engine, and this says what may come of each answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING

from busframe_emulator.delivery import CALM
from busframe_emulator.engine.settings import QueueSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe_emulator.delivery import Chooser
    from busframe_emulator.engine import Limits, QueueAddress


class RefusedError(Exception):
    """The request is refused; `shape` names the error."""

    def __init__(self, shape: str) -> None:
        super().__init__(shape)
        self.shape = shape


@dataclass(frozen=True)
class Receipt:
    queue: int
    place: int
    delivery: int


@dataclass(frozen=True)
class Name:
    """A message identifier: which message of which queue."""

    queue: int
    place: int


@dataclass(frozen=True)
class Handed:
    """One message handed out."""

    name: Name
    receipt: Receipt
    body: str
    count: int
    sent_us: int
    first_us: int
    group: str | None
    deduplication: str | Name | None
    sequence: Name | None
    source: QueueAddress | None


@dataclass(frozen=True)
class Accepted:
    """What a send is answered with."""

    name: Name
    sequence: Name | None
    duplicate: bool


@dataclass(frozen=True)
class Sending:
    body: str
    size_bytes: int
    group: str | None
    deduplication_id: str | None
    delay_us: int | None


@dataclass(frozen=True)
class Settling:
    """Hide the message for so long, or delete it (None)."""

    receipt: Receipt
    visibility_us: int | None


@dataclass
class Row:
    """A message that is in a queue."""

    place: int
    name: Name
    body: str
    group: str | None
    deduplication: str | Name | None
    sent_us: int
    enqueued_us: int
    visible_us: int
    """It can be received from here on."""
    hidden: int
    """Counts up over all hidings and sendings."""
    count: int = 0
    count_here: int = 0
    first_us: int = 0
    received_us: int = 0
    source: QueueAddress | None = None
    lag_us: int = 0
    copy: tuple[int, int] | None = None
    """A copy that can be received while it is in flight: since when, and which of all hidings it is."""
    buried: bool = False
    """Deleted, and to come back when it is visible."""


@dataclass
class Attempt:
    """What was handed out under a ReceiveRequestAttemptId: each message, and which of all hidings it was."""

    since_us: int
    name: str
    hidings: list[tuple[Row, int]]


@dataclass
class MoveTask:
    """A message move task."""

    number: int
    began_us: int
    target: QueueAddress | None
    per_s: int
    last: int
    """The place of the last message it may move."""
    to_move: int
    looked_at: int = 0
    """The place of the last message it has looked at."""
    moved: int = 0
    status: str = "RUNNING"
    failure: str | None = None

    def next_us(self) -> int | None:
        """When it moves the next message."""
        return self.began_us + (self.moved + 1) * 1_000_000 // self.per_s if self.status == "RUNNING" else None


@dataclass
class Store:
    """A queue."""

    number: int
    address: QueueAddress
    settings: QueueSettings
    rows: list[Row] = field(default_factory=list[Row])
    sent: int = 0
    firsts: list[tuple[int, str, str, Accepted]] = field(default_factory=list[tuple[int, str, str, Accepted]])
    """Since when, the scope, the deduplication id, the answer."""
    served: dict[str | None, int] = field(default_factory=dict[str | None, int])
    """When each group was last served; a group without messages is forgotten."""
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    moves: list[MoveTask] = field(default_factory=list[MoveTask])
    """Newest first."""
    purged_us: int | None = None
    receives: int = 0
    fair: tuple[int, int] | None = None
    """Since when it serves tenants fairly, and how many hidings there were then."""
    last_sent_us: dict[str, int] = field(default_factory=dict[str, int])
    """By tenant."""
    tags: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Wait:
    number: int
    store: Store
    limit: int
    visibility_us: int
    until_us: int
    attempt: str | None
    nth: int


@dataclass(frozen=True)
class Entry:
    """A message in line, or a copy of it."""

    row: Row
    since_us: int
    hidden: int
    is_copy: bool


class Reference:
    """All queues."""

    def __init__(self, limits: Limits, chooser: Chooser = CALM) -> None:
        self.now_us = 0
        self.chooser = chooser
        self.answers: list[tuple[int, QueueAddress, list[Handed]]] = []
        self.limits = limits
        self.stores: list[Store] = []
        self.waits: list[Wait] = []
        self.deleted_us: dict[QueueAddress, int] = {}
        self._numbers: Counter[str] = Counter()

    # --- time -------------------------------------------------------------------------------------------------------

    def advance(self, now_us: int) -> None:
        """Go from one instant at which something happens to the next."""
        while (instant_us := self._next_instant()) is not None and instant_us <= now_us:
            self.now_us = instant_us
            self._settle()
        self.now_us = now_us

    def _next_instant(self) -> int | None:
        instants = [wait.until_us for wait in self.waits]
        for store in self.stores:
            for row in store.rows:
                instants += [row.visible_us, row.enqueued_us + store.settings.retention_us]
            instants += [next_us for task in store.moves if (next_us := task.next_us()) is not None]
        return min((instant for instant in instants if instant > self.now_us), default=None)

    def _settle(self) -> None:
        """All that follows from the time it is: messages grow too old, waits end, waits are served."""
        for row in [row for store in self.stores for row in store.rows if row.visible_us <= self.now_us]:
            row.buried, row.copy = False, None
        self._drop_old()
        for wait in [wait for wait in self.waits if wait.until_us <= self.now_us]:
            self._end_wait(wait, [])
        for store in self.stores:
            for task in store.moves:
                if task.next_us() == self.now_us:
                    self._move_back(store, task)
        self._serve_waits()

    def _drop_old(self) -> None:
        for store in self.stores:
            for row in [row for row in store.rows if row.enqueued_us + store.settings.retention_us <= self.now_us]:
                self._drop(store, row)

    def _serve_waits(self) -> None:
        again = True
        while again:
            again = False
            for store in self.stores:
                while waits := [wait for wait in self.waits if wait.store is store]:
                    wait, before = waits[0], self._places()
                    handed = self._take_or_repeat(store, wait.limit, wait.visibility_us, wait.attempt, wait.nth)
                    if self._places() != before:
                        again = True
                    if not handed:
                        break
                    self._end_wait(wait, handed)
                    for other in [other for other in waits[1:] if wait.attempt and other.attempt == wait.attempt]:
                        handed = self._take_or_repeat(store, other.limit, other.visibility_us, other.attempt, other.nth)
                        if handed:
                            self._end_wait(other, handed)
                    again = True

    def _end_wait(self, wait: Wait, handed: list[Handed]) -> None:
        self.waits.remove(wait)
        self.answers.append((wait.number, wait.store.address, handed))

    def _places(self) -> list[int]:
        return [store.sent for store in self.stores]

    # --- queues -----------------------------------------------------------------------------------------------------

    def create(self, address: QueueAddress, settings: Mapping[str, object]) -> None:
        store = self._find(address)
        if store is not None:
            if any(getattr(store.settings, name) != value for name, value in settings.items()):
                raise RefusedError("QueueNameExists")
            return
        if self.now_us < self.deleted_us.get(address, -1) + self.limits.recreate_after_us:
            raise RefusedError("QueueDeletedRecently")
        made = replace(QueueSettings(), **settings)  # type: ignore[arg-type]  # the histories know the names
        made.deduplicates_by_group = made.deduplication_scope == "messageGroup"
        self._check_redrive(address, made)
        self.stores.append(Store(self._next("queue"), address, made))

    def change(self, address: QueueAddress, settings: Mapping[str, object]) -> None:
        store = self._get(address)
        before = store.settings
        after = replace(before, **settings)  # type: ignore[arg-type]  # the histories know the names
        if "redrive" in settings:
            self._check_redrive(address, after)
        store.settings = after
        self._drop_old()
        if before.fifo and before.delay_us != store.settings.delay_us:
            for row in store.rows:
                if row.visible_us > self.now_us and not row.count_here:
                    row.visible_us = max(self.now_us, row.sent_us + store.settings.delay_us + row.lag_us)
        self._serve_waits()

    def _check_redrive(self, address: QueueAddress, settings: QueueSettings) -> None:
        if settings.redrive is None:
            return
        target = self._find(settings.redrive.target)
        theirs = settings if settings.redrive.target == address else None if target is None else target.settings
        allow = None if theirs is None else theirs.redrive_allow
        welcome = allow is None or allow.permission == "allowAll" or address in allow.sources
        if theirs is None or theirs.fifo != settings.fifo or not welcome:
            raise RefusedError("InvalidParameterValueException")

    def tag(self, address: QueueAddress, add: Mapping[str, str], remove: Sequence[str]) -> None:
        store = self._get(address)
        tags = {**store.tags, **add}
        store.tags = {key: value for key, value in tags.items() if key not in remove}

    def remove(self, address: QueueAddress) -> None:
        store = self._get(address)
        self.stores.remove(store)
        self.deleted_us[address] = self.now_us
        for wait in [wait for wait in self.waits if wait.store is store]:
            self._end_wait(wait, [])

    def purge(self, address: QueueAddress) -> None:
        store = self._get(address)
        if store.purged_us is not None and self.now_us < store.purged_us + self.limits.purge_interval_us:
            raise RefusedError("PurgeQueueInProgress")
        store.rows.clear()
        store.firsts.clear()
        store.served.clear()
        store.attempts.clear()
        store.purged_us = self.now_us

    def look(
        self, address: QueueAddress
    ) -> tuple[tuple[int, int, int], int | None, QueueSettings, dict[str, str]] | None:
        """Visible, in flight, delayed; since when the oldest is there; settings; tags. None if it is not there."""
        store = self._find(address)
        if store is None:
            return None
        visible = sum(row.visible_us <= self.now_us for row in store.rows)
        in_flight = self._in_flight(store)
        buried = sum(row.buried for row in store.rows)
        counts = (visible, in_flight, len(store.rows) - visible - in_flight - buried)
        return counts, min((row.enqueued_us for row in store.rows), default=None), store.settings, store.tags

    def names(self) -> list[str]:
        return sorted(store.address.name for store in self.stores)

    def sources(self, address: QueueAddress) -> list[str]:
        """Whose dead letters come here."""
        return sorted(
            store.address.name
            for store in self.stores
            if store.settings.redrive is not None and store.settings.redrive.target == address
        )

    # --- requests about messages ------------------------------------------------------------------------------------

    def single(self, address: QueueAddress, request: Sending | Settling) -> Accepted | None:
        answer = self._do(self._get(address), request)
        self._serve_waits()
        return answer

    def batch(self, address: QueueAddress, requests: list[Sending | Settling]) -> list[Accepted | RefusedError | None]:
        store = self._get(address)
        for request in requests:
            if isinstance(request, Sending) and store.settings.fifo:
                named = request.deduplication_id is not None or store.settings.content_deduplication
                if request.group is None or not named:
                    raise RefusedError("InvalidParameterValueException")
        outcomes: list[Accepted | RefusedError | None] = []
        for request in requests:
            try:
                outcomes.append(self._do(store, request))
            except RefusedError as error:
                outcomes.append(error)
        self._serve_waits()
        return outcomes

    def _do(self, store: Store, request: Sending | Settling) -> Accepted | None:
        if isinstance(request, Sending):
            return self._send(store, request)
        if request.visibility_us is None:
            self._delete(store, request.receipt)
        else:
            self._hide(store, request.receipt, request.visibility_us)
        return None

    def _send(self, store: Store, request: Sending) -> Accepted:
        settings = store.settings
        if request.size_bytes > settings.message_bytes_max:
            raise RefusedError("InvalidParameterValueException")
        if not settings.fifo:
            if request.deduplication_id is not None:
                raise RefusedError("InvalidParameterValueException")
            return self._enqueue(
                store, request, None, settings.delay_us if request.delay_us is None else request.delay_us
            )
        scope, key = self._deduplication(settings, request)
        for since_us, *known, first in store.firsts:
            if known == [scope, key] and self.now_us < since_us + self.limits.deduplication_us:
                return replace(first, duplicate=True)
        accepted = self._enqueue(store, request, key, settings.delay_us)
        store.firsts.append((self.now_us, scope, key, accepted))
        return accepted

    def _deduplication(self, settings: QueueSettings, request: Sending) -> tuple[str, str]:
        """Say within what and under which id a FIFO queue knows the message."""
        if request.group is None:
            raise RefusedError("MissingRequiredParameterException")
        if request.delay_us:
            raise RefusedError("InvalidParameterValueException")
        scope = request.group if settings.deduplicates_by_group else ""
        if request.deduplication_id is not None:
            return scope, request.deduplication_id
        if not settings.content_deduplication:
            raise RefusedError("InvalidParameterValueException")
        return scope, sha256(request.body.encode()).hexdigest()

    def _enqueue(self, store: Store, request: Sending, deduplication_id: str | Name | None, delay_us: int) -> Accepted:
        self._note_tenant(store, request.group)
        store.sent += 1
        name = Name(store.number, store.sent)
        lag_us = self._lag_us(store, store.sent)
        row = Row(
            place=store.sent,
            name=name,
            body=request.body,
            group=request.group,
            deduplication=deduplication_id,
            sent_us=self.now_us,
            enqueued_us=self.now_us,
            visible_us=self.now_us + delay_us + lag_us,
            hidden=self._next("hidden"),
            lag_us=lag_us,
        )
        store.rows.append(row)
        return Accepted(name, name if store.settings.fifo else None, duplicate=False)

    def _lag_us(self, store: Store, place: int) -> int:
        lag_us = self.chooser.ask("send.lag", (store.address.name, place))
        return 0 if lag_us is None else min(max(lag_us, 0), 2_000_000)

    def _note_tenant(self, store: Store, group: str | None) -> None:
        if group is not None:
            store.fair = store.fair or (self.now_us, self._next("hidden"))
            store.last_sent_us[group] = self.now_us

    # --- receiving --------------------------------------------------------------------------------------------------

    def receive(
        self,
        address: QueueAddress,
        limit: int,
        visibility_us: int | None,
        wait_us: int | None,
        attempt: str | None = None,
    ) -> list[Handed] | int:
        """Receive, or begin to wait: then the number of the wait."""
        store = self._get(address)
        if visibility_us is None:
            visibility_us = store.settings.visibility_us
        if wait_us is None:
            wait_us = store.settings.wait_us
        if not store.settings.fifo:
            attempt = None
        store.receives += 1
        nth = store.receives
        handed: list[Handed] | int = self._take_or_repeat(store, limit, visibility_us, attempt, nth, short=wait_us == 0)
        if not handed and wait_us:
            wait = Wait(self._next("wait"), store, limit, visibility_us, self.now_us + wait_us, attempt, nth)
            self.waits.append(wait)
            handed = wait.number
        self._drop_old()
        self._serve_waits()
        return handed

    def cancel(self, number: int) -> None:
        self.waits = [wait for wait in self.waits if wait.number != number]

    def _take_or_repeat(
        self, store: Store, limit: int, visibility_us: int, attempt: str | None, nth: int, *, short: bool = False
    ) -> list[Handed]:
        if attempt is None:
            return self._take(store, limit, visibility_us, nth, short=short)
        for known in store.attempts:
            if known.name == attempt and self.now_us < known.since_us + self.limits.attempts_us:
                rows = [row for row, _ in known.hidings]
                intact = all(row in store.rows and row.hidden == hiding for row, hiding in known.hidings)
                if intact and all(row.visible_us > self.now_us for row in rows):
                    handed = [self._hand_out(store, row, visibility_us, again=True) for row in rows]
                    known.hidings = [(row, row.hidden) for row in rows]
                    return handed
        handed = self._take(store, limit, visibility_us, nth, short=short)
        store.attempts = [known for known in store.attempts if known.name != attempt]
        if handed:
            rows = [row for one in handed for row in store.rows if row.place == one.receipt.place]
            store.attempts.append(Attempt(self.now_us, attempt, [(row, row.hidden) for row in rows]))
        return handed

    def _take(self, store: Store, limit: int, visibility_us: int, nth: int, *, short: bool) -> list[Handed]:
        fifo = store.settings.fifo
        room = self.limits.in_flight_max - self._in_flight(store)
        near = self._in_flight(store) * 100 >= self.limits.in_flight_max * 90
        if short and not fifo and (room <= 0 or (near and self._asked("recv.overlimit", store, nth) is not None)):
            raise RefusedError("OverLimit")
        if room <= 0 or (short and self._asked("recv.empty", store, nth) is not None):
            return []
        limit = min(limit, room)
        fewer = self._asked("recv.fewer", store, nth)
        if fewer is not None:
            limit = max(1, min(limit, fewer))
        redrive = store.settings.redrive
        target = self._find(redrive.target) if redrive is not None else None
        picked: list[Row] = []
        dead: list[Row] = []
        served: list[str | None] = []
        ordered = self._by_group(store) if fifo else []
        line = self._line(store)
        flying = [row.group for row in store.rows if self._flies(row)]
        while len(picked) < limit and (ordered or line):
            row = ordered.pop(0) if fifo else self._next_in(store, line, flying, nth, len(picked))
            if row.group not in served:
                served.append(row.group)
            exhausted = redrive is not None and target is not None and row.count_here >= redrive.max_receive_count
            (dead if exhausted else picked).append(row)
        if fifo:
            for group in served:
                store.served[group] = self._next("service")
        for row in dead:
            assert target is not None
            self._move(store, row, target)
        self._drop_old()
        return [self._hand_out(store, row, visibility_us) for row in picked]

    def _asked(self, site: str, store: Store, *occasion: int) -> int | None:
        return self.chooser.ask(site, (store.address.name, *occasion))

    def _line(self, store: Store) -> list[Entry]:
        """All that could be received of a standard queue, first come first."""
        if store.settings.fifo:
            return []
        line = [
            Entry(row, row.visible_us, row.hidden, is_copy=False) for row in store.rows if row.visible_us <= self.now_us
        ]
        line += [Entry(row, *row.copy, is_copy=True) for row in store.rows if row.copy is not None]
        return sorted(line, key=attrgetter("since_us", "hidden"))

    def _next_in(self, store: Store, line: list[Entry], flying: list[str | None], nth: int, slot: int) -> Row:
        """Take the next out of a line: each that is taken is in flight for the choice of the next."""

        def rank(entry: Entry) -> int:
            """0 for a quiet tenant, else how many it has in flight."""
            group = entry.row.group
            own = flying.count(group)
            if group is None or self.now_us >= store.last_sent_us[group] + self.limits.noisy_memory_us:
                return 0
            enough = own >= self.limits.noisy_in_flight_min
            return own if enough and own * 100 > len(flying) * self.limits.noisy_percent else 0

        def was_before(entry: Entry) -> bool:
            """Whether it was in line when there were no tenants yet."""
            return store.fair is None or (entry.since_us <= store.fair[0] and entry.hidden < store.fair[1])

        first = min(line, key=rank)
        turn = [
            entry
            for entry in line
            if was_before(entry) == was_before(first) and (was_before(first) or entry.row.group == first.row.group)
        ]
        index = self._asked("recv.pick", store, nth, slot)
        entry = turn[min(max(index or 0, 0), len(turn) - 1, 49)]
        line.remove(entry)
        if entry.is_copy:
            entry.row.copy = None
        else:
            flying.append(entry.row.group)
        return entry.row

    def _by_group(self, store: Store) -> list[Row]:
        groups: dict[str | None, list[Row]] = {}
        for row in store.rows:
            groups.setdefault(row.group, []).append(row)
        seen = store.rows[: self.limits.fifo_search_max]
        ready = [rows for rows in groups.values() if rows[0] in seen and rows[0].visible_us <= self.now_us]
        ready.sort(key=lambda rows: (rows[0].visible_us, store.served.get(rows[0].group, 0), rows[0].place))
        line: list[Row] = []
        for rows in ready:
            for row in rows:
                if row.visible_us > self.now_us:
                    break
                line.append(row)
        return line

    def _hand_out(self, store: Store, row: Row, visibility_us: int, *, again: bool = False) -> Handed:
        if not again:
            row.count += 1
            row.count_here += 1
            if row.count == 1:
                row.first_us = self.now_us
        row.received_us = self.now_us
        row.visible_us = self.now_us + visibility_us
        row.hidden = self._next("hidden")
        if not store.settings.fifo:
            if not visibility_us:
                row.copy = None
            elif self._asked("recv.dup", store, row.place, row.count) is not None:
                row.copy = row.copy or (self.now_us, self._next("hidden"))
        return Handed(
            name=row.name,
            receipt=Receipt(store.number, row.place, row.count),
            body=row.body,
            count=row.count,
            sent_us=row.sent_us,
            first_us=row.first_us,
            group=row.group,
            deduplication=row.deduplication,
            sequence=Name(store.number, row.place) if store.settings.fifo else None,
            source=row.source,
        )

    def _move(self, store: Store, row: Row, target: Store) -> None:
        """Dead-letter: as if sent to the other queue, with its name, its age (FIFO: born again) and its receives."""
        self._drop(store, row)
        self._note_tenant(target, row.group)
        target.sent += 1
        lag_us = self._lag_us(target, target.sent)
        moved = replace(
            row,
            place=target.sent,
            deduplication=row.name if target.settings.fifo else None,
            enqueued_us=self.now_us if target.settings.fifo else row.enqueued_us,
            visible_us=self.now_us + lag_us,
            hidden=self._next("hidden"),
            count_here=0,
            lag_us=lag_us,
            copy=None,
            source=store.address,
        )
        target.rows.append(moved)

    # --- message move tasks -----------------------------------------------------------------------------------------

    def start_move(self, address: QueueAddress, target: QueueAddress | None, per_s: int | None) -> int:
        store = self._find(address)
        if store is None:
            raise RefusedError("ResourceNotFoundException")
        redrives = [other.settings.redrive for other in self.stores]
        if not any(redrive is not None and redrive.target == address for redrive in redrives):
            raise RefusedError("InvalidParameterValueException")
        if target is not None:
            there = self._find(target)
            if there is None:
                raise RefusedError("ResourceNotFoundException")
            if there is store or there.settings.fifo != store.settings.fifo:
                raise RefusedError("InvalidParameterValueException")
        if any(task.status == "RUNNING" for task in store.moves):
            raise RefusedError("InvalidParameterValueException")
        visible = sum(row.visible_us <= self.now_us for row in store.rows)
        number = self._next("task")
        per_s = per_s or self.limits.moves_per_s
        store.moves.insert(0, MoveTask(number, self.now_us, target, per_s, store.sent, visible))
        return number

    def cancel_move(self, address: QueueAddress) -> int:
        task = self._get(address).moves[0]
        if task.status != "RUNNING":
            raise RefusedError("InvalidParameterValueException")
        task.status = "CANCELLED"
        return task.moved

    def moves(self, address: QueueAddress) -> list[tuple[str, int, int, str | None]]:
        """What can be seen of the newest ten."""
        store = self._find(address)
        tasks = store.moves[:10] if store is not None else []
        return [(task.status, task.moved, task.to_move, task.failure) for task in tasks]

    def _move_back(self, store: Store, task: MoveTask) -> None:
        while True:
            rest = [row for row in store.rows if task.looked_at < row.place <= task.last]
            if not rest:
                task.status = "COMPLETED"
                return
            row = rest[0]
            task.looked_at = row.place
            behind = store.settings.fifo and next(other for other in store.rows if other.group == row.group) is not row
            if row.visible_us <= self.now_us and not behind:
                break
        address = task.target or row.source
        target = self._find(address) if address is not None else None
        if target is None:
            task.status = "FAILED"
            nowhere = address is None
            task.failure = "CouldNotDetermineMessageSource" if nowhere else "AWS.SimpleQueueService.NonExistentQueue"
            return
        task.moved += 1
        self._drop(store, row)
        sending = Sending(row.body, 0, row.group, None, None)
        deduplication = row.deduplication if target.settings.fifo else None
        self._enqueue(target, sending, deduplication, target.settings.delay_us)

    # --- settling ---------------------------------------------------------------------------------------------------

    def _delete(self, store: Store, receipt: Receipt) -> None:
        row = self._row(store, receipt)
        if row is None:
            return
        newest = receipt.delivery == row.count
        if store.settings.fifo:
            if not newest or row.visible_us <= self.now_us:
                raise RefusedError("InvalidParameterValueException")
            self._drop(store, row)
        elif newest or self._asked("delete.stale", store, row.place, receipt.delivery) is not None:
            back_us = self._asked("delete.zombie", store, row.place, receipt.delivery)
            if back_us is None:
                self._drop(store, row)
            else:
                row.buried, row.copy = True, None
                row.visible_us = self.now_us + min(max(back_us, 1), 60_000_000)
                row.hidden = self._next("hidden")

    def _hide(self, store: Store, receipt: Receipt, visibility_us: int) -> None:
        row = self._row(store, receipt)
        if row is None:
            raise RefusedError("InvalidParameterValueException")
        visible = row.visible_us <= self.now_us
        if store.settings.fifo and (receipt.delivery != row.count or visible):
            raise RefusedError("InvalidParameterValueException")
        if visible and not (self.limits.rehide_expired and visibility_us):
            return
        if not visible and self.now_us + visibility_us > row.received_us + self.limits.visibility_us_max:
            raise RefusedError("InvalidParameterValueException")
        row.visible_us = self.now_us + visibility_us
        row.hidden = self._next("hidden")
        if not visibility_us:
            row.copy = None

    # --- small things -----------------------------------------------------------------------------------------------

    def _row(self, store: Store, receipt: Receipt) -> Row | None:
        if receipt.queue != store.number:
            raise RefusedError("ReceiptHandleIsInvalid")
        return next((row for row in store.rows if row.place == receipt.place and not row.buried), None)

    def _drop(self, store: Store, row: Row) -> None:
        store.rows = [other for other in store.rows if other is not row]
        if not any(other.group == row.group for other in store.rows):
            store.served.pop(row.group, None)

    def _in_flight(self, store: Store) -> int:
        return sum(self._flies(row) for row in store.rows)

    def _flies(self, row: Row) -> bool:
        return row.visible_us > self.now_us and row.count_here > 0 and not row.buried

    def _find(self, address: QueueAddress) -> Store | None:
        return next((store for store in self.stores if store.address == address), None)

    def _get(self, address: QueueAddress) -> Store:
        store = self._find(address)
        if store is None:
            raise RefusedError("QueueDoesNotExist")
        return store

    def _next(self, what: str) -> int:
        self._numbers[what] += 1
        return self._numbers[what]
