"""`busframe COMMAND`: commands are found by the entry-point group `busframe.commands`.

So a command comes from whichever package brings it, and starting one imports that one alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

FOUND: Final = {"emulator": ("busframe_emulator.__main__", "main")}
"""What this distribution's own entry points say, for a command that has to start in milliseconds: looking through those
of all that is installed takes longer than many a server's whole start."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 2 if there is no such command."""
    given = sys.argv[1:] if arguments is None else arguments
    if given and given[0] in FOUND:
        module, name = FOUND[given[0]]
        return _run(given, lambda: getattr(import_module(module), name))
    from importlib.metadata import entry_points, version

    commands = entry_points(group="busframe.commands")
    if given and given[0] in commands.names:
        return _run(given, commands[given[0]].load)
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


def _run(given: list[str], load: Callable[[], object]) -> int:
    try:
        run = cast("Callable[[list[str]], int]", load())
    except ModuleNotFoundError as error:
        # A command's extra has the command's name.
        needs = f"busframe {given[0]} needs the package {error.name!r}: pip install 'busframe[{given[0]}]'"
        print(needs, file=sys.stderr)  # noqa: T201 - a command line speaks so
        return 1
    return run(given[1:])
