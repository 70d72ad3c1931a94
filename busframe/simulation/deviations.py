"""What a deviation from calm means, why it may happen, and where in the record it shows: for reports.

What Amazon SQS may do is said by its documentation: the developer guide (GUIDE below) and the API reference, by action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from busframe_emulator.delivery.scripts import ANY
from busframe_emulator.delivery.sites import NetFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from busframe.simulation.record import Entry
    from busframe_emulator.delivery.chooser import Key
    from busframe_emulator.delivery.scripts import Late, Script

_GUIDE: Final = "Amazon SQS developer guide"
_API: Final = "Amazon SQS API reference"


def describe(site: str, key: Key, answer: int) -> str:
    """Say one deviation in words."""
    words = _WORDS.get(site)
    return f"{site} {' '.join(map(str, key))}: {answer}" if words is None else words(key, answer)


def describe_all(script: Script) -> list[str]:
    """Say all deviations of a script in words, those that are bound late at the end."""
    return [describe(*entry) for entry in script] + [_describe_late(late) for late in script.late]


def _describe_late(late: Late) -> str:
    words = describe(*late[:3])
    if late.when is None:
        return words
    told = late.when.to_data()
    when = told if isinstance(told, str) else ", ".join(f"{name} {value}" for name, value in told.items())
    return f"{words} (once this has happened: {when})"


_WORDS: Final[Mapping[str, Callable[[Key, int], str]]] = {
    "send.lag": lambda key, answer: (
        f"message {key[1]} of {key[0]} becomes visible {_seconds(answer)} after it was sent"
    ),
    "recv.overlimit": lambda key, _: f"receive {key[1]} of {key[0]} hears that too many messages are in flight",
    "recv.empty": lambda key, _: f"receive {key[1]} of {key[0]} finds nothing, although messages are there",
    "recv.fewer": lambda key, answer: f"receive {key[1]} of {key[0]} brings {answer} at most",
    "recv.pick": lambda key, answer: (
        f"receive {key[1]} of {key[0]} passes over {answer} message{'s' if answer > 1 else ''} and takes a later one"
    ),
    "recv.dup": lambda key, _: (
        f"message {key[1]} of {key[0]} is delivered twice (delivery {key[2]} leaves a copy visible)"
    ),
    "delete.zombie": lambda key, answer: (
        f"message {key[1]} of {key[0]} comes back {_seconds(answer)} after its deletion"
    ),
    "delete.stale": lambda key, _: f"message {key[1]} of {key[0]} is deleted by an outdated receipt",
    "counts.stale": lambda key, answer: f"look {key[1]} at the counts of {key[0]} shows old ones ({_seconds(answer)})",
    "attr.lag": lambda key, answer: f"change {key[1]} of {key[0]} takes effect {_seconds(answer)} later",
    "purge.lag": lambda key, answer: f"purge {key[1]} of {key[0]} takes effect {_seconds(answer)} later",
    "purge.reach": lambda key, _: f"purge {key[1]} of {key[0]} takes messages that were sent after it, too",
    "queue.lag": lambda key, answer: f"queue {key[0]} is {key[1]} {_seconds(answer)} later",
    "net": lambda key, answer: f"{key[0]}: call {key[2]} of {key[1]} {_fault(answer)}",
    "net.outage": lambda key, answer: f"{key[0]}: every {key[1]} fails for {_seconds(answer)}, from number {key[2]} on",
    "net.request": lambda key, answer: f"{key[0]}: the request of {key[1]} {key[2]} takes {_seconds(answer)}",
    "net.answer": lambda key, answer: f"{key[0]}: the answer to {key[1]} {key[2]} takes {_seconds(answer)}",
    "batch.partial": lambda key, _: f"{key[0]}: entry {key[2]} of batch {key[1]} fails, and nothing is done for it",
    "node.crash": lambda key, answer: f"{key[0]} is killed {_seconds(answer)} after start {key[1]}",
    "node.stop": lambda key, answer: f"{key[0]} is stopped {_seconds(answer)} after start {key[1]}",
    "node.crash_on": lambda key, answer: f"{key[0]} is killed {_moment(key, answer)}",
    "node.stop_on": lambda key, answer: f"{key[0]} is stopped {_moment(key, answer)}",
    "node.restart": lambda key, answer: f"{key[0]} is started again {_seconds(answer)} after life {key[1]}",
    "node.pause": lambda key, answer: f"{key[0]} stands still for {_seconds(answer)} from its {key[1]} {key[2]} on",
    "sched": lambda key, _: f"task {key[0]} lets another go first at its turn {key[1]} among several",
    "app": lambda key, _: f"{key[0]} {key[1]}: the application's own choice (buggify)",
}

_WHY: Final[Mapping[str, str]] = {
    "send.lag": f"a queue is spread over many servers, and a message need not be on all of them at once ({_GUIDE})",
    "recv.overlimit": f"near the in-flight limit a receive may be refused (ReceiveMessage, OverLimit, {_API})",
    "recv.empty": f"a short poll asks some of the servers only, and may find nothing ({_GUIDE}, short polling)",
    "recv.fewer": f"a receive may bring fewer messages than are there (ReceiveMessage, {_API})",
    "recv.pick": f"a standard queue keeps the order as best it can, and no better ({_GUIDE}, standard queues)",
    "recv.dup": f"a standard queue delivers at least once, and now and then more than once ({_GUIDE}, standard queues)",
    "delete.zombie": f"a server that is away when a message is deleted may deliver it again (DeleteMessage, {_API})",
    "delete.stale": f"an outdated receipt may delete the message, or may not (DeleteMessage, {_API})",
    "counts.stale": f"counts are approximate, and settle a minute after the last send (GetQueueAttributes, {_API})",
    "attr.lag": f"a changed attribute takes up to 60 seconds to take effect (SetQueueAttributes, {_API})",
    "purge.lag": f"a purge takes up to 60 seconds (PurgeQueue, {_API})",
    "purge.reach": f"what is sent while a purge goes on may be gone with it (PurgeQueue, {_API})",
    "queue.lag": f"a queue is there a second after its creation, gone up to 60 seconds after its deletion ({_API})",
    "net.outage": "a service can be away for a while, or for one kind of call",
    "net.request": "a request may take its time, or be tried again by the client underneath",
    "net.answer": "an answer may take its time",
    "batch.partial": f"entries of a batch fail one by one, under HTTP 200 (SendMessageBatch, {_API})",
    "node.crash": "a process can die at any moment: of a power cut, for want of memory, with its machine",
    "node.stop": "a process is stopped whenever a new version is deployed, or fewer are needed",
    "node.crash_on": "a process can die at any moment: between any two of its steps",
    "node.stop_on": "a process can be stopped at any moment: between any two of its steps",
    "node.restart": "a process is started again as soon as its supervisor comes to it",
    "node.pause": "a process can stand still: for garbage collection, on a busy host, in a suspended container",
    "sched": "tasks that are ready at the same moment may run in any order",
    "app": "the application said so itself",
}

_WHY_FAULT: Final[Mapping[int, str]] = {
    NetFault.LOST_ANSWER: "a connection can break after the effect and before the answer: the caller cannot know",
    NetFault.LOST_REQUEST: "a connection can break before the request arrives",
    NetFault.THROTTLED: f"any call may be throttled (common errors, {_API})",
    NetFault.UNAVAILABLE: f"any call may be answered with 503 (common errors, {_API})",
    NetFault.TIMEOUT: "an answer can get lost without a sign: the caller waits, and cannot know",
}


def why(site: str, answer: int) -> str:
    """Say why this may happen."""
    if site == "net":
        return _WHY_FAULT.get(answer, _WHY_FAULT[NetFault.LOST_REQUEST])
    return _WHY[site]


def marks(entries: Sequence[Entry], script: Iterable[tuple[str, Key, int]]) -> dict[int, str]:
    """Where deviations show in a record: the entry's number, and what to say of it.

    Those of which the record has no trace of their own, such as the latency of a call, have none.
    """
    found: dict[int, str] = {}
    lives: dict[str, int] = {}
    by_key = {(site, key): answer for site, key, answer in script}
    for number, entry in enumerate(entries):
        if entry.kind == "started":
            lives[entry.node] = lives.get(entry.node, 0) + 1
        mark = _mark(entry, by_key, lives.get(entry.node, 0))
        if entry.kind == "failure":
            mark = "lost" if "lost" in entry.text or "timeout" in entry.text else "refused"
        if mark:
            found[number] = mark
    return found


def _is_on_event(site: str, entry: Entry, script: Iterable[tuple[str, Key]]) -> bool:
    return any(known == site and key[0] == entry.node for known, key in script)


_PLAIN_MARKS: Final[Mapping[str, str]] = {
    "paused": "stands still",
    "outage": "out of reach",
    "late": "late",
    "entry_failed": "refused",
}


def _mark(entry: Entry, script: Mapping[tuple[str, Key], int], life: int) -> str | None:  # noqa: PLR0911 - a table
    place, delivery = (entry.queue, entry.message), entry.delivery
    match entry.kind:
        case "sent" if ("send.lag", place) in script:
            return "visible late"
        case "delivered" if ("recv.dup", (*place, delivery - 1)) in script:
            return "duplicate"
        case "delivered" if ("recv.dup", (*place, delivery)) in script:
            return "leaves a copy visible"
        case "deleted" if ("delete.zombie", (*place, delivery)) in script:
            return "one server missed it"
        case "visible" if any(site == "delete.zombie" and key[:2] == place for site, key in script):
            return "back"
        case "deleted" if ("delete.stale", (*place, delivery)) in script:
            return "by an outdated receipt"
        case "killed" if ("node.crash", (entry.node, life)) in script or _is_on_event("node.crash_on", entry, script):
            return "crash"
        case "stopped" if ("node.stop", (entry.node, life)) in script or _is_on_event("node.stop_on", entry, script):
            return "stop"
        case kind:
            return _PLAIN_MARKS.get(kind)


def _moment(key: Key, microseconds: int) -> str:
    when = f"{_seconds(microseconds)} after" if microseconds > 0 else "at"
    return f"{when} {'that moment' if key[1] == ANY else f'{key[1]!r} number {key[2]} of the run'}"


def _seconds(microseconds: int) -> str:
    return f"{microseconds / 1e6:g} s"


def _fault(answer: int) -> str:
    words = {
        NetFault.LOST_ANSWER: "takes effect, and its answer is lost",
        NetFault.LOST_REQUEST: "is lost on its way",
        NetFault.THROTTLED: "is throttled",
        NetFault.UNAVAILABLE: "is answered with 503, and nothing is done",
        NetFault.TIMEOUT: "takes effect, and the caller waits for an answer until it times out",
    }
    return words.get(NetFault(answer), str(answer)) if answer in list(NetFault) else words[NetFault.LOST_REQUEST]
