"""The order of a standard queue: whatever has been visible longest comes first.

SQS promises best effort only; this is the calm answer, and the chooser may pick from further back.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine.message import VISIBLE
from busframe_emulator.engine.timers import SWEEP_MIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from busframe_emulator.engine.message import Message

PICK_MAX: Final = 49
"""How far from the front the chooser may pick: a wider window would cost time and show nothing new."""


class StandardOrder:
    """Messages in the order in which they became visible.

    A message that is removed while it waits here is not searched for: it is skipped when it comes up. One that becomes
    visible again is appended again, so an entry counts only if its message is visible, and then once.
    """

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line: deque[Message] = deque()

    def became_visible(self, message: Message, at_us: int) -> None:  # noqa: ARG002 - a FIFO queue needs the time
        """Put it at the end of the line."""
        self._line.append(message)

    def removed(self, message: Message) -> None:
        """Nothing to do: it is skipped when it comes up."""

    def hidden(self, message: Message) -> None:
        """Nothing to do: it has been withdrawn."""

    def withdraw(self, message: Message) -> None:
        """Take it out of the line, which has to be searched: for what only `Limits.rehide_expired` or chance do."""
        self._line = deque(other for other in self._line if other is not message)

    def candidates(self, now_us: int) -> Iterator[Message]:  # noqa: ARG002 - a fair queue needs the time
        """Take visible messages out of the line, first come first."""
        line = self._line
        while line:
            message = line.popleft()
            if message.state == VISIBLE or take_copy(message):
                yield message

    def served(self) -> None:
        """Nothing to do: the line is as it should be."""

    def pick(self, index: int) -> None:
        """Let the `index`-th message of the line be the next candidate, or the last if there are fewer."""
        place = find_place(self._line, index)
        if place > 0:
            message = self._line[place]
            del self._line[place]
            self._line.appendleft(message)

    def sweep(self, visible: int) -> None:
        """Drop entries that no longer count, where they are the greater part: nobody may be receiving.

        Args:
            visible: how many messages of the queue are visible.
        """
        line = self._line
        if len(line) > 2 * visible + SWEEP_MIN:
            self._line = deque(message for message in line if message.state == VISIBLE or has_copy(message))

    def clear(self) -> None:
        """Forget everything."""
        self._line.clear()


def find_place(line: Iterable[Message], index: int) -> int:
    """Where in a line the `index`-th message stands that counts, or the last if there are fewer; -1 if none does."""
    index, place = max(0, min(index, PICK_MAX)), -1
    for here, message in enumerate(line):
        if message.state == VISIBLE or has_copy(message):
            place, index = here, index - 1
            if index < 0:
                break
    return place


def has_copy(message: Message) -> bool:
    """Whether a copy of it lies visible while it is in flight."""
    return message.rare is not None and message.rare.copies > 0


def take_copy(message: Message) -> bool:
    """Use up a copy of it, if there is one."""
    rare = message.rare
    if rare is not None and rare.copies:
        rare.copies -= 1
        return True
    return False
