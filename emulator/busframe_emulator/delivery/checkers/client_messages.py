"""What clients know of each message: when it may have been sent, delivered, hidden and deleted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from busframe_emulator.delivery.client_history import FOREVER_US, QueueFacts

if TYPE_CHECKING:
    from busframe_emulator.delivery.client_history import Call, Seen

SECOND_US: Final = 1_000_000
_DEFAULT: Final = QueueFacts()


@dataclass(slots=True, kw_only=True)
class DeliverySeen:
    """A delivery, somewhere between `began` and `ended`.

    Attributes:
        call: the receive that brought it.
        slot: the how manieth of it.
        visibility_us: how long it was hidden for; None: not known.
        changes: calls for another visibility, with its receipt, that may have had an effect.
        deletes: calls for its deletion, the same.
    """

    call: Call
    seen: Seen
    slot: int
    visibility_us: int | None
    changes: list[Call] = field(default_factory=list["Call"])
    deletes: list[Call] = field(default_factory=list["Call"])

    @property
    def began(self) -> int:
        """Not before."""
        return self.call.began

    @property
    def ended(self) -> int:
        """Not after."""
        return self.call.ended_us

    def hidden_until(self, before_us: int) -> tuple[int, int] | None:
        """Between when and when it may have become visible again, from what had begun before that; None: not known."""
        if self.visibility_us is None:
            return None
        least, most = self.began + self.visibility_us, self.ended + self.visibility_us
        for change in self.changes:
            if change.began >= before_us:
                continue
            new_us = round((change.visibility_s or 0) * SECOND_US)
            least_new, most_new = change.began + new_us, min(change.ended_us, FOREVER_US) + new_us
            if change.outcome == "ok" and change.ended_us < before_us:
                least, most = least_new, most_new
            else:
                least, most = min(least, least_new), max(most, most_new)
        return least, most


@dataclass(slots=True, kw_only=True)
class MessageSeen:
    """A message of one queue.

    Attributes:
        sends: calls that may have sent it; none if it came from another queue.
        deliveries: in the order in which they ended.
    """

    id: str
    queue: str
    facts: QueueFacts
    sends: list[Call] = field(default_factory=list["Call"])
    deliveries: list[DeliverySeen] = field(default_factory=list["DeliverySeen"])

    @property
    def is_fifo(self) -> bool:
        """Whether its queue keeps groups in order."""
        return is_fifo(self.queue, self.facts)

    @property
    def group(self) -> str | None:
        """Its message group, if anybody has said it."""
        told = [call.group for call in self.sends] + [one.seen.group for one in self.deliveries]
        return next((group for group in told if group is not None), None)

    @property
    def first(self) -> DeliverySeen:
        """The delivery that ended first."""
        return self.deliveries[0]

    @property
    def is_deleted(self) -> bool:
        """Whether it may be gone because somebody asked for it."""
        return any(one.deletes for one in self.deliveries)


def is_fifo(queue: str, facts: QueueFacts = _DEFAULT) -> bool:
    """Whether a queue keeps groups in order."""
    return queue.endswith(".fifo") if facts.fifo is None else facts.fifo
