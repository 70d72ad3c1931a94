"""`busframe dead`: look at dead letters, send them back, throw them away."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from busframe.bus import Bus
from busframe.cli import message_views as views
from busframe.cli.connecting import add_connection, connected
from busframe.cli.naming import add_queue, queue_of
from busframe.cli.output import complain, say, say_json_line, say_table
from busframe.cli.running import DONE, EXIT_CODES, FOUND, run
from busframe.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.dead_letters import Buried, DeadLetterQueue, Passed
    from busframe.session import Live


def main(arguments: list[str] | None = None) -> int:
    """Run `busframe dead ...` and return its exit code."""
    parsed = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    command: Callable[[Namespace], Awaitable[int]] = parsed.command
    return run(command, parsed, name=f"dead {parsed.name}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="busframe dead", description="Look at dead letters, send them back, throw them away.", epilog=EXIT_CODES
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[Namespace], Awaitable[int]], text: str) -> ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EXIT_CODES)
        added.set_defaults(command=command, name=name)
        add_queue(added, text="the queue, or its dead-letter queue")
        add_connection(added)
        return added

    shown = add("list", _list, "list dead letters, why they died and when")
    _add_selection(shown)
    shown.add_argument("--max", type=int, default=50, metavar="N", help="at most so many (default: 50)")
    shown.add_argument("--json", action="store_true", help="for programs: a line for each letter")

    whole = add("show", _show, "show one dead letter whole")
    whole.add_argument("id", metavar="ID", help="the message's, as `list` shows it, or the id the bus gave it")
    whole.add_argument("--json", action="store_true", help="for programs")

    replay = add("replay", _replay, "send dead letters back to the queue they came from, with no attempts behind them")
    replay.add_argument("--to", metavar="QUEUE", help="send them to this queue instead")
    drop = add("drop", _drop, "remove dead letters for good")
    drop.add_argument("--yes", action="store_true", help="really; without it, tell which")
    for command in (replay, drop):
        _add_selection(command)
        command.add_argument("--all", action="store_true", help="all of them")
        command.add_argument("--max", type=int, metavar="N", help="at most so many")
        command.add_argument("--dry-run", action="store_true", help="tell which, and do nothing")
        command.add_argument("--json", action="store_true", help="for programs: a line for each letter")
    return parser


def _add_selection(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("which letters: those that all of these are true of")
    group.add_argument("--id", action="append", metavar="ID", help="of the message, or the bus's; repeatable")
    group.add_argument("--reason", metavar="TEXT", help="the reason contains this")
    group.add_argument("--type", metavar="NAME", help="the message type's name on the wire")


def _selection(arguments: Namespace) -> Callable[[Buried], bool] | None:
    ids: frozenset[str] | None = None if arguments.id is None else frozenset(arguments.id)
    reason: str | None = arguments.reason
    kind: str | None = arguments.type
    if ids is None and reason is None and kind is None:
        return None

    def is_meant(letter: Buried) -> bool:
        return (
            (ids is None or not ids.isdisjoint({letter.message_id, letter.id}))
            and (reason is None or reason in (letter.reason or ""))
            and (kind is None or kind == letter.type)
        )

    return is_meant


async def _letters_of(live: Live, arguments: Namespace) -> DeadLetterQueue:
    return live.dead_letters(await queue_of(live, arguments.queue))


async def _list(arguments: Namespace) -> int:
    _check_max(arguments)
    async with connected(arguments, Bus("busframe-cli")) as live:
        queue = await _letters_of(live, arguments)
        # One more, to know whether there are more.
        letters = await queue.list(_selection(arguments), limit=arguments.max + 1)
    _say_letters(letters[: arguments.max], as_json=arguments.json)
    if not letters and not arguments.json:
        say(f"no such letters on {queue.name}")
    if len(letters) > arguments.max:
        complain(f"busframe dead list: there are more than these {arguments.max}; --max N shows more")
    return DONE


async def _show(arguments: Namespace) -> int:
    async with connected(arguments, Bus("busframe-cli")) as live:
        queue = await _letters_of(live, arguments)
        letters = await queue.list(lambda letter: arguments.id in {letter.message_id, letter.id}, limit=1)
    if not letters:
        raise InvalidArgumentError(
            "ID", arguments.id, f"the id of a letter on {queue.name}; `busframe dead list` has them"
        )
    if arguments.json:
        say_json_line(views.dead_as_json(letters[0]))
    else:
        views.say_whole(views.dead_as_json(letters[0]))
    return DONE


async def _replay(arguments: Namespace) -> int:
    select = _required_selection(arguments)
    async with connected(arguments, Bus("busframe-cli")) as live:
        queue = await _letters_of(live, arguments)
        if arguments.dry_run:
            return await _rehearse(queue, select, arguments, "would be replayed")
        to = None if arguments.to is None else await queue_of(live, arguments.to)
        passed = await queue.replay(select, limit=arguments.max, to=to)
    return _conclude(passed, arguments, "replayed")


async def _drop(arguments: Namespace) -> int:
    select = _required_selection(arguments)
    async with connected(arguments, Bus("busframe-cli")) as live:
        queue = await _letters_of(live, arguments)
        if arguments.dry_run:
            return await _rehearse(queue, select, arguments, "would be dropped")
        if not arguments.yes:
            meant = len(await queue.list(select, limit=arguments.max))
            raise ConfigurationError(f"this removes {meant} letters of {queue.name} for good; add --yes to do it")
        passed = await queue.drop(select, limit=arguments.max)
    return _conclude(passed, arguments, "dropped")


def _required_selection(arguments: Namespace) -> Callable[[Buried], bool] | None:
    _check_max(arguments)
    select = _selection(arguments)
    if select is None and not arguments.all:
        raise ConfigurationError("nothing says which letters: give --all, or some of --id, --reason and --type")
    if select is not None and arguments.all:
        raise ConfigurationError("--all goes with none of --id, --reason and --type: give the one or the others")
    return select


def _check_max(arguments: Namespace) -> None:
    if arguments.max is not None and arguments.max < 1:
        raise InvalidArgumentError("--max", arguments.max, "1 or more")


async def _rehearse(
    queue: DeadLetterQueue, select: Callable[[Buried], bool] | None, arguments: Namespace, what: str
) -> int:
    letters = await queue.list(select, limit=arguments.max)
    _say_letters(letters, as_json=arguments.json)
    if not arguments.json:
        say(f"{len(letters)} {what}")
    return DONE


def _conclude(passed: Passed, arguments: Namespace, what: str) -> int:
    if arguments.json:
        _say_letters(passed.done, as_json=True)
    else:
        say(f"{len(passed.done)} {what}, {passed.kept} left alone")
    for letter, error in passed.failed:
        complain(f"busframe dead {arguments.name}: {letter.message_id} is still there: {error}")
    missed = set(arguments.id or ()) - {name for letter in passed.done for name in (letter.message_id, letter.id)}
    if missed and not passed.failed:
        complain(f"busframe dead {arguments.name}: there is no {', '.join(sorted(missed))}")
    return FOUND if passed.failed or missed else DONE


def _say_letters(letters: Sequence[Buried], *, as_json: bool) -> None:
    if as_json:
        for letter in letters:
            say_json_line(views.dead_as_json(letter))
    elif letters:
        say_table(views.DEAD_COLUMNS, map(views.dead_row_of, letters))
