"""`busframe COMMAND`: commands are found by the entry-point group `busframe.commands`.

So a command comes from whichever package brings it, and starting one imports that one alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from importlib.metadata import EntryPoints

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
    if given in (["--help"], ["-h"], ["help"]):
        print(_usage(commands))  # noqa: T201 - what was asked for
        return 0
    print(_complaint(given[0], commands.names) if given else _usage(commands), file=sys.stderr)  # noqa: T201 - a command line speaks so
    return 2


def _usage(commands: EntryPoints) -> str:
    from busframe.cli.summaries import summary

    width = max(map(len, commands.names), default=0)
    lines = "\n".join(f"  {command.name:{width}}  {summary(command)}" for command in sorted(commands))
    return f"""\
usage: busframe COMMAND ...

One async message bus over SQS, SQLite and an in-process SQS emulator.

commands:
{lines}

`busframe COMMAND --help` says more, `busframe --version` which this is."""


def _complaint(given: str, known: Collection[str]) -> str:
    from difflib import get_close_matches

    what = "option" if given.startswith("-") else "command"
    near = get_close_matches(given, known, n=1)
    advice = f"did you mean `busframe {near[0]}`?" if near else "`busframe --help` lists the commands"
    return f"busframe: there is no {what} {given!r}; {advice}"


def _run(given: list[str], load: Callable[[], object]) -> int:
    try:
        run = cast("Callable[[list[str]], int]", load())
    except ModuleNotFoundError as error:
        # A command's extra has the command's name.
        needs = f"busframe {given[0]} needs the package {error.name!r}: pip install 'busframe[{given[0]}]'"
        print(needs, file=sys.stderr)  # noqa: T201 - a command line speaks so
        return 1
    try:
        status = run(given[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        from busframe.cli.output import fall_silent

        fall_silent()
        return 0
    return status
