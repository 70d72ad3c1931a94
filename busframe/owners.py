"""Which queue a command goes to: its owner's, which the program that sends it need not know.

An owner with `ordered=True` has a queue of another name. So the broker is asked for both, once for each command on a
connection. If both are there, one of them is what an owner left that was ordered or was not, and nobody reads it: a
command that went there would be lost without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from busframe.errors import BackendError, ConfigurationError
from busframe.queue_names import command_queue

if TYPE_CHECKING:
    from busframe.backend import Backend
    from busframe.message import QueueName
    from busframe.message_type import MessageType
    from busframe.registry import Registry


class Owners:
    """Finds owners' queues, and remembers them for one connection."""

    def __init__(self, registry: Registry, backend: Backend) -> None:
        self._registry = registry
        self._backend = backend
        self._found: dict[str, QueueName] = {}

    def known(self, kind: MessageType) -> QueueName | None:
        """The queue, if nobody has to be asked for it."""
        found = self._found.get(kind.name)
        if found is None:
            names = (command_queue(kind), command_queue(kind, ordered=True))
            found = next((name for name in names if name in self._registry.groups), None)
            if found is not None:
                self._found[kind.name] = found
        return found

    async def find(self, kind: MessageType) -> QueueName:
        """The queue, or the name that it would have if it was there.

        Raises:
            ConfigurationError: there are two.
        """
        known = self.known(kind)
        if known is not None:
            return known
        plain, ordered = command_queue(kind), command_queue(kind, ordered=True)
        if not self._backend.capabilities.ordered:
            return plain
        there = [name for name in (plain, ordered) if await self._is_there(name)]
        if len(there) > 1:
            raise ConfigurationError(
                f"{kind.name} has two queues, {plain} and {ordered}, and only one of them has an owner. Nothing was "
                "sent. Remove the other when it is empty: `busframe topology apply APP --remove`, with the bus that "
                "handles it"
            )
        if not there:
            return plain  # Sending will tell, also where one may send and not ask.
        self._found[kind.name] = there[0]
        return there[0]

    def remember(self, kind: MessageType, queue: QueueName) -> None:
        """Note that the queue took a command: those who may not ask need not try again each time."""
        self._found[kind.name] = queue

    async def find_again(self, kind: MessageType, missing: QueueName) -> QueueName | None:
        """The queue after all, where the one that was found before is missing; None if there is no other."""
        self._found.pop(kind.name, None)
        found = await self.find(kind)
        if found != missing:
            return found
        # Perhaps nobody here may ask: then the other name is worth a try.
        other = command_queue(kind, ordered=True)
        return other if other != missing and self._backend.capabilities.ordered else None

    async def _is_there(self, queue: QueueName) -> bool:
        try:
            return await self._backend.describe(queue) is not None
        except BackendError:
            return False
