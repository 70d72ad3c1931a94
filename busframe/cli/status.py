"""The file in which `busframe run --status FILE` tells how it is, and `busframe ps FILE`, which reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from busframe import runtime
from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STALE_S: Final = 10.0
"""A file that nobody has written for so long is left over from a process that is gone, or stuck."""


class StatusFile:
    """The file.

    Args:
        path: of it. It is written whole under another name and put in place, so a reader never sees half of it.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        if not self._path.parent.is_dir():
            raise InvalidArgumentError("--status", path, f"in a folder that is there; {self._path.parent} is not")

    async def write(self, workers: Sequence[Mapping[str, Any]]) -> None:
        """Write how each worker is."""
        whole = {"pid": os.getpid(), "written_at_s": runtime.wall_s(), "workers": workers}
        await runtime.run_blocking(lambda: self._write(json.dumps(whole)))

    def _write(self, text: str) -> None:
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self._path)

    def remove(self) -> None:
        """Remove it: nothing runs any more."""
        self._path.unlink(missing_ok=True)


def read_status(path: str) -> Mapping[str, Any]:
    """Read the file.

    Raises:
        InvalidArgumentError: there is none, or it is something else.
    """
    try:
        found: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        return {name: found[name] for name in ("pid", "written_at_s", "workers")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        allowed = f"a file that `busframe run --status FILE` keeps, while it runs: {error}"
        raise InvalidArgumentError("FILE", path, allowed) from error
