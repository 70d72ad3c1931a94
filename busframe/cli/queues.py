"""`busframe peek`, `tail`, `stats` and `purge`: look at queues, and empty them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from busframe import runtime
from busframe.bus import Bus
from busframe.cli import message_views as views
from busframe.cli.connecting import add_app, add_connection, bus_of, connected
from busframe.cli.naming import add_queue, queue_of
from busframe.cli.output import age, complain, say, say_json, say_json_line, say_table
from busframe.cli.running import DONE, EXIT_CODES, run
from busframe.errors import ConfigurationError, InvalidArgumentError, QueueNotFoundError, UnsupportedError
from busframe.limits import PEEK_MAX
from busframe.queue_names import dead_queue, source_of_dead

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from busframe.backend import QueueStats
    from busframe.channel import Channel
    from busframe.message import Peeked, QueueName, Received
    from busframe.session import Live

CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"
"""Clears a terminal."""

REMEMBERED_MAX: Final = 100_000
"""Messages that `tail` knows it has shown: one given back with a delay may move to the end of its queue."""


def peek(arguments: list[str] | None = None) -> int:
    """Run `busframe peek ...` and return its exit code."""
    parser = _parser("peek", "Show messages of a queue without receiving them.")
    add_queue(parser)
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many, from the oldest on (default: 20)")
    parser.add_argument("--full", action="store_true", help="show them whole")
    parser.add_argument("--json", action="store_true", help="for programs: a line for each message")
    parser.add_argument(
        "--receive",
        action="store_true",
        help="where the broker shows messages only to those who receive them, as Amazon SQS does: receive them and "
        "give them back. Each counts as a delivery, and is hidden from consumers meanwhile",
    )
    return _run(_peek, parser, arguments)


def tail(arguments: list[str] | None = None) -> int:
    """Run `busframe tail ...` and return its exit code."""
    parser = _parser(
        "tail",
        "Show messages as they come onto a queue, without receiving them, until interrupted. One that is handled "
        "between two looks is not seen.",
    )
    add_queue(parser)
    parser.add_argument("--from-start", action="store_true", help="begin with what is there already")
    parser.add_argument("--limit", type=int, metavar="N", help="end after so many messages")
    parser.add_argument("--interval-s", type=float, default=0.5, metavar="S", help="between two looks (default: 0.5)")
    parser.add_argument("--json", action="store_true", help="for programs: a line for each message")
    return _run(_tail, parser, arguments)


def stats(arguments: list[str] | None = None) -> int:
    """Run `busframe stats ...` and return its exit code."""
    parser = _parser("stats", "Tell how full queues are, and how old the oldest message is.")
    add_app(parser, required=False)
    parser.add_argument(
        "--prefix", default="", help="without a program: the queues whose names start so (default: all)"
    )
    parser.add_argument(
        "--watch", type=float, nargs="?", const=2.0, metavar="S", help="again and again, every S seconds (default: 2)"
    )
    parser.add_argument("--json", action="store_true", help="for programs; with --watch a line for each look")
    return _run(_stats, parser, arguments)


def purge(arguments: list[str] | None = None) -> int:
    """Run `busframe purge ...` and return its exit code."""
    parser = _parser("purge", "Remove all messages of a queue for good, those in flight and delayed included.")
    add_queue(parser)
    parser.add_argument("--yes", action="store_true", help="really; without it, tell how many there are")
    return _run(_purge, parser, arguments)


def _parser(name: str, text: str) -> ArgumentParser:
    parser = ArgumentParser(prog=f"busframe {name}", description=text, epilog=EXIT_CODES)
    add_connection(parser)
    return parser


def _run(command: Callable[[Namespace], Awaitable[int]], parser: ArgumentParser, arguments: list[str] | None) -> int:
    parsed = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    return run(command, parsed, name=parser.prog.removeprefix("busframe "))


async def _peek(arguments: Namespace) -> int:
    if not 1 <= arguments.limit <= PEEK_MAX:
        raise InvalidArgumentError("--limit", arguments.limit, f"1 to {PEEK_MAX}")
    async with connected(arguments, Bus("busframe-cli")) as live:
        channel = live.queue(await queue_of(live, arguments.queue))
        messages: list[Peeked | Received] = []
        try:
            messages += await channel.peek(limit=arguments.limit)
        except UnsupportedError as error:
            if not arguments.receive:
                raise UnsupportedError(f"{error}; --receive does, and counts as a delivery of each") from error
            complain(f"busframe peek: receiving from {channel.name}: each message counts as delivered once more")
            messages += await channel.sample(limit=arguments.limit)
    if arguments.json:
        for shown in messages:
            say_json_line(views.as_json(shown))
    elif arguments.full:
        for index, shown in enumerate(messages):
            if index:
                say("\n")
            views.say_whole(views.as_json(shown))
    elif messages:
        say_table(views.COLUMNS, map(views.row_of, messages))
    else:
        say(f"{channel.name} is empty")
    return DONE


async def _tail(arguments: Namespace) -> int:
    if arguments.limit is not None and arguments.limit < 1:
        raise InvalidArgumentError("--limit", arguments.limit, "1 or more")
    if not 0 < arguments.interval_s < float("inf"):
        raise InvalidArgumentError("--interval-s", arguments.interval_s, "more than 0 seconds, finite")
    async with connected(arguments, Bus("busframe-cli")) as live:
        channel = live.queue(await queue_of(live, arguments.queue))
        follower = _Follower(channel)
        if not arguments.from_start:
            while await follower.next():
                pass
        complain(f"busframe tail: following {channel.name} until interrupted")
        left: int | None = arguments.limit
        while left != 0:
            batch = (await follower.next())[:left]
            for message in batch:
                _say_followed(message, as_json=arguments.json)
            left = None if left is None else left - len(batch)
            if not batch:
                await runtime.sleep(arguments.interval_s)
    return DONE


class _Follower:
    """Sees each message of a queue once."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._position: str | None = None
        self._seen: dict[str, None] = {}

    async def next(self) -> Sequence[Peeked]:
        """The messages that have come since the last look; empty if none have."""
        while batch := await self._channel.peek(limit=PEEK_MAX, after=self._position):
            self._position = batch[-1].position
            fresh = [message for message in batch if message.message_id not in self._seen]
            self._seen.update((message.message_id, None) for message in fresh)
            while len(self._seen) > REMEMBERED_MAX:
                del self._seen[next(iter(self._seen))]
            if fresh:
                return fresh
        return ()


