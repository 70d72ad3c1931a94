"""`busframe timeline FILE`: what happened in a failed simulation, in lanes, as text or as a web page."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

from busframe.cli.output import complain, say
from busframe.simulation import failure_file
from busframe.simulation.lanes import WIDTH, focused, in_lanes
from busframe.simulation.page import html_page

_LINES_MAX = 60
_WIDTH_MIN = 72


def main(arguments: list[str] | None = None) -> int:
    """Run `busframe timeline ...` and return its exit code: 2 if the file cannot be read or written."""
    parser = ArgumentParser(
        prog="busframe timeline",
        description="Show what happened in a failed simulation: a lane for each node and each message.",
    )
    parser.add_argument(
        "file", type=Path, help="a failure as a test run has kept it: .busframe/failures/NAME-SEED.json"
    )
    parser.add_argument("--all", action="store_true", help="all messages, all lines")
    parser.add_argument("--width", type=int, default=WIDTH, metavar="N", help=f"of the text ({WIDTH})")
    parser.add_argument("--html", type=Path, metavar="OUT", help="write one HTML page that needs nothing else")
    parsed = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    if parsed.width < _WIDTH_MIN:
        parser.error(f"--width={parsed.width}: {_WIDTH_MIN} or more")
    try:
        saved = failure_file.load(parsed.file)
        if parsed.html is not None:
            parsed.html.write_text(html_page(saved), encoding="utf-8")
            say(f"wrote {parsed.html}")
            return 0
    except (OSError, ValueError) as error:
        complain(f"busframe timeline: {error}")
        return 2
    say(f"{saved.check} in {saved.name} ({saved.where})")
    say(saved.text)
    for words, reason in saved.deviations:
        say(f"  {words}")
        say(f"    allowed: {reason}")
    say()
    everything = saved.lines
    lines = everything if parsed.all else focused(saved)
    for line in in_lanes(lines, width=parsed.width, most=None if parsed.all else _LINES_MAX):
        say(line)
    if (left := len(everything) - min(len(lines), _LINES_MAX)) and not parsed.all:
        say(f"{left} lines are left out: --all shows them")
    if saved.replay:
        say()
        say(f"replay: {saved.replay}")
    return 0
