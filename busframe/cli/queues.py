"""`busframe peek`, `tail`, `stats` and `purge`: look at queues, and empty them."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from busframe import runtime
from busframe.bus import Bus
from busframe.cli import message_views as views
from busframe.cli import queue_views
from busframe.cli.connecting import add_app, add_connection, bus_of, connected
from busframe.cli.naming import add_queue, queue_of
from busframe.cli.output import age, complain, say, say_json, say_json_line, say_table
from busframe.cli.running import DONE, EXIT_CODES, run
from busframe.errors import ConfigurationError, InvalidArgumentError, QueueNotFoundError, UnsupportedError
from busframe.limits import PEEK_MAX

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from busframe.channel import Channel
    from busframe.message import Peeked, QueueName, Received
    from busframe.session import Live

CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"
"""Clears a terminal."""

SPAN_S: Final = 10.0
"""`stats --watch` tells how fast messages come and go over so long."""

INEXACT_SPAN_S: Final = 60.0
"""The same where counts lag (Amazon SQS, GetQueueAttributes: for a minute after producers have stopped, at least)."""

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
    parser = _parser(
        "stats", "Tell how full queues are, how old the oldest message is, and how fast messages come and go."
    )
    add_app(parser, required=False)
    parser.add_argument(
        "--prefix", default="", help="without a program: the queues whose names start so (default: all)"
    )
    parser.add_argument(
        "--interval-s",
        type=float,
        metavar="S",
        help="look twice, S seconds apart, and tell how fast messages came and went in between; with --watch: tell it "
        f"of the last S seconds (default: {SPAN_S:g}, and {INEXACT_SPAN_S:g} where the broker's counts lag)",
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
    for option, seconds in (("--watch", arguments.watch), ("--interval-s", arguments.interval_s)):
        if seconds is not None and not 0 < seconds < float("inf"):
            raise InvalidArgumentError(option, seconds, "more than 0 seconds, finite")
    if arguments.app is not None and arguments.prefix:
        raise InvalidArgumentError("--prefix", arguments.prefix, "given without a program, whose queues are known")
    bus = bus_of(arguments)
    async with connected(arguments, bus) as live:
        exact = live.capabilities.exact_stats
        span_s = arguments.interval_s or (SPAN_S if exact else INEXACT_SPAN_S)
        if arguments.interval_s is not None and not exact and span_s < INEXACT_SPAN_S:
            complain(
                f"busframe stats: this broker's counts may lag by a minute; a change within {span_s:g} s says little"
            )
        looks = deque([await _look(live, bus, arguments)])
        if arguments.watch is None and arguments.interval_s is not None:
            await runtime.sleep(arguments.interval_s)
            looks.append(await _look(live, bus, arguments))
        while True:
            _show(looks, arguments, exact=exact)
            if arguments.watch is None:
                return DONE
            sys.stdout.flush()
            await runtime.sleep(arguments.watch)
            looks.append(await _look(live, bus, arguments))
            # The latest that is old enough, and those after it.
            while len(looks) > 2 and looks[1].at_s <= looks[-1].at_s - span_s:  # noqa: PLR2004 - a first and a last
                looks.popleft()


@dataclass(frozen=True, slots=True)
class _Look:
    at_s: float
    queues: Mapping[QueueName, queue_views.Seen]


async def _look(live: Live, bus: Bus, arguments: Namespace) -> _Look:
    """How full the queues are."""
    at_s = runtime.now_s()
    names: Sequence[QueueName]
    if arguments.app is None:
        names = await live.queues(arguments.prefix)
    else:
        names = [queue for group in bus.groups.values() for queue in (group.queue, group.dead_queue)]
    found: dict[QueueName, queue_views.Seen] = {}
    for name in names:
        try:
            stats = await live.queue(name).stats()
        except QueueNotFoundError:
            stats = None
        found[name] = queue_views.Seen(runtime.now_s(), stats)
    return _Look(at_s, found)


def _show(looks: Sequence[_Look], arguments: Namespace, *, exact: bool) -> None:
    at = runtime.iso_time(runtime.wall_s())
    first, last = looks[0].queues, looks[-1].queues
    rates: dict[QueueName, queue_views.Rates | None] | None = None
    if arguments.watch is not None or arguments.interval_s is not None:
        rates = {name: queue_views.rates_between(first.get(name), seen) for name, seen in last.items()}
    if arguments.json:
        told = {"at": at, "exact": exact, "queues": queue_views.as_json(last, rates)}
        (say_json if arguments.watch is None else say_json_line)(told)
        return
    if arguments.watch is not None:
        over = f", rates over {age(looks[-1].at_s - looks[0].at_s)}" if len(looks) > 1 else ""
        say(f"{CLEAR if sys.stdout.isatty() else ''}{at}{over}")
    if last:
        queue_views.say_queues(last, rates, exact=exact)
    else:
        say("there are no queues" + (f" whose names start with {arguments.prefix!r}" if arguments.prefix else ""))


async def _purge(arguments: Namespace) -> int:
    async with connected(arguments, Bus("busframe-cli")) as live:
        channel = live.queue(await queue_of(live, arguments.queue))
        there = (await channel.stats()).total
        if not arguments.yes:
            raise ConfigurationError(
                f"this removes the {there} messages of {channel.name} for good; add --yes to do it"
            )
        await channel.purge()
    say(f"removed about {there} messages from {channel.name}")
    return DONE
