"""How `busframe topology` shows what it has found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from busframe import runtime
from busframe.cli.output import age, say, say_table
from busframe.queue_names import dead_queue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from busframe.backend import QueueStats
    from busframe.message import QueueName
    from busframe.recipients import Change, Subscription
    from busframe.topology.drift import Finding
    from busframe.topology.graph import Graph
    from busframe.topology.leaving import Left

_DEPTHS = ("visible", "in flight", "delayed", "oldest", "dead")


def say_graph(graph: Graph) -> None:
    """Print the graph: a line for each way from a topic to a queue."""
    depths = _DEPTHS if graph.queues else ()
    if graph.subscriptions:
        say_table(
            ("topic", "group", "queue", "state", "filter", *depths),
            [
                (row.topic, row.group, row.queue, row.state, _filter(row), *_depths(graph, row.queue))
                for row in sorted(graph.subscriptions, key=lambda row: row.topic)
            ],
        )
    elif graph.version is None:
        say("there is no recipient list")
    else:
        say("nobody has subscribed to anything")
    if graph.commands:
        say()
        say_table(
            ("command", "queue", *depths),
            [(name, queue, *_depths(graph, queue)) for name, queue in sorted(graph.commands.items())],
        )


def _filter(row: Subscription) -> str | None:
    return row.filter if row.filter is None or row.filter_on == "headers" else f"{row.filter_on}: {row.filter}"


def _depths(graph: Graph, queue: QueueName) -> tuple[object, ...]:
    if not graph.queues:
        return ()
    stats = graph.queues.get(queue)
    dead = graph.queues.get(dead_queue(queue))
    letters = None if dead is None else dead.total
    if stats is None:
        return ("missing", None, None, None, letters)
    return (stats.visible, stats.in_flight, stats.delayed, age(stats.oldest_age_s), letters)


def as_json(graph: Graph) -> dict[str, Any]:
    """The graph for programs."""
    return {
        "version": graph.version,
        "subscriptions": [asdict(row) for row in graph.subscriptions],
        "commands": dict(graph.commands),
        "queues": {name: _stats(stats) for name, stats in sorted(graph.queues.items())},
    }


def _stats(stats: QueueStats | None) -> dict[str, Any] | None:
    return None if stats is None else asdict(stats)


def as_dot(graph: Graph) -> str:
    """The graph for Graphviz."""
    lines = ["digraph topology {", "  rankdir=LR;"]
    topics = {row.topic for row in graph.subscriptions}
    lines += [f'  "{name}" [shape=box];' for name in sorted(topics | graph.commands.keys())]
    for queue in sorted({row.queue for row in graph.subscriptions} | set(graph.commands.values())):
        stats = graph.queues.get(queue)
        depth = "" if stats is None else f"\\n{stats.total}"
        lines += [f'  "queue {queue}" [label="{queue}{depth}", shape=cds];']
    for row in graph.subscriptions:
        style = "" if row.state == "active" else ", style=dashed"
        said = [row.group, *([] if row.state == "active" else [row.state]), *([row.filter] if row.filter else [])]
        label = "\\n".join(text.replace("\\", "\\\\").replace('"', '\\"') for text in said)
        lines.append(f'  "{row.topic}" -> "queue {row.queue}" [label="{label}"{style}];')
    lines += [f'  "{name}" -> "queue {queue}";' for name, queue in sorted(graph.commands.items())]
    return "\n".join([*lines, "}"])


def say_findings(findings: Sequence[Finding]) -> None:
    """Print where program, list and queues differ."""
    if not findings:
        say("program, recipient list and queues agree")
        return
    say_table(
        ("difference", "queue", "topic", "group", "detail"),
        [(found.kind, found.queue, found.topic, found.group, found.detail) for found in findings],
    )


def as_step(finding: Finding, *, removals: bool) -> dict[str, Any]:
    """What `apply` will do about a finding, for programs."""
    return {**asdict(finding), "step": finding.repair or (finding.removal if removals else None)}


def say_plan(findings: Sequence[Finding], *, removals: bool) -> None:
    """Print what `apply` will do."""
    if not findings:
        say("nothing to do: program, recipient list and queues agree")
        return
    rows: list[tuple[object, ...]] = []
    for found in findings:
        step = found.repair or (found.removal if removals else None)
        if step is None:
            step = f"nothing; with --remove: {found.removal}" if found.removal else "nothing: see the detail"
        rows.append((step, found.queue, found.topic, found.group, found.detail))
    say_table(("step", "queue", "topic", "group", "because"), rows)


def say_history(changes: Sequence[Change]) -> None:
    """Print changes of the list."""
    say_table(
        ("version", "when", "by", "what", "topic", "group", "queue"),
        [
            (
                change.version,
                runtime.iso_time(change.at_s),
                change.by,
                change.what,
                change.topic,
                change.group,
                change.queue,
            )
            for change in changes
        ],
    )


def say_changes(changes: Sequence[Change]) -> None:
    """Print changes just made."""
    if not changes:
        say("nothing to change: it is so already")
    for change in changes:
        say(f"{change.group}: {change.topic} on {change.queue}: {change.what}")


def say_left(left: Sequence[Left]) -> None:
    """Print queues that were removed."""
    for gone in left:
        kept = ""
        if gone.dead_letters:
            dead = gone.dead_letters
            kept = f"; its dead letters are still on {dead}" if gone.seen else f"; {dead} looks empty, and is left"
        say(f"queue {gone.queue} is removed{kept}")
