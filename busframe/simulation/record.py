"""What happened in a run, in order: at the broker, at the client's edge, in the application.

| level  | kinds                                                                                          |
|--------|------------------------------------------------------------------------------------------------|
| broker | the engine's events (`busframe_emulator.engine.events`): sent, delivered, deleted, moved, ...  |
| client | `received`, `acknowledged`, `released`: who; `failure`: what a node saw of a call that failed; |
|        | `entry_failed`: one of a batch; `late`: what is under way for long, where a script says so     |
| app    | `accepted`, `effect`, `note`; `read` and `wrote` of a store; `called`: what a handler raised;  |
|        | `started`, `killed`, `stopped`, `failed`, `paused`,... of a node                               |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Level = Literal["broker", "client", "app"]


class Entry(NamedTuple):
    """One thing that happened.

    Attributes:
        at_us: virtual microseconds since the start of the run.
        node: whose doing it was, such as `worker[0]`; empty where nobody's, as when a lease ends.
        queue, message, delivery: which message, by its ordinal in its queue, and which of its deliveries; empty and 0
            where none is concerned.
        key: of an effect, or of what a producer was told is accepted; in a store.
        text: what else there is to say, for people.
        until_us: until when a message is hidden by this.
    """

    at_us: int
    level: Level
    kind: str
    node: str = ""
    queue: str = ""
    message: int = 0
    delivery: int = 0
    key: Hashable = None
    text: str = ""
    until_us: int = 0


class Record:
    """The entries, and who wants to hear of each at once."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.listeners: list[Callable[[Entry], None]] = []

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        self.entries.append(entry)
        for listener in self.listeners:
            listener(entry)
