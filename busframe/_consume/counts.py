"""What the consumers of a queue have done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """What the consumers of one queue in this process have done so far.

    Attributes:
        received: deliveries taken.
        redelivered: of these, the ones that were not the first of their message.
        handled: acknowledged after their handler returned.
        retried: given back to come again.
        dead_lettered: moved to the dead-letter queue.
        lost: leases that ended under a handler.
        unsettled: the broker would not hear what became of them: they may come again.
    """

    received: int = 0
    redelivered: int = 0
    handled: int = 0
    retried: int = 0
    dead_lettered: int = 0
    lost: int = 0
    unsettled: int = 0
