"""The report of a failed run: what broke, the smallest script that breaks it, a timeline, how to replay it."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from busframe_emulator.delivery.scripts import Script
from busframe_emulator.delivery.sites import NetFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from busframe.simulation.record import Entry
    from busframe.simulation.running import Backend
    from busframe.simulation.trying import Run
    from busframe.simulation.verdicts import Violation
    from busframe_emulator.delivery.chooser import Key

_PREFIX: Final = "bf1."
_LINES_MAX: Final = 40
_BODY_LENGTH: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that broke something.

    Attributes:
        passed: how many seeds had passed before.
        is_calm: it broke in a calm world already.
        found: the run that was found.
        smallest: the run of the smallest script.
        violation: what broke there.
        shrink_runs: how many runs it took to find that.
        replay_by: what stands before the replay token: a command, up to the token.
    """

    name: str
    backend: Backend
    profile: str
    passed: int
    is_calm: bool
    found: Run
    smallest: Run
    violation: Violation
    shrink_runs: int
    replay_by: str = ""


def report(failure: Failure) -> str:
    """Write it for people."""
    return "\n".join(_lines(failure))


def replay_token(failure: Failure) -> str:
    """All that a replay needs, in one word."""
    data = {
        "name": failure.name,
        "backend": failure.backend,
        "seed": failure.smallest.seed,
        **failure.smallest.fired.to_data(),
    }
    packed = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), level=9)
    return _PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a token says."""

    name: str
    backend: Backend
    seed: int
    script: Script


def read_token(token: str) -> Replay:
    """Read a replay token.

    Raises:
        ValueError: it is none, or of another format.
    """
    if not token.startswith(_PREFIX):
        raise ValueError(f"{token[:12]!r}... is no replay token of this version: they begin with {_PREFIX!r}")
    text = token.removeprefix(_PREFIX)
    try:
        data: Any = json.loads(zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"the replay token is damaged: {error}") from error
    return Replay(name=data["name"], backend=data["backend"], seed=data["seed"], script=Script.from_data(data))


def describe(site: str, key: Key, answer: int) -> str:
    """Say one deviation in words."""
    place = " ".join(map(str, key))
    return {
        "send.lag": lambda: f"message {key[1]} of {key[0]} becomes visible {_seconds(answer)} after it was sent",
        "recv.empty": lambda: f"receive {key[1]} of {key[0]} finds nothing, although messages are there",
        "recv.fewer": lambda: f"receive {key[1]} of {key[0]} brings {answer} at most",
        "recv.pick": lambda: f"receive {key[1]} of {key[0]} takes a message {answer} places behind the first",
        "recv.dup": lambda: (
            f"message {key[1]} of {key[0]} is delivered twice (delivery {key[2]} leaves a copy visible)"
        ),
        "delete.zombie": lambda: f"message {key[1]} of {key[0]} comes back {_seconds(answer)} after it was deleted",
        "delete.stale": lambda: f"message {key[1]} of {key[0]} is deleted by an outdated receipt",
        "net": lambda: f"{key[0]}: call {key[2]} of {key[1]}: {_fault(answer)}",
        "net.request": lambda: f"{key[0]}: the request of {key[1]} {key[2]} takes {_seconds(answer)}",
        "net.answer": lambda: f"{key[0]}: the answer to {key[1]} {key[2]} takes {_seconds(answer)}",
        "batch.partial": lambda: f"{key[0]}: entry {key[2]} of batch {key[1]} fails, and nothing is done for it",
        "node.crash": lambda: f"{key[0]} is killed {_seconds(answer)} after start {key[1]}",
        "node.stop": lambda: f"{key[0]} is stopped {_seconds(answer)} after start {key[1]}",
        "node.restart": lambda: f"{key[0]} is started again {_seconds(answer)} after life {key[1]}",
        "node.pause": lambda: f"{key[0]} stands still for {_seconds(answer)} from its {key[1]} {key[2]} on",
        "sched": lambda: f"task {key[0]} lets another go first at its turn {key[1]} among several",
        "app": lambda: f"{key[0]} {key[1]}: the application's own fault",
    }.get(site, lambda: f"{site} {place}: {answer}")()


def timeline(entries: Sequence[Entry], bodies: dict[tuple[str, int], str], marks: Sequence[Entry] = ()) -> list[str]:
    """Write entries as lines, one below the other; marked ones have an arrow."""
    width = max((len(entry.node) for entry in entries), default=0)
    return [_line(entry, bodies, width) + ("   <<" if entry in marks else "") for entry in entries]


def relevant(run: Run, violation: Violation) -> list[Entry]:
    """What of a run has to do with a violation: the messages whose bodies name its key, and what became of nodes."""
    if violation.key is None or isinstance(violation.key, bool):
        return run.entries
    word = str(violation.key)
    named = {place for place, body in run.bodies.items() if word in body}
    if not named:
        return run.entries
    return [
        entry
        for entry in run.entries
        if (entry.queue, entry.message) in named
        or entry.key == violation.key
        or (entry.level != "broker" and not entry.message and entry.key is None)
    ]


def _lines(failure: Failure) -> Iterator[str]:
    violation, smallest = failure.violation, failure.smallest
    if failure.is_calm:
        where = f"in a calm world ({failure.backend}): no adversary is needed"
        yield f"busframe: {violation.check} in {failure.name}, {where}"
    else:
        yield (
            f"busframe: {violation.check} broken in {failure.name} at seed {failure.found.seed} "
            f"({failure.passed} seeds passed; profile {failure.profile}, {failure.backend})"
        )
    yield f"  {violation.text}"
    others = [one for one in smallest.violations if one is not violation]
    for other in others[:3]:
        yield f"  also {other.check}: {other.text}"
    if not failure.is_calm:
        found, left = len(failure.found.fired), len(smallest.fired)
        shrunk = f"{found} deviations -> {left} in {failure.shrink_runs} runs" if failure.shrink_runs else f"{left}"
        yield f"  smallest script ({shrunk}):"
        for entry in smallest.fired:
            yield f"    {describe(*entry)}"
        if not smallest.fired:
            yield f"    nothing: seed {smallest.seed} alone, in a calm world"
    yield "  what happened:"
    lines = timeline(relevant(smallest, violation), smallest.bodies, violation.entries)
    if len(lines) > _LINES_MAX:
        half = _LINES_MAX // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} more ...", *lines[-half:]]
    for line in lines:
        yield f"    {line}"
    if not failure.is_calm:
        yield f"  replay: {failure.replay_by}{replay_token(failure)}"


def _line(entry: Entry, bodies: dict[tuple[str, int], str], width: int) -> str:
    what = f"{entry.queue}#{entry.message}" if entry.message else entry.queue
    more: list[str] = []
    if entry.delivery:
        more.append(f"delivery {entry.delivery}")
    if entry.until_us:
        more.append(f"until t={entry.until_us / 1e6:.3f}")
    if entry.kind == "sent" and entry.message:
        body = bodies.get((entry.queue, entry.message), "")
        more.append(body if len(body) <= _BODY_LENGTH else body[: _BODY_LENGTH - 3] + "...")
    if entry.key is not None:
        more.append(repr(entry.key))
    if entry.text:
        more.append(entry.text)
    who = f"{entry.node or '(broker)':<{max(width, 8)}}"
    return f"t={entry.at_us / 1e6:<12.6f} {who}  {entry.kind:<18} {what:<14} {', '.join(more)}".rstrip()


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
    return words.get(NetFault(answer), str(answer)) if answer in list(NetFault) else "is lost on its way"