def _say_followed(message: Peeked, *, as_json: bool) -> None:
    if as_json:
        say_json_line(views.as_json(message))
        return
    headers = views.headers_of(message)
    kind = "-" if headers is None else headers.type
    say(f"{runtime.iso_time(message.sent_at_s)}  {message.message_id}  {kind}  {views.short(message.body)}")
    sys.stdout.flush()


async def _stats(arguments: Namespace) -> int:
    if arguments.watch is not None and not 0 < arguments.watch < float("inf"):
        raise InvalidArgumentError("--watch", arguments.watch, "more than 0 seconds, finite")
    if arguments.app is not None and arguments.prefix:
        raise InvalidArgumentError("--prefix", arguments.prefix, "given without a program, whose queues are known")
    bus = bus_of(arguments)
    async with connected(arguments, bus) as live:
        while True:
            queues = await _look(live, bus, arguments)
            _show(queues, arguments)
            if arguments.watch is None:
                return DONE
            sys.stdout.flush()
            await runtime.sleep(arguments.watch)


async def _look(live: Live, bus: Bus, arguments: Namespace) -> Mapping[QueueName, QueueStats | None]:
    """How full the queues are; None if one is not there."""
    names: Sequence[QueueName]
    if arguments.app is None:
        names = await live.queues(arguments.prefix)
    else:
        names = [queue for group in bus.groups.values() for queue in (group.queue, group.dead_queue)]
    found: dict[QueueName, QueueStats | None] = {}
    for name in names:
        try:
            found[name] = await live.queue(name).stats()
        except QueueNotFoundError:
            found[name] = None
    return found


def _show(queues: Mapping[QueueName, QueueStats | None], arguments: Namespace) -> None:
    at = runtime.iso_time(runtime.wall_s())
    if arguments.json:
        told: dict[str, Any] = {name: None if of is None else asdict(of) for name, of in queues.items()}
        (say_json if arguments.watch is None else say_json_line)({"at": at, "queues": told})
        return
    if arguments.watch is not None:
        say(f"{CLEAR if sys.stdout.isatty() else ''}{at}")
    if not queues:
        say("there are no queues" + (f" whose names start with {arguments.prefix!r}" if arguments.prefix else ""))
        return
    # A dead-letter queue is a column of its queue's row, and a row only if its queue is not shown.
    rows = [name for name in queues if source_of_dead(name) not in queues]
    say_table(
        ("queue", "visible", "in flight", "delayed", "oldest", "dead"),
        [(name, *_numbers(queues[name]), _letters(queues, name)) for name in rows],
    )


def _numbers(of: QueueStats | None) -> tuple[object, ...]:
    return ("missing", None, None, None) if of is None else (of.visible, of.in_flight, of.delayed, age(of.oldest_age_s))


def _letters(queues: Mapping[QueueName, QueueStats | None], name: QueueName) -> int | None:
    dead = queues.get(dead_queue(name)) if source_of_dead(name) is None else None
    return None if dead is None else total(dead)


def total(of: QueueStats) -> int:
    """All messages of a queue."""
    return of.visible + of.in_flight + of.delayed


async def _purge(arguments: Namespace) -> int:
    async with connected(arguments, Bus("busframe-cli")) as live:
        channel = live.queue(await queue_of(live, arguments.queue))
        there = total(await channel.stats())
        if not arguments.yes:
            raise ConfigurationError(
                f"this removes the {there} messages of {channel.name} for good; add --yes to do it"
            )
        await channel.purge()
    say(f"removed about {there} messages from {channel.name}")
    return DONE
