"""`busframe topology`: see, check and change who subscribed to what."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from busframe.bus import Bus
from busframe.cli import topology_views as views
from busframe.cli.connecting import add_app, add_connection, bus_of, connected, recipients_of, url_of
from busframe.cli.output import complain, say, say_json
from busframe.cli.running import DONE, EXIT_CODES, FOUND, run
from busframe.config import BackendUrl
from busframe.errors import InvalidArgumentError
from busframe.message import queue_name
from busframe.topology.access import access_of, policy_writer
from busframe.topology.edits import moved, with_state

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable, Sequence

    from busframe.recipients import Subscription
    from busframe.topology.operations import Topology


def main(arguments: list[str] | None = None) -> int:
    """Run `busframe topology ...` and return its exit code (see `busframe.cli.running`)."""
    parsed = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    command: Callable[[Namespace], Awaitable[int]] = parsed.command
    return run(command, parsed, name=f"topology {parsed.name}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="busframe topology", description="See, check and change who subscribed to what.", epilog=EXIT_CODES
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[Namespace], Awaitable[int]], text: str) -> ArgumentParser:
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EXIT_CODES)
        added.set_defaults(command=command, name=name)
        add_connection(added)
        return added

    show = add("show", _show, "print topics, groups and queues, and how full these are")
    add_app(show, required=False)
    show.add_argument("--no-depths", action="store_true", help="do not ask how full the queues are")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument("--dot", action="store_true", help="for Graphviz")

    check = add("check", _check, "tell where program, recipient list and queues differ; exit code 1 if they do")
    apply = add("apply", _apply, "make list and queues what the program says")
    for command in (check, apply):
        add_app(command)
        command.add_argument("--prefix", help="queues whose names start so must belong to somebody (default: BUS-)")
        command.add_argument("--json", action="store_true", help="for programs")
    apply.add_argument("--dry-run", action="store_true", help="print the plan only")
    apply.add_argument(
        "--remove", action="store_true", help="also unsubscribe groups the program has not, and remove empty orphans"
    )

    iam = add("iam", _iam, "print access policies with the least that each role needs")
    add_app(iam)
    iam.add_argument("--account", default="*", help="of AWS, twelve digits (default: any)")
    iam.add_argument("--role", choices=("worker", "publisher", "provisioner", "operator"), help="one role only")
    iam.add_argument(
        "--publishes", action="append", metavar="NAME", help="an event or command that publishers send; repeatable"
    )

    history = add("history", _history, "print who changed the recipient list, the newest first")
    history.add_argument("--limit", type=int, default=30, help="how many changes (default: 30)")
    history.add_argument("--json", action="store_true", help="for programs")

    for name, operate, text in (
        (
            "pause",
            _pause,
            "let a group get no copies until it is resumed; what is published meanwhile is lost to it",
        ),
        ("resume", _resume, "let a group get copies again"),
        ("move", _move, "give a group another queue and carry over what is on the old one"),
        ("rename", _rename, "give a group's subscriptions to a group of another name"),
        ("unsubscribe", _unsubscribe, "let a group get no more copies, wait until its queue is empty, remove both"),
    ):
        operation = add(name, partial(_operate, operate), text)
        operation.add_argument("group", help="BUS/GROUP, such as shop/billing")
        if name == "rename":
            operation.add_argument("new", help="its new name, BUS/GROUP")
        else:
            operation.add_argument("--event", metavar="NAME", help="for this event only")
        if name == "move":
            operation.add_argument("queue", help="the new queue")
            operation.add_argument("--no-carry", action="store_true", help="leave messages to its old consumers")
        if name == "unsubscribe":
            operation.add_argument("--no-wait", action="store_true", help="return when it gets no more copies")
            operation.add_argument("--discard", action="store_true", help="throw away what is on its queue")
            operation.add_argument("--dead-letters", action="store_true", help="remove its dead letters too")
    return parser


async def _show(arguments: Namespace) -> int:
    async with connected(arguments, bus_of(arguments)) as live:
        graph = await live.topology.show(depths=not arguments.no_depths)
    if arguments.json:
        say_json(views.as_json(graph))
    elif arguments.dot:
        say(views.as_dot(graph))
    else:
        views.say_graph(graph)
    return DONE


async def _check(arguments: Namespace) -> int:
    async with connected(arguments, bus_of(arguments)) as live:
        findings = await live.topology.check(prefix=arguments.prefix)
    if arguments.json:
        say_json([asdict(finding) for finding in findings])
    else:
        views.say_findings(findings)
    return FOUND if findings else DONE


async def _apply(arguments: Namespace) -> int:
    removals: bool = arguments.remove
    async with connected(arguments, bus_of(arguments)) as live:
        findings = await live.topology.check(prefix=arguments.prefix)
        # The plan is out before anything is done, also where it is JSON.
        if arguments.json:
            say_json([views.as_step(finding, removals=removals) for finding in findings])
        else:
            views.say_plan(findings, removals=removals)
        if arguments.dry_run:
            return FOUND if findings else DONE
        left = await live.topology.apply(findings, removals=removals)
    for finding in left:
        complain(f"busframe topology apply: left alone: {finding.kind}: {finding.queue}: {finding.detail}")
    return FOUND if left else DONE


async def _iam(arguments: Namespace) -> int:
    url, bus = BackendUrl.parse(url_of(arguments)), bus_of(arguments)
    write = policy_writer(url.scheme)
    rows: Sequence[Subscription] = ()
    if recipients_of(arguments):
        async with connected(arguments, bus) as live:
            rows = await live.topology.subscriptions()
    policies = write(url, access_of(bus, rows, arguments.publishes), account=arguments.account)
    say_json(policies[arguments.role] if arguments.role else dict(policies))
    return DONE


async def _history(arguments: Namespace) -> int:
    if arguments.limit < 1:
        raise InvalidArgumentError("--limit", arguments.limit, "1 or more")
    async with connected(arguments, Bus("busframe-cli")) as live:
        changes = await live.topology.history(limit=arguments.limit)
    if arguments.json:
        say_json([asdict(change) for change in changes])
    else:
        views.say_history(changes)
    return DONE


async def _operate(operate: Callable[[Topology, Namespace], Awaitable[None]], arguments: Namespace) -> int:
    if "/" not in arguments.group:
        raise InvalidArgumentError("group", arguments.group, "BUS/GROUP, such as shop/billing")
    async with connected(arguments, Bus("busframe-cli")) as live:
        await operate(live.topology, arguments)
    return DONE


async def _pause(topology: Topology, arguments: Namespace) -> None:
    views.say_changes(await topology.pause(arguments.group, arguments.event))


async def _resume(topology: Topology, arguments: Namespace) -> None:
    views.say_changes(await topology.resume(arguments.group, arguments.event))


async def _rename(topology: Topology, arguments: Namespace) -> None:
    if "/" not in arguments.new:
        raise InvalidArgumentError("new", arguments.new, "BUS/GROUP, such as shop/invoicing")
    views.say_changes(await topology.rename(arguments.group, arguments.new))


async def _move(topology: Topology, arguments: Namespace) -> None:
    # Refuses what is wrong before anything is said to be under way.
    moved(arguments.group, arguments.event, queue_name(arguments.queue))(await topology.subscriptions())
    complain(
        "busframe topology move: copies go to the new queue; waiting for the old one to be empty "
        "(Ctrl-C leaves it draining)"
    )
    views.say_left(await topology.move(arguments.group, arguments.queue, arguments.event, carry=not arguments.no_carry))


async def _unsubscribe(topology: Topology, arguments: Namespace) -> None:
    with_state(arguments.group, arguments.event, "draining")(await topology.subscriptions())
    wait = not arguments.no_wait
    if wait:
        complain("busframe topology unsubscribe: waiting until its queue is empty (Ctrl-C leaves it draining)")
    left = await topology.unsubscribe(
        arguments.group,
        arguments.event,
        wait=wait,
        discard=arguments.discard,
        with_dead_letters=arguments.dead_letters,
    )
    views.say_left(left)
