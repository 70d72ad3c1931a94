"""The file gives back what was written to it: the same histories as of the engine alone, through SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from random import Random  # noqa: TID251 - seeded, and the seed stands in the failure
from typing import TYPE_CHECKING

import pytest
from emulator_data.twins import Kept, run_twins

from busframe_emulator.engine.changes import Changes
from busframe_emulator.server.persistence.file import DataFile
from busframe_emulator.server.persistence.layout import open_file
from busframe_emulator.server.persistence.store import FILE_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from engine.histories import History

    from busframe_emulator.engine import Engine
    from busframe_emulator.engine.records import Saved
    from busframe_emulator.server.persistence.file import Beginning

SALT = bytes(8)


class InFile(Kept):
    """An engine that is kept in a file, which is closed and opened anew each time."""

    def __init__(self, path: Path, history: History) -> None:
        self._path = path
        self._open()
        super().__init__(history)

    def keep(self) -> None:
        self._file.write(self.changes.take(), self.now_us, self.now_us, None)

    def put_back(self) -> None:
        self.close()
        self._open()
        self.changes = Changes()
        self.engine = self._file.load(self._read)
        self.engine.advance(self.now_us)

    def close(self) -> None:
        self._connection.close()

    def _read(self, beginning: Beginning, saved: Saved) -> Engine:
        assert beginning.salt == SALT
        assert beginning.now_us == self.now_us
        return self.make_engine(saved)

    def _open(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        open_file(self._connection, self._path, SALT, flush=False)
        self._file = DataFile(self._connection)


@pytest.mark.parametrize("seed", range(1000, 1012))
def test_an_engine_put_back_from_its_file_does_what_the_old_one_would_have_done(seed: int, tmp_path: Path) -> None:
    with closing(InFileFactory(tmp_path / FILE_NAME)) as factory:
        run_twins(seed, 300, Random(seed), factory)  # noqa: S311 - not a secret


class InFileFactory:
    """Makes one, and closes it in the end."""

    def __init__(self, path: Path) -> None:
        self._make = partial(InFile, path)

    def __call__(self, history: History) -> InFile:
        self._made = self._make(history)
        return self._made

    def close(self) -> None:
        self._made.close()
