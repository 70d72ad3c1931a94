"""The inbox: which messages have been handled, so that `once=True` handles none of them again.

What is promised, and what is not:

- A message whose handler has returned is not handled again within the window, however often it is delivered: by a
  broker that delivers twice, by a lease that ended, by a sender that repeated its send. No two consumers are at work on
  one message at the same time, as long as both keep their claims.
- Between the end of the handler and the mark in the inbox there is a moment in which a process can die. Then the
  handler runs again: what it does is done at least once.
- What the handler leaves to `delivery.transaction` is done exactly once: it is written in the same transaction as the
  mark. Either both are there or neither.

An inbox is a database that the consumers of a group share. An entry point in the group `busframe.inboxes` opens one by
URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from busframe.config import BackendUrl

    Effect = Callable[[sqlite3.Connection], object]

R = TypeVar("R")

WINDOW_S = 345_600.0
"""Four days: what the bus's queues keep a message for. After that no broker delivers it again."""


class Transaction:
    """Collects what is to be written together with the mark that the message is done.

    Nothing is written before the handler has returned. If it raises, or if one of these fails, none of them has
    happened and the message is not done; the exception follows the subscription's retry policy.
    """

    def __init__(self) -> None:
        self._effects: list[Effect] = []

    @property
    def effects(self) -> Sequence[Effect]:
        """What was collected, in order."""
        return self._effects

    def execute(self, statement: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> None:
        """Have an SQL statement executed."""
        self._effects.append(lambda connection: connection.execute(statement, parameters))

    def run(self, effect: Effect) -> None:
        """Have a function called with the connection to the inbox's database, in a thread, inside the transaction.

        It may read and write, and must not commit. It holds up everybody else who writes to that database, so it should
        be short.
        """
        self._effects.append(effect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to handle a message, until its lease ends.

    Attributes:
        key: names the message and who handles it.
        owner: names this claim; no other has the same.
    """

    key: str
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandledBefore:
    """The message is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedElsewhere:
    """Another consumer is at work on the message, or was `left_s` seconds before its claim ends."""

    left_s: float


class Inbox(Protocol):
    """An inbox. All methods may be called at once from any task of one event loop, and from several processes.

    What fails is a `BackendError`, and has changed nothing unless its `effect` is "unknown". Cancelled, a call may have
    happened or not.
    """

    async def claim(self, key: str, *, lease_s: float, window_s: float) -> Claim | HandledBefore | ClaimedElsewhere:
        """Claim a message for `lease_s` seconds from now.

        Args:
            key: names the message and who handles it; at most 1,000 characters.
            lease_s: when the claim ends by itself, so that the death of its owner does not hide the message for ever.
            window_s: how long to remember the message, done or not.
        """
        ...

    async def extend(self, claims: Sequence[Claim], *, lease_s: float) -> Sequence[bool]:
        """Let claims end `lease_s` seconds from now instead, and tell of each whether it was still there."""
        ...

    async def finish(self, claim: Claim, effects: Sequence[Effect], *, window_s: float) -> bool:
        """In one transaction, mark a message as done and carry out the effects; remember the mark for `window_s`.

        Returns:
            False if the claim is another's by now: nothing was changed.

        Raises:
            Exception: what an effect raised; nothing was changed.
        """
        ...

    async def release(self, claim: Claim) -> None:
        """Give up a claim, so that the message can be claimed again at once."""
        ...

    async def run(self, function: Callable[[sqlite3.Connection], R]) -> R:
        """Call a function in a transaction of its own: to make the application's tables, to read them in a test.

        Raises:
            Exception: what it raised; nothing was changed.
        """
        ...


class InboxFactory(Protocol):
    """What an entry point in the group `busframe.inboxes` must be."""

    def __call__(self, url: BackendUrl) -> AbstractAsyncContextManager[Inbox]:
        """Open the inbox the URL names, making it if it is not there."""
        ...
