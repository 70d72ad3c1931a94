"""What the URL says: which file, how safely written, how long to wait for other processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from busframe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from busframe.config import BackendUrl

Synchronous = Literal["full", "normal"]

_BUSY_TIMEOUT_S: Final = 5.0
_BUSY_TIMEOUT_S_MAX: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One SQLite file and how to treat it.

    Attributes:
        path: absolute.
        synchronous: "full" flushes every transaction to the disk before anybody hears of it; "normal" leaves the
            moment to the system, so that a power cut may take the last transactions, whole ones only.
        busy_timeout_s: how long a transaction waits for another process to end its own. 0 to 60.
    """

    path: Path
    synchronous: Synchronous = "full"
    busy_timeout_s: float = _BUSY_TIMEOUT_S

    @classmethod
    def from_url(cls, url: BackendUrl) -> Settings:
        """Read the URL.

        Raises:
            InvalidArgumentError: it names no file, or a parameter is unknown or out of range.
        """
        url.require_only({"synchronous", "busy_timeout_s"})
        if not url.place or url.place.startswith(":"):
            allowed = "the path of a file, such as sqlite:///queues.db; memory:// is the backend without a file"
            raise InvalidArgumentError("url", f"{url.scheme}:///{url.place}", allowed)
        synchronous = url.parameters.get("synchronous", "full")
        if synchronous not in {"full", "normal"}:
            raise InvalidArgumentError("url parameter synchronous", synchronous, "full or normal")
        return cls(
            path=Path(url.place).absolute(),
            synchronous="full" if synchronous == "full" else "normal",
            busy_timeout_s=url.number("busy_timeout_s", default=_BUSY_TIMEOUT_S, low=0, high=_BUSY_TIMEOUT_S_MAX),
        )
