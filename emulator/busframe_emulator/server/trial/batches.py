"""Entries of batches that fail by themselves, with nothing done for them, while the answer says 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec.structs import replace

from busframe_emulator.api import actions, results
from busframe_emulator.api.batches import check_entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.api.caller import Caller
    from busframe_emulator.api.guard import Guard
    from busframe_emulator.api.receiving import Waiting
    from busframe_emulator.api.results import AnyResult
    from busframe_emulator.api.service import Action
    from busframe_emulator.delivery.chooser import Key
    from busframe_emulator.engine.engine import Engine

_NOTHING_DONE: Final[dict[type, Callable[[], results.BatchResult]]] = {
    actions.SendMessageBatch: lambda: results.SentBatch(successful=[], failed=[]),
    actions.DeleteMessageBatch: lambda: results.DeletedBatch(successful=[], failed=[]),
    actions.ChangeMessageVisibilityBatch: lambda: results.ChangedBatch(successful=[], failed=[]),
}

_NAMES: Final[dict[type, str]] = {
    actions.SendMessageBatch: "SendMessageBatchRequestEntry",
    actions.DeleteMessageBatch: "DeleteMessageBatchRequestEntry",
    actions.ChangeMessageVisibilityBatch: "ChangeMessageVisibilityBatchRequestEntry",
}


class Asked(Protocol):
    """Decides which entries fail.

    Attributes:
        node: whose request is being handled.
    """

    node: str

    def count(self, what: str) -> int:
        """How often this node did this by now, this time included."""
        ...

    def ask(self, site: str, key: Key) -> int | None:
        """See `Chooser`."""
        ...


class PartialBatches:
    """Stands before the actions, as `Guard` does, and after one if there is one.

    Args:
        trial: decides which entries fail.
        guard: is asked first.
    """

    def __init__(self, trial: Asked, guard: Guard | None) -> None:
        self._trial = trial
        self._guard = guard

    def before(self, action: Action, source_ip: str) -> Action:
        """The action for one request, with what fails left out."""
        if action.takes in _NOTHING_DONE:
            action = self._spoiled(action)
        return action if self._guard is None else self._guard.before(action, source_ip)

    def _spoiled(self, action: Action) -> Action:
        def handle(engine: Engine, caller: Caller, now_us: int, request: Any) -> AnyResult | Waiting:
            entries = request.entries
            check_entries(entries, _NAMES[action.takes])
            failing = self._choose(len(entries))
            if not failing:
                return action.handle(engine, caller, now_us, request)
            rest = [entry for index, entry in enumerate(entries) if index not in failing]
            result: Any = _NOTHING_DONE[action.takes]()
            if rest:
                result = action.handle(engine, caller, now_us, replace(request, entries=rest))
            result.failed.extend(_failed(entries[index].id) for index in failing)
            done: results.BatchResult = result
            return done

        return action._replace(handle=handle)

    def _choose(self, count: int) -> list[int]:
        trial = self._trial
        nth = trial.count("batch")
        return [index for index in range(count) if trial.ask("batch.partial", (trial.node, nth, index)) is not None]


def _failed(entry_id: str) -> results.FailedEntry:
    text = "The entry failed in the service, and nothing was done for it."
    return results.FailedEntry(id=entry_id, sender_fault=False, code="InternalError", message=text)
