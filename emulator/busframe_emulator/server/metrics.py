"""What is counted as it happens: one addition per request, and one more for answers that hold several messages.

All else that `/metrics` tells is computed when somebody asks, in `control.exposition`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from busframe_emulator.api import results
from busframe_emulator.api.actions import ALL_ACTIONS
from busframe_emulator.wire.json10 import TARGET_PREFIX

if TYPE_CHECKING:
    from busframe_emulator.api.results import AnyResult

HOLDS_MANY: Final = frozenset({results.Messages, results.SentBatch, results.DeletedBatch})
"""The answers `Metrics.note` wants to see."""


class Metrics:
    """Counts since the start of the server.

    Attributes:
        accepted: requests by their X-Amz-Target; those of the Query protocol are given theirs. A receive that waits
            counts from when it begins to wait.
        refused: by action and status. The action is empty where there is none of the name that was sent.
        received: messages handed out.
    """

    __slots__ = ("_deleted_in_batches", "_sent_in_batches", "accepted", "received", "refused")

    def __init__(self) -> None:
        self.accepted: defaultdict[bytes, int] = defaultdict(int)
        self.refused: Counter[tuple[str, int]] = Counter()
        self.received = 0
        self._sent_in_batches = 0
        self._deleted_in_batches = 0

    def note(self, result: AnyResult) -> None:
        """Count the messages of an answer that is one of `HOLDS_MANY`."""
        match result:
            case results.Messages():
                self.received += len(result.messages or ())
            case results.SentBatch():
                self._sent_in_batches += len(result.successful)
            case results.DeletedBatch():
                self._deleted_in_batches += len(result.successful)
            case _:
                pass

    def refuse(self, target: bytes, status: int) -> None:
        """Count a refusal. Names that clients made up are not kept: there could be any number of them."""
        name = target.decode("latin-1").removeprefix(TARGET_PREFIX)
        self.refused[name if name in ALL_ACTIONS else "", status] += 1

    def sent(self) -> int:
        """Messages taken, alone or in batches. One that SQS recognises as a duplicate is among them."""
        return self._sent_in_batches + self._accepted("SendMessage")

    def deleted(self) -> int:
        """Receipts settled by deletion, alone or in batches. One whose message was gone already is among them."""
        return self._deleted_in_batches + self._accepted("DeleteMessage")

    def _accepted(self, action: str) -> int:
        return self.accepted.get(f"{TARGET_PREFIX}{action}".encode(), 0)
