"""Watches a program's files, for `busframe run --reload`. By looking at them: it needs nothing that is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from busframe import runtime

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from anyio.abc import TaskStatus

LOOK_EVERY_S: Final = 0.5
NAMED_MAX: Final = 5

PASSED_OVER: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})
"""Folders in which nobody writes programs, beside those whose names begin with a dot."""


async def changed_files(task_status: TaskStatus[None]) -> AsyncGenerator[Sequence[str]]:
    """Name the `.py` files below the working directory that have changed, come or gone, as it happens.

    Args:
        task_status: told when the first look is over: from then on changes are seen.
    """
    here = Path.cwd()
    before = await runtime.run_blocking(lambda: stamps(here))
    task_status.started()
    while True:
        await runtime.sleep(LOOK_EVERY_S)
        now = await runtime.run_blocking(lambda: stamps(here))
        if now != before:
            changed = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
            before = now
            more = [f"{len(changed) - NAMED_MAX} more"] if len(changed) > NAMED_MAX else []
            yield [*changed[:NAMED_MAX], *more]


def stamps(folder: Path) -> Mapping[str, tuple[int, int]]:
    """When each file was written last, and its size, by its path in the folder."""
    found: dict[str, tuple[int, int]] = {}
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in PASSED_OVER and not name.startswith(".")]
        for name in files:
            if name.endswith(".py"):
                file = Path(path, name)
                try:
                    state = file.stat()
                except OSError:
                    continue  # gone since
                found[str(file.relative_to(folder))] = (state.st_mtime_ns, state.st_size)
    return found
