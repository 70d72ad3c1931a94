"""`busframe COMMAND`: commands are found by the entry-point group `busframe.commands`.

So a command comes from whichever package brings it, and starting one imports that one alone.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 2 if there is no such command."""
    given = sys.argv[1:] if arguments is None else arguments
    commands = entry_points(group="busframe.commands")
    if given and given[0] in commands.names:
        try:
            run = cast("Callable[[list[str]], int]", commands[given[0]].load())
        except ModuleNotFoundError as error:
            # A command's extra has the command's name.
            needs = f"busframe {given[0]} needs the package {error.name!r}: pip install 'busframe[{given[0]}]'"
            print(needs, file=sys.stderr)  # noqa: T201 - a command line speaks so
            return 1
        return run(given[1:])
    if given == ["--version"]:
        print(f"busframe {version('busframe')}")  # noqa: T201 - what was asked for
        return 0
    known = "\n".join(f"  busframe {name}" for name in sorted(commands.names))
    usage = f"usage: busframe COMMAND ...\n\ncommands:\n{known}\n\nbusframe COMMAND --help says more."
    if given in (["--help"], ["-h"]):
        print(usage)  # noqa: T201 - what was asked for
        return 0
    if given:
        print(f"busframe: there is no command {given[0]!r}", file=sys.stderr)  # noqa: T201 - a command line speaks so
    print(usage, file=sys.stderr)  # noqa: T201 - the same
    return 2
