"""What the pages of `busframe run --metrics` say: of one process, or of all that are watched over.

    /metrics       for Prometheus
    /health/live   200 unless a process has stopped telling how it is: nothing but a restart helps
    /health/ready  200 while messages are taken and handled as they should be
    /health        200 if both; all three say how each process and each of its consumers is, as JSON

Where the broker is away a restart does not help: then it is live and not ready. The same goes for a handler that takes
long, since a restart would have it begin anew.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

from busframe import runtime
from busframe.cli.endpoint import Page
from busframe.cli.status import STALE_S
from busframe.samples import CONTENT_TYPE, Family, written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SILENT_S: Final = 30.0
"""A process that has told nothing for so long hangs: its event loop does not come round."""

Row = dict[str, Any]
"""How one process is: `worker`, `state`, `restarts`, and `report` (see `link.report`; None before the first)."""


class Told(Protocol):
    """Who knows how the processes are."""

    async def samples(self) -> Sequence[Family]:
        """The metrics of all of them."""
        ...

    def rows(self) -> Sequence[Row]:
        """How each of them is, now."""
        ...


class Pages:
    """The pages; see the top."""

    def __init__(self, told: Told) -> None:
        self._told = told

    async def page(self, path: str) -> Page | None:
        """Make the page of a path."""
        rows = self._told.rows()
        if path == "/metrics":
            return Page(HTTPStatus.OK, CONTENT_TYPE, written((*await self._told.samples(), *_of_workers(rows))))
        now_s = runtime.wall_s()
        live, ready = is_live(rows, now_s), is_ready(rows, now_s)
        well = {"/health": live and ready, "/health/live": live, "/health/ready": ready}.get(path)
        if well is None:
            return None
        text = json.dumps({"live": live, "ready": ready, "workers": rows}, indent=2)
        return Page(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, "application/json", f"{text}\n")


def is_live(rows: Sequence[Mapping[str, Any]], now_s: float) -> bool:
    """Tell whether every process that has begun still tells how it is."""
    return not any(_silent_for_s(row, now_s) > SILENT_S for row in rows)


def is_ready(rows: Sequence[Mapping[str, Any]], now_s: float) -> bool:
    """Tell whether messages are taken, and nothing is wrong anywhere.

    A process that is about to be replaced, or has just been, leaves the others to it.
    """
    return any(row["state"] == "running" for row in rows) and all(_is_well(row, now_s) for row in rows)


def _is_well(row: Mapping[str, Any], now_s: float) -> bool:
    if row["state"].startswith("waiting"):  # after a death
        return False
    if _silent_for_s(row, now_s) > STALE_S:
        return False
    report = row["report"]
    return report is None or all(consumer["healthy"] for consumer in report["consumers"])


def _silent_for_s(row: Mapping[str, Any], now_s: float) -> float:
    if row["report"] is None or row["state"] not in {"running", "draining"}:
        return 0.0
    silent_s: float = now_s - row["report"]["reported_at_s"]
    return silent_s


def _of_workers(rows: Sequence[Mapping[str, Any]]) -> tuple[Family, ...]:
    def family(name: str, kind: Any, help_text: str, values: Mapping[int, float]) -> Family:
        samples = tuple(("", {"worker": str(worker)}, float(value)) for worker, value in values.items())
        return Family(name=f"busframe_worker_{name}", kind=kind, help_text=help_text, samples=samples)

    running = {row["worker"]: row["state"] == "running" for row in rows}
    restarts = {row["worker"]: row["restarts"] for row in rows}
    memory = {row["worker"]: round(row["report"]["rss_mb"] * 1_048_576) for row in rows if row["report"] is not None}
    return (
        family("up", "gauge", "1 if the process runs and handles messages.", running),
        family("restarts_total", "counter", "Processes that were started in place of another.", restarts),
        family("memory_bytes", "gauge", "Memory that the process has in use.", memory),
    )
