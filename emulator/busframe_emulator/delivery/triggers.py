"""Triggers: what has to happen before an entry of a script can come up.

Counters say "the third call"; a trigger says "the call after the first message was deleted", whichever call that is.
An entry that waits for a trigger is bound late: what it did is recorded with the key of that very question, as a
position like any other. So a recording needs no triggers, and shrinks and replays as every script does.

What happens is told in events. A broker's are those of its engine (`engine.events`), and `emptied`: a queue's last
message is gone. A simulation has, besides, what its nodes do (`busframe.simulation.record`).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from busframe_emulator.engine.events import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from busframe_emulator.engine.events import Event
    from busframe_emulator.engine.settings import QueueAddress

EMPTIED: Final = "emptied"
BROKER_EVENTS: Final = (*get_args(Kind), EMPTIED)
NODE_EVENTS: Final = (
    *("received", "acknowledged", "released", "failure", "accepted", "effect", "note"),
    *("read", "wrote", "called"),
    *("started", "killed", "stopped", "failed", "paused", "outage"),
)
"""What only a simulation tells: of clients, of the application, of nodes."""


class Happening(NamedTuple):
    """An event as triggers see it.

    Attributes:
        kind: one of `BROKER_EVENTS` and `NODE_EVENTS`.
        queue: its name; empty where none is concerned.
        node: whose doing it was; empty where nobody's.
        message, delivery: ordinals; 0 where none is concerned.
        key: of an effect, or of what a producer was told is accepted.
    """

    kind: str
    queue: str = ""
    node: str = ""
    message: int = 0
    delivery: int = 0
    key: object = None


class Trigger(NamedTuple):
    """Which event lets an entry come up: the `nth` of those that fit. None fits anything.

    Attributes:
        test: asked besides; None: nothing. It cannot be written down.
    """

    kind: str | None = None
    queue: str | None = None
    node: str | None = None
    message: int | None = None
    key: str | int | None = None
    nth: int = 1
    test: Callable[[Happening], object] | None = None

    def fits(self, happening: Happening) -> bool:
        """Whether it is one of those."""
        return (
            self.kind in (None, happening.kind)
            and self.queue in (None, happening.queue)
            and self.node in (None, happening.node)
            and self.message in (None, happening.message)
            and (self.key is None or self.key == happening.key)
            and (self.test is None or bool(self.test(happening)))
        )

    def to_data(self) -> dict[str, str | int] | str:
        """The form for JSON: what does not fit anything. A function has none, and is only named."""
        if self.test is not None:
            return f"a function: {getattr(self.test, '__name__', self.test)}"
        written = {name: getattr(self, name) for name in _FIELDS if getattr(self, name) is not None}
        return written if self.nth != 1 else {name: value for name, value in written.items() if name != "nth"}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Trigger:
        """Read that form.

        Raises:
            ValueError: it is not of that form.
        """
        for name, value in data.items():
            kinds = _FIELDS.get(name)
            if kinds is None or not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"when: {name!r}: {value!r} is none of {', '.join(_FIELDS)}, or not of its kind")
        trigger = cls(**data)
        trigger.require_sense()
        return trigger

    def require_sense(self) -> None:
        """Refuse what can never happen.

        Raises:
            ValueError: there is no such kind of event, or counts begin at 1.
        """
        if self.kind is None and self.test is None:
            raise ValueError("when: it needs the kind of an event")
        if self.kind is not None and self.kind not in (*BROKER_EVENTS, *NODE_EVENTS):
            raise ValueError(f"when: {self.kind!r} is no event; there are {', '.join((*BROKER_EVENTS, *NODE_EVENTS))}")
        for name in ("nth", "message"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: {value!r} is not 1 or more")


_FIELDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "kind": str,
    "queue": str,
    "node": str,
    "message": int,
    "key": (str, int),
    "nth": int,
}


class Happenings:
    """Tells what happens in an engine, event by event."""

    def __init__(self) -> None:
        self._there: Counter[QueueAddress] = Counter()

    def of(self, event: Event) -> Iterator[Happening]:
        """What an event comes to: itself, and that its queue is now empty."""
        kind, _, queue, message, delivery, until_us, *_ = event
        yield Happening(kind, queue.name, "", message, delivery)
        there = self._there[queue]
        if kind in {"sent", "arrived"}:
            self._there[queue] = there + 1
        elif kind in {"queue_deleted", "queue_created"}:
            self._there[queue] = 0
        elif there and (kind in {"expired", "moved", "purged"} or (kind == "deleted" and not until_us)):
            # Purged without a message: all of them. What is deleted until some time will be back.
            self._there[queue] = left = there - 1 if message else 0
            if not left:
                yield Happening(EMPTIED, queue.name)
