"""The report of a failed run: what broke, the smallest script that breaks it, a timeline, how to replay it."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from busframe.simulation.deviations import describe, marks, why
from busframe.simulation.narrating import about, narrate, relevant, shortened, told, written
from busframe_emulator.delivery.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from busframe.simulation.record import Entry
    from busframe.simulation.running import Backend
    from busframe.simulation.trying import Run
    from busframe.simulation.verdicts import Violation

_PREFIX: Final = "bf1."
_SCRIPT_MAX: Final = 8
_OTHERS_MAX: Final = 3
_TEXT_LINES_MAX: Final = 8
_WIDTH: Final = 116


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that broke something.

    Attributes:
        passed: how many seeds had passed before.
        is_calm: it broke in a calm world already.
        of_search: it is wrong with all runs together, and no single one shows it.
        found: the run that was found.
        smallest: the run of the smallest script.
        violation: what broke there.
        shrink_runs: how many runs it took to find that.
        replay_by: what stands before the replay token: a command, up to the token.
        test: in which test it was found; empty if in none.
        is_replay: it was known before, and run once more.
        calm_entries: the record of the calm run, to compare with.
        hazards: what was seen there that is dangerous although nothing went wrong.
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
    test: str = ""
    is_replay: bool = False
    calm_entries: Sequence[Entry] = ()
    hazards: Sequence[Violation] = ()
    of_search: bool = False


def report(failure: Failure) -> str:
    """Write it for people."""
    return "\n".join(_lines(failure))


def replay_token(failure: Failure) -> str:
    """All that a replay needs, in one word."""
    data = {
        "name": failure.name,
        "backend": failure.backend,
        "seed": failure.smallest.seed,
        **({"test": failure.test} if failure.test not in ("", failure.name) else {}),
        **failure.smallest.fired.to_data(),
    }
    packed = zlib.compress(json.dumps(data, separators=(",", ":")).encode(), level=9)
    return _PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a token says.

    Attributes:
        test: in which test it was found, if that is not `name`; empty if nobody says.
    """

    name: str
    backend: Backend
    seed: int
    script: Script
    test: str = ""


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
        raise ValueError(f"the replay token is damaged, or not all of it was copied: {error}") from error
    return Replay(
        name=data["name"],
        backend=data["backend"],
        seed=data["seed"],
        script=Script.from_data(data),
        test=data.get("test", ""),
    )


def pointed_at(failure: Failure) -> tuple[dict[int, str], dict[int, str]]:
    """What to say of entries of the smallest run, by number: where a deviation shows, and where something is wrong."""
    entries = failure.smallest.entries
    wrong = {id(entry) for entry in failure.violation.entries}
    broken = {number: failure.violation.check for number, entry in enumerate(entries) if id(entry) in wrong}
    return marks(entries, failure.smallest.fired), broken


def replay_command(failure: Failure) -> str:
    """What to type, or hand to `replay`."""
    return f"{failure.replay_by}{replay_token(failure)}"


def _lines(failure: Failure) -> Iterator[str]:
    violation, smallest = failure.violation, failure.smallest
    if failure.of_search:
        tried = f"{failure.passed} seeds tried; profile {failure.profile}, {failure.backend}"
        yield f"busframe: {violation.check}: {failure.name} ({tried})"
        yield from _indented(violation.text, 2)
        return
    # An error is named by its class, and is nothing that could be broken.
    what = f"{violation.check} in" if violation.check[:1].isupper() else f"{violation.check} broken in"
    what = what.replace(" in a node in", " in a node of")
    if failure.is_calm:
        where = f"in a calm world ({failure.backend}): no adversary is needed"
        yield f"busframe: {what} {failure.name}, {where}"
    else:
        yield (
            f"busframe: {what} {failure.name} at seed {failure.found.seed} "
            f"({failure.passed} seeds passed; profile {failure.profile}, {failure.backend})"
        )
    yield from _indented(violation.text, 2)
    # Two checks may say the same: exactly once is at least once.
    others = {one.text: one for one in reversed(smallest.violations) if one.text != violation.text}
    for other in list(reversed(others.values()))[:_OTHERS_MAX]:
        yield from _indented(f"also {other.check}: {other.text}", 2)
    if not failure.is_calm:
        yield from _script(failure)
    yield from _story(failure)
    for hazard in failure.hazards:
        yield from wrap(
            f"  hazard seen in the calm run: {hazard.check}: {hazard.text}", _WIDTH, subsequent_indent=" " * 4
        )
    yield f"  replay: {replay_command(failure)}"


def _script(failure: Failure) -> Iterator[str]:
    found, script = len(failure.found.fired), list(failure.smallest.fired)
    shrunk = f" ({found} deviations -> {len(script)} in {failure.shrink_runs} runs)" if failure.shrink_runs else ""
    if not script:
        yield f"  smallest script{shrunk}: nothing; it is enough that chance falls as in seed {failure.smallest.seed}"
        return
    yield f"  smallest script{shrunk}:"
    said: set[str] = set()
    for site, key, answer in script[:_SCRIPT_MAX]:
        yield f"    {describe(site, key, answer)}"
        reason = why(site, answer)
        if reason not in said:
            said.add(reason)
            yield from wrap(f"allowed: {reason}", _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8)
    if len(script) > _SCRIPT_MAX:
        yield f"    and {len(script) - _SCRIPT_MAX} more"


def _story(failure: Failure) -> Iterator[str]:
    violation, run = failure.violation, failure.smallest
    lines = narrate(run.entries, *pointed_at(failure))
    messages = about(run.bodies, violation, run.reads_keys)
    chosen = relevant(lines, messages, violation.key, run.bodies)
    everything = f"all messages, none of which names {violation.key!r}" if violation.entries else "all messages"
    what = everything if messages is None else ", ".join(f"{queue}#{nth}" for queue, nth in sorted(messages)[:4])
    if messages is not None and len(messages) > 4:  # noqa: PLR2004 - as many as are named
        what += ", ..."
    if chosen:
        yield f"  what happened to {what} (virtual seconds):"
    for line in written(shortened(chosen), run.bodies):
        yield f"    {line}"
    yield from _difference(failure)


def _difference(failure: Failure) -> Iterator[str]:
    """Say where the run left the way that the calm run took."""
    calm = failure.calm_entries
    if not calm or failure.is_calm:
        return
    for one, other in zip_longest(failure.smallest.entries, calm):
        if one != other:
            here, there = (told(entry, failure.smallest.bodies) if entry else "its end" for entry in (one, other))
            yield f"  first difference from the calm run: {here}"
            yield f"    (calm: {there})"
            return


def _indented(text: str, width: int) -> Iterator[str]:
    first, *rest = text.splitlines() or [""]
    yield f"{'':{width}}{first}"
    for line in rest[:_TEXT_LINES_MAX]:
        yield f"{'':{width + 2}}{line}"
