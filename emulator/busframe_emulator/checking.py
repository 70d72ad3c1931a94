"""The command line: `busframe check FILE`, or `python -m busframe_emulator.checking FILE`."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from typing import Final

from busframe_emulator.delivery.checkers import CHECKS
from busframe_emulator.delivery.checkers.telling import as_data, as_text
from busframe_emulator.delivery.reading import check_history

VIOLATION: Final = 1
USAGE: Final = 2
UNDECIDED: Final = 3


def main(argv: list[str] | None = None) -> int:
    """Judge a history.

    Args:
        argv: the arguments, without the program's name; None for those of the process.

    Returns:
        The exit status: 0 if all is well, 1 if something is violated, 2 if the file is no history, 3 if something is
        undecided and that was asked for.
    """
    options = _parser().parse_args(argv)
    try:
        source = nullcontext(sys.stdin) if options.file == "-" else open(options.file, encoding="utf-8")  # noqa: SIM115, PTH123 - the `with` below closes it
        with source as lines:
            report = check_history(lines, allow=options.allow)
    except (OSError, ValueError) as error:
        print(f"busframe check: {options.file}: {error}", file=sys.stderr)  # noqa: T201 - this is a program
        return USAGE
    print(json.dumps(as_data(report), indent=2) if options.json else as_text(report))  # noqa: T201 - this is a program
    if report.state == "violation":
        return VIOLATION
    return UNDECIDED if report.state == "undecided" and options.strict else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="busframe check",
        description="Judge a history of a message broker: did it keep the delivery contract?",
        epilog="Exit status: 0 it did, 1 something is violated, 2 the file is no history, 3 undecided and --strict.",
    )
    parser.add_argument(
        "file", metavar="FILE", help="lines of JSON (docs/faults.md has the form); - for standard input"
    )
    parser.add_argument(
        "--allow", metavar="CHECK", action="append", default=[], choices=list(CHECKS), help="let this count as fine"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 3 if something is undecided")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
