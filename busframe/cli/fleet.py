"""What the workers of a supervisor tell, put together: how they are, and what they and those before them have done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio
import msgspec

from busframe.samples import Family, lasting, merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from busframe.cli.seeing import Row
    from busframe.cli.slot import Slot

ANSWER_S: Final = 3.0
"""How long a worker may take to say how full the queues are, before another is asked."""

ASKED_MAX: Final = 2
"""So many are asked: a scrape has ten seconds."""


class Fleet:
    """The workers, as those see them who look in from outside.

    Counters go on when a worker is replaced. What one that was killed has done since it last told, a second before at
    most, is not counted.

    Args:
        slots: their places.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._gone: tuple[Family, ...] = ()
        self._asking = anyio.Lock()

    def rows(self) -> Sequence[Row]:
        """How each of them is."""
        return [
            {
                "worker": slot.number,
                "state": "draining" if slot.told and slot.process else slot.state,
                "restarts": slot.restarts,
                "report": slot.report,
            }
            for slot in self._slots
        ]

    def hear(self, slot: Slot, line: Mapping[str, Any]) -> None:
        """Note what a worker tells besides how it is."""
        if "samples" in line:
            slot.samples = msgspec.convert(line["samples"], tuple[Family, ...])
        if "queues" in line:
            slot.queues = msgspec.convert(line["queues"], tuple[Family, ...])
            slot.answered.set()

    def bury(self, slot: Slot) -> None:
        """A worker has ended: what it has done counts on."""
        self._gone = merged((self._gone, lasting(slot.samples)))
        slot.samples = ()

    async def samples(self) -> Sequence[Family]:
        """The metrics of all of them; how full the queues are, one of them is asked."""
        queues = await self._queues()
        return merged((queues, *(slot.samples for slot in self._slots), self._gone))

    async def _queues(self) -> tuple[Family, ...]:
        async with self._asking:
            for slot in [slot for slot in self._slots if slot.state == "running"][:ASKED_MAX]:
                if (link := slot.link) is None:
                    continue
                slot.answered = anyio.Event()
                link.tell(ask="queues")
                with anyio.move_on_after(ANSWER_S):
                    await slot.answered.wait()
                    return slot.queues
        return ()
