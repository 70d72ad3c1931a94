"""An engine with its store: what it was, and what is not on the disk yet."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from busframe_emulator.engine import Engine
from busframe_emulator.engine.changes import Changes
from busframe_emulator.engine.ids import Ids
from busframe_emulator.server.persistence.store import SALT_BYTES, open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from busframe_emulator.engine.records import Saved
    from busframe_emulator.engine.settings import Limits
    from busframe_emulator.server.persistence.file import Beginning
    from busframe_emulator.server.persistence.store import Store


TIME_US: Final = 1_000_000
"""How exactly the time of a running clock is kept."""


class Journal:
    """Says what of an engine's changes is durable, and makes the rest so. One commit at a time.

    Attributes:
        engine: as it was put back, or the one that was begun since.
        changes: of that engine.
        durable: how many changes there were that are durable.
    """

    def __init__(
        self, store: Store, engine: Engine, changes: Changes, began_us: int, new_salt: Callable[[], int]
    ) -> None:
        self.engine = engine
        self._began_us = began_us
        self._store = store
        self.changes = changes
        self._new_salt = new_salt
        self._erase: bytes | None = None
        self._until_us = 0
        self.durable = changes.count

    def start_us(self, wall_us: int, *, stands: bool) -> int:
        """What time the engine has it when it goes on.

        A clock that stands goes on from where it stood. The other from the present, unless it was ahead of that.

        Args:
            wall_us: the present.
            stands: whether its clock is one that stands.
        """
        if stands:
            return self._began_us or wall_us
        return self._began_us if self._began_us > wall_us + TIME_US else wall_us

    def note_time(self) -> None:
        """The clock was moved, which has to be remembered though nothing else changed."""
        self.changes.note_time()

    def begin_anew(self, limits: Limits | None) -> Engine:
        """Go on with a new engine; with the next commit nothing of the old one is left."""
        salt = self._new_salt()
        self._erase = salt.to_bytes(SALT_BYTES)
        self.changes = Changes(self.changes.count)
        self.changes.note_time()
        self.engine = Engine(ids=Ids(salt), limits=limits, changes=self.changes)
        return self.engine

    async def commit(self, now_us: int, *, stands: bool) -> None:
        """Make durable all that has changed up to now.

        Args:
            now_us: on the engine's clock.
            stands: whether that clock stands; its time is then known exactly after a restart, and otherwise as far as
                is needed for it not to go back.

        Raises:
            DataDirectoryError: it could not be written.
        """
        count = self.changes.count
        delta = self.changes.take()
        erase, self._erase = self._erase, None
        if stands:
            self._until_us = now_us
        elif now_us >= self._until_us:
            # Written once in a while, since whatever is written costs a page of the file.
            self._until_us = now_us + TIME_US
        await self._store.write(delta, now_us, self._until_us, erase)
        self.durable = count

    async def aclose(self) -> None:
        """Let go of the file. What was not committed is not in it."""
        await self._store.aclose()


async def open_journal(
    directory: str | Path, limits: Limits | None, new_salt: Callable[[], int], *, flush: bool
) -> Journal:
    """Open a directory and put its engine back.

    Args:
        directory: made if it is not there.
        limits: of the engine.
        new_salt: draws 64 bits.
        flush: have each commit on the disk itself before it counts as durable.

    Raises:
        DataDirectoryError: it cannot be used.
    """
    store = await open_store(Path(directory), new_salt().to_bytes(SALT_BYTES), flush=flush)
    changes = Changes()
    try:
        engine, began_us = await store.load(partial(_put_back, limits=limits, changes=changes))
    except BaseException:
        await store.aclose()
        raise
    return Journal(store, engine, changes, began_us, new_salt)


def _put_back(beginning: Beginning, saved: Saved, *, limits: Limits | None, changes: Changes) -> tuple[Engine, int]:
    ids = Ids(int.from_bytes(beginning.salt))
    collects = gc.isenabled()
    # Nothing that is made here is garbage, and looking for some among a million messages takes a third of the time.
    gc.disable()
    try:
        return Engine(ids=ids, limits=limits, changes=changes, saved=saved), beginning.now_us
    finally:
        if collects:
            gc.enable()
