"""`busframe send` and `busframe publish`: put messages into the system by hand, or from a file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any, Final

import anyio

from busframe.bus import Bus
from busframe.cli.connecting import add_connection, connected
from busframe.cli.finding import find_bus, find_message_type
from busframe.cli.output import complain, say, say_json_line
from busframe.cli.running import DONE, EXIT_CODES, run
from busframe.codec import reader_of
from busframe.errors import BusframeError, CodecError, InvalidArgumentError
from busframe.message import queue_name

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from busframe.message_type import MessageType

UNDER_WAY_MAX: Final = 500
"""Lines being sent at a time: enough to fill batches, few enough to say where a file went wrong."""


def send(arguments: list[str] | None = None) -> int:
    """Run `busframe send ...` and return its exit code."""
    parser = ArgumentParser(
        prog="busframe send",
        usage="busframe send APP NAME JSON [options]\n       busframe send --queue QUEUE BODY [options]",
        description="Send a command to its owner, or a body as it is to a queue.",
        epilog=EXIT_CODES,
    )
    parser.add_argument(
        "what",
        nargs="+",
        help="module:bus, the command's name on the wire, and its payload; "
        "or with --queue a body. '-' in the last place reads one for each line of standard input",
    )
    raw = parser.add_argument_group("bodies as they are")
    raw.add_argument("--queue", help="send to this queue, as a program would that knows no bus")
    raw.add_argument(
        "--attribute", action="append", default=[], metavar="NAME=TEXT", help="a message attribute; repeatable"
    )
    raw.add_argument("--message-group", metavar="TEXT", help="an ordered queue needs one")
    raw.add_argument("--deduplication-id", metavar="TEXT", help="for an ordered queue")
    _add_options(parser)
    parsed = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    parsed.name = "send"
    return run(_send, parsed, name=parsed.name)


def publish(arguments: list[str] | None = None) -> int:
    """Run `busframe publish ...` and return its exit code."""
    parser = ArgumentParser(
        prog="busframe publish",
        usage="busframe publish APP NAME JSON [options]",
        description="Publish an event to all groups that have subscribed to it.",
        epilog=EXIT_CODES,
    )
    parser.add_argument(
        "what",
        nargs="+",
        help="module:bus, the event's name on the wire, and its payload; "
        "'-' for the payload reads one for each line of standard input",
    )
    _add_options(parser)
    parsed = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    parsed.name = "publish"
    return run(_publish, parsed, name=parsed.name)


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--delay-s", type=float, default=0.0, metavar="S", help="nobody gets it before")
    typed = parser.add_argument_group("messages of a bus")
    typed.add_argument("--tenant", help="on whose behalf")
    typed.add_argument("--key", help="in place of the value of the payload's own key")
    typed.add_argument(
        "--header", action="append", default=[], metavar="NAME=TEXT", help="the application's own; repeatable"
    )
    typed.add_argument("--correlation-id", metavar="ID", help="what it has to do with")
    parser.add_argument("--json", action="store_true", help="say what was sent as JSON, a line for each message")
    add_connection(parser)


async def _send(arguments: Namespace) -> int:
    if arguments.queue is not None:
        return await _send_bodies(arguments)
    bus, kind, payload = _typed(arguments, "command")
    async with connected(arguments, bus) as live:

        async def one(text: str) -> Mapping[str, Any]:
            message_id = await live.send(_read(kind, text), **_options(arguments))
            return {"type": kind.name, "message_id": message_id}

        return await _send_all(one, payload, arguments, _say_sent)


async def _publish(arguments: Namespace) -> int:
    bus, kind, payload = _typed(arguments, "event")
    async with connected(arguments, bus) as live:

        async def one(text: str) -> Mapping[str, Any]:
            queues = await live.publish(_read(kind, text), **_options(arguments))
            return {"type": kind.name, "queues": list(queues)}

        return await _send_all(one, payload, arguments, _say_published)


async def _send_bodies(arguments: Namespace) -> int:
    if len(arguments.what) != 1:
        raise InvalidArgumentError("what", arguments.what, "one body, beside --queue")
    for option in ("tenant", "key", "header", "correlation_id"):
        if getattr(arguments, option):
            allowed = "given without --queue: a body as it is has no such thing; --attribute and --message-group do"
            raise InvalidArgumentError(f"--{option.replace('_', '-')}", getattr(arguments, option), allowed)
    attributes = _pairs("--attribute", arguments.attribute)
    async with connected(arguments, Bus("busframe-cli")) as live:
        channel = live.queue(queue_name(arguments.queue, "--queue"))

        async def one(body: str) -> Mapping[str, Any]:
            message_id = await channel.send(
                body,
                attributes=attributes,
                delay_s=arguments.delay_s,
                group=arguments.message_group,
                deduplication_id=arguments.deduplication_id,
            )
            return {"queue": channel.name, "message_id": message_id}

        return await _send_all(one, arguments.what[0], arguments, _say_sent)


def _typed(arguments: Namespace, wanted: str) -> tuple[Bus, MessageType, str]:
    if len(arguments.what) != 3:  # noqa: PLR2004 - named in the error
        raise InvalidArgumentError(
            "what", arguments.what, f"three: module:bus, the {wanted}'s name, its payload as JSON or -"
        )
    app, name, payload = arguments.what
    bus = find_bus(app)
    kind = find_message_type(bus, app, name)
    if kind.kind != wanted:
        allowed = "a command's: events are for `busframe publish`"
        if wanted == "event":
            allowed = "an event's: commands are for `busframe send`"
        raise InvalidArgumentError("name", name, allowed)
    return bus, kind, payload


def _options(arguments: Namespace) -> Any:
    return {
        "delay_s": arguments.delay_s,
        "tenant": arguments.tenant,
        "key": arguments.key,
        "headers": _pairs("--header", arguments.header) or None,
        "correlation_id": arguments.correlation_id,
    }


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InvalidArgumentError(option, text, "NAME=TEXT")
        pairs[name] = value
    return pairs


def _read(kind: MessageType, text: str) -> object:
    try:
        return reader_of(kind)(text, kind.version, None)
    except CodecError as error:
        raise InvalidArgumentError("payload", text if len(text) <= 200 else f"{text[:200]}...", str(error)) from error  # noqa: PLR2004


def _say_sent(sent: Mapping[str, Any]) -> None:
    say(
        f"sent {sent['type']}: {sent['message_id']}"
        if "type" in sent
        else f"sent to {sent['queue']}: {sent['message_id']}"
    )


def _say_published(sent: Mapping[str, Any]) -> None:
    if sent["queues"]:
        say(f"published {sent['type']} to {', '.join(sent['queues'])}")
    else:
        say(f"published {sent['type']} to nobody: no group has subscribed to it")


async def _send_all(
    one: Callable[[str], Awaitable[Mapping[str, Any]]],
    text: str,
    arguments: Namespace,
    say_one: Callable[[Mapping[str, Any]], None],
) -> int:
    """Send one text, or for `-` each line of standard input; an empty line is passed over."""
    if text != "-":
        sent = await one(text)
        if arguments.json:
            say_json_line(sent)
        else:
            say_one(sent)
        return DONE
    stream = _Stream(one, say_json_line if arguments.json else None)
    await stream.send_lines()
    if stream.failure is not None:
        number, error = stream.failure
        complain(f"busframe {arguments.name}: stopped at line {number}, after sending {stream.count}")
        raise error
    if not arguments.json:
        say(f"{stream.count} sent")
    return DONE


class _Stream:
    """Lines of standard input on their way.

    Attributes:
        count: how many were sent.
        failure: the first that could not be, by its number, and why. No line behind it is read; some may be under way.
    """

    def __init__(
        self, one: Callable[[str], Awaitable[Mapping[str, Any]]], say_one: Callable[[Mapping[str, Any]], None] | None
    ) -> None:
        self.count = 0
        self.failure: tuple[int, BusframeError] | None = None
        self._one = one
        self._say_one = say_one
        self._places = anyio.Semaphore(UNDER_WAY_MAX)

    async def send_lines(self) -> None:
        """Send them all."""
        number = 0
        async with anyio.create_task_group() as tasks:
            async for line in anyio.wrap_file(sys.stdin):
                number += 1
                text = line.rstrip("\r\n")
                if not text:
                    continue
                await self._places.acquire()
                if self.failure is not None:
                    break
                tasks.start_soon(self._send, number, text)

    async def _send(self, number: int, text: str) -> None:
        try:
            sent = await self._one(text)
        except BusframeError as error:
            if self.failure is None or number < self.failure[0]:
                self.failure = (number, error)
        else:
            self.count += 1
            if self._say_one is not None:
                self._say_one(sent)
        finally:
            self._places.release()
