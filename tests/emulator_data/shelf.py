"""What a journal has to do with the engine's changes, as plainly as can be said: dictionaries instead of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from busframe_emulator.engine.records import AddedRecord, Saved

if TYPE_CHECKING:
    from busframe_emulator.engine.records import (
        AttemptRecord,
        DeletedQueueRecord,
        Delta,
        GroupRecord,
        MovesRecord,
        QueueRecord,
        SeenRecord,
        TenantRecord,
    )
    from busframe_emulator.engine.settings import QueueAddress


class Shelf:
    """The records of one engine."""

    def __init__(self) -> None:
        self.queues_made = 0
        self.moves_made = 0
        self.queues: dict[int, QueueRecord] = {}
        self.deleted: dict[QueueAddress, DeletedQueueRecord] = {}
        self.messages: dict[tuple[int, int], AddedRecord] = {}
        self.groups: dict[tuple[int, str], GroupRecord] = {}
        self.tenants: dict[tuple[int, str], TenantRecord] = {}
        self.seen: list[SeenRecord] = []
        self.attempts: dict[tuple[int, str], AttemptRecord] = {}
        self.moves: dict[int, MovesRecord] = {}

    def apply(self, delta: Delta) -> None:
        self.queues_made = delta.queues_made or self.queues_made
        self.moves_made = delta.moves_made or self.moves_made
        for number in delta.removed:
            self._empty(number, 1 << 60)
            self.queues.pop(number, None)
            self.moves.pop(number, None)
            self.tenants = {key: value for key, value in self.tenants.items() if key[0] != number}
        self.deleted |= {record.address: record for record in delta.deleted}
        for number, last_ordinal in delta.purged:
            self._empty(number, last_ordinal)
        self.queues |= {record.number: record for record in delta.queues}
        for number, last_ordinal in delta.last_ordinals:
            self.queues[number] = self.queues[number]._replace(last_ordinal=last_ordinal)
        self._apply_messages(delta)
        self.groups |= {(record.queue, record.name): record for record in delta.groups}
        self.tenants |= {(record.queue, record.name): record for record in delta.tenants}
        self.seen += delta.seen
        self.attempts |= {(record.queue, record.attempt_id): record for record in delta.attempts}
        self.moves |= {record.queue: record for record in delta.moves}

    def saved(self) -> Saved:
        return Saved(
            queues_made=self.queues_made,
            moves_made=self.moves_made,
            queues=self.queues.values(),
            deleted=self.deleted.values(),
            messages=[self.messages[key] for key in sorted(self.messages)],
            groups=[record for record in self.groups.values() if record.served],
            tenants=sorted(self.tenants.values(), key=lambda record: record.until_us),
            seen=self.seen,
            attempts=sorted(self.attempts.values(), key=lambda record: record.until_us),
            moves=self.moves.values(),
        )

    def _apply_messages(self, delta: Delta) -> None:
        for key in delta.gone:
            del self.messages[key]
        for added in delta.added:
            key = (added.state.queue, added.state.ordinal)
            assert key not in self.messages
            self.messages[key] = added
        for state in delta.changed:
            key = (state.queue, state.ordinal)
            self.messages[key] = self.messages[key]._replace(state=state)

    def _empty(self, number: int, last_ordinal: int) -> None:
        """A queue without messages, groups and ids."""
        self.messages = {
            key: value for key, value in self.messages.items() if key[0] != number or key[1] > last_ordinal
        }
        self.groups = {key: value for key, value in self.groups.items() if key[0] != number}
        self.seen = [record for record in self.seen if record.queue != number]
        self.attempts = {key: value for key, value in self.attempts.items() if key[0] != number}
