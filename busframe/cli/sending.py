"""`busframe send` and `busframe publish`: put messages into the system by hand, or from a file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anyio

from busframe.bus import Bus
from busframe.cli.connecting import add_connection, connected
from busframe.cli.finding import find_bus, find_message_type
from busframe.cli.output import complain, fall_silent, say, say_json_line
from busframe.cli.running import DONE, EXIT_CODES, run
from busframe.codec import key_of, reader_of
from busframe.errors import BusframeError, CodecError, InvalidArgumentError
from busframe.message import is_ordered, queue_name

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from busframe.message_type import MessageType

UNDER_WAY_MAX: Final = 500
"""Lines being sent at a time: enough to fill batches, few enough to say where a file went wrong."""


class _Ready(NamedTuple):
    """What is to be sent, read and checked.

    Attributes:
        key: what goes by the same key goes one after the other; by None, in no order.
        send: sends it, and says what was sent.
    """

    key: str | None
    send: Callable[[], Awaitable[Mapping[str, Any]]]


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
    typed.add_argument("--id", help="a name of your own for the message, the same when it is sent again")
    parser.add_argument("--json", action="store_true", help="say what was sent as JSON, a line for each message")
    add_connection(parser)


async def _send(arguments: Namespace) -> int:
    if arguments.queue is not None:
        return await _send_bodies(arguments)
    bus, kind, payload = _typed(arguments, "command")
    async with connected(arguments, bus) as live:

        async def one(command: object) -> Mapping[str, Any]:
            message_id = await live.send(command, **_options(arguments))
            return {"type": kind.name, "message_id": message_id}

        return await _send_all(partial(_typed_ready, one, kind, arguments.key), payload, arguments, _say_sent)


async def _publish(arguments: Namespace) -> int:
    bus, kind, payload = _typed(arguments, "event")
    async with connected(arguments, bus) as live:

        async def one(event: object) -> Mapping[str, Any]:
            queues = await live.publish(event, **_options(arguments))
            return {"type": kind.name, "queues": list(queues)}

        return await _send_all(partial(_typed_ready, one, kind, arguments.key), payload, arguments, _say_published)


async def _send_bodies(arguments: Namespace) -> int:
    if len(arguments.what) != 1:
        raise InvalidArgumentError("what", arguments.what, "one body, beside --queue")
    for option in ("tenant", "key", "header", "correlation_id", "id"):
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

        def ready(body: str) -> _Ready:
            # On any other queue the group is no order, but whom to be fair among.
            return _Ready(arguments.message_group if is_ordered(channel.name) else None, partial(one, body))

        return await _send_all(ready, arguments.what[0], arguments, _say_sent)


def _typed(arguments: Namespace, wanted: str) -> tuple[Bus, MessageType, str]:
    if len(arguments.what) != 3:  # noqa: PLR2004 - named in the error
        raise InvalidArgumentError(
            "what", arguments.what, f"three: module:bus, the {wanted}'s name, its payload as JSON or -"
        )
    app, name, payload = arguments.what
    if payload == "-" and arguments.id is not None:
        raise InvalidArgumentError("--id", arguments.id, "given with one payload: an id stands for one message")
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
        "id": arguments.id,
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


def _typed_ready(
    send_one: Callable[[object], Awaitable[Mapping[str, Any]]], kind: MessageType, key: str | None, text: str
) -> _Ready:
    payload = _read(kind, text)
    return _Ready(key_of(payload, kind) if key is None else key, partial(send_one, payload))


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
    ready: Callable[[str], _Ready],
    text: str,
    arguments: Namespace,
    say_one: Callable[[Mapping[str, Any]], None],
) -> int:
    """Send one text, or for `-` each line of standard input; an empty line is passed over."""
    if text != "-":
        sent = await ready(text).send()
        if arguments.json:
            say_json_line(sent)
        else:
            say_one(sent)
        return DONE
    stream = _Stream(ready, say_json_line if arguments.json else None)
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
        failure: the first that could not be, by its number, and why. No line behind it is read; some may be under way,
            but none of the same key.
    """

    def __init__(self, ready: Callable[[str], _Ready], say_one: Callable[[Mapping[str, Any]], None] | None) -> None:
        self.count = 0
        self.failure: tuple[int, BusframeError] | None = None
        self._ready = ready
        self._say_one = say_one
        self._places = anyio.Semaphore(UNDER_WAY_MAX)
        self._last_of: dict[str, anyio.Event] = {}  # by key, what is set when the last line read is over

    async def send_lines(self) -> None:
        """Send them all, those of a key one after the other: calls at the same time may overtake each other."""
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
                try:
                    ready = self._ready(text)
                except BusframeError as error:
                    self._note(number, error)
                    break
                before, over = None, anyio.Event()
                if ready.key is not None:
                    before = self._last_of.get(ready.key)
                    self._last_of[ready.key] = over
                tasks.start_soon(self._send, number, ready, before, over)

    async def _send(self, number: int, ready: _Ready, before: anyio.Event | None, over: anyio.Event) -> None:
        try:
            if before is not None:
                await before.wait()
            if self.failure is not None and self.failure[0] < number:
                return
            sent = await ready.send()
        except BusframeError as error:
            self._note(number, error)
        else:
            self.count += 1
            if self._say_one is not None:
                try:
                    self._say_one(sent)
                except BrokenPipeError:
                    fall_silent()  # and go on: the other lines are to be sent, whoever listens
        finally:
            over.set()
            if ready.key is not None and self._last_of.get(ready.key) is over:
                del self._last_of[ready.key]
            self._places.release()

    def _note(self, number: int, error: BusframeError) -> None:
        if self.failure is None or number < self.failure[0]:
            self.failure = (number, error)
