"""The question the engine asks wherever SQS leaves a choice.

A choice is named by its *site* and a *key* of logical counters: never of identifiers or addresses, so that the same
key names the same choice in every run. Every key ends in a counter, since a key that came up again and again would
answer the same for ever.

| site           | key                          | answer (None: calm)                                               |
|----------------|------------------------------|-------------------------------------------------------------------|
| send.lag       | queue, nth message           | microseconds until a message that came can be received            |
| recv.overlimit | queue, nth receive           | any: near the in-flight limit a short poll hears it is reached    |
| recv.empty     | queue, nth receive           | any: a short poll finds nothing                                   |
| recv.fewer     | queue, nth receive           | at most so many messages (1 or more)                              |
| recv.pick      | queue, nth receive, slot     | how far from the front of a standard queue to take a message      |
| recv.dup       | queue, nth message, delivery | any: a standard queue keeps a copy visible                        |
| delete.zombie  | queue, nth message, delivery | microseconds until a message deleted on a standard queue is back  |
| delete.stale   | queue, nth message, delivery | any: an outdated receipt deletes all the same (standard queue)    |
| counts.stale   | queue, nth look              | microseconds: counts shown that lately are shown again            |
| attr.lag       | queue, nth change            | microseconds until changed attributes take effect                 |
| purge.lag      | queue, nth purge             | microseconds until a purge takes what was sent before the call    |
| purge.reach    | queue, nth purge             | any: a late purge also takes what was sent after the call         |
| queue.lag      | queue, "created", nth        | microseconds until a new queue is there                           |
| queue.lag      | queue, "deleted", nth        | microseconds until a deleted queue is gone, with all it got since |

On a queue that serves tenants fairly, recv.pick counts from the front of the tenant's line whose turn it is.

The engine asks only where the contract permits the answer, and clamps the answer to what is permitted: every script
of answers is a legal one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    Key = tuple[str | int, ...]


class Chooser(Protocol):
    """Decides wherever the contract of SQS leaves a choice; the head of this file lists the sites."""

    def ask(self, site: str, key: Key) -> int | None:
        """Choose at `site` for the occasion `key`. None is the calm answer. The same question has the same answer."""
        ...


class Calm:
    """In order, at once, no duplicates."""

    def ask(self, site: str, key: Key) -> int | None:  # noqa: ARG002 - it needs neither
        """Answer None, always. See `Chooser.ask`."""
        return None


CALM: Final = Calm()
