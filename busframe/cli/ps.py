"""`busframe ps`: which process does what."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from busframe import runtime
from busframe.cli.output import age, complain, say_json, say_table
from busframe.cli.running import DONE, EXIT_CODES, FOUND, run
from busframe.cli.status import STALE_S, read_status

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping

COLUMNS = (
    *("worker", "pid", "state", "up", "rss mb", "restarts"),
    *("queue", "polling", "in hand", "running", "oldest", "handled", "retried", "dead"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run `busframe ps FILE` and return its exit code."""
    parser = ArgumentParser(
        prog="busframe ps",
        description="Show which process does what, from the file that `busframe run --status FILE` keeps. "
        "Exit code 1 if a consumer is not healthy, a process is not running, or nobody keeps the file any more.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("file", metavar="FILE", help="what was given to `busframe run --status`")
    parser.add_argument("--json", action="store_true", help="for programs")
    return run(_show, parser.parse_args(sys.argv[1:] if arguments is None else arguments), name="ps")


async def _show(arguments: Namespace) -> int:
    status = read_status(arguments.file)
    if arguments.json:
        say_json(status)
    else:
        say_table(COLUMNS, [row for worker in status["workers"] for row in _rows(worker)])
    old_s = runtime.wall_s() - status["written_at_s"]
    if old_s > STALE_S:
        complain(f"busframe ps: {arguments.file} is {age(old_s)} old: process {status['pid']} is gone or stuck")
        return FOUND
    return DONE if all(_is_healthy(worker) for worker in status["workers"]) else FOUND


def _rows(worker: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    """A row for each queue; the process is named in the first."""
    report = worker["report"]
    if report is None:
        yield (worker["worker"], None, worker["state"], None, None, worker["restarts"], *[None] * 8)
        return
    up = age(runtime.wall_s() - report["started_at_s"])
    process = (worker["worker"], report["pid"], worker["state"], up, report["rss_mb"], worker["restarts"])
    for consumer in report["consumers"] or [None]:
        yield (*process, *_work(consumer, report["counts"]))
        process = ("", None, "", "", None, None)


def _work(consumer: Mapping[str, Any] | None, counts: Mapping[str, Mapping[str, int]]) -> tuple[object, ...]:
    if consumer is None:
        return (None,) * 8
    of = counts[consumer["queue"]]
    return (
        consumer["queue"],
        consumer["state"] if not consumer["stuck"] else f"{consumer['state']}, {consumer['stuck']} stuck",
        consumer["in_hand"],
        consumer["running"],
        age(consumer["oldest_running_s"]),
        *(of[what] for what in ("handled", "retried", "dead_lettered")),
    )


def _is_healthy(worker: Mapping[str, Any]) -> bool:
    report = worker["report"]
    return (
        worker["state"] in {"running", "draining", "done"}
        and report is not None
        and all(consumer["healthy"] for consumer in report["consumers"])
    )
