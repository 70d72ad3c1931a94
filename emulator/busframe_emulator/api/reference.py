"""The reference page of the actions, written from the table that the emulator itself goes by.

python -m busframe_emulator.api.reference > docs/actions.md
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from msgspec import Struct, inspect

from busframe_emulator.api import actions, results
from busframe_emulator.api.attributes import FACTS, FIFO_SETTINGS, SETTINGS, Setting
from busframe_emulator.api.errors import CATALOGUE, COMMON
from busframe_emulator.api.reading import Member, bare, members_of
from busframe_emulator.api.receiving import SYSTEM_ATTRIBUTES
from busframe_emulator.api.service import HANDLED
from busframe_emulator.engine.settings import QueueSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD: Final = """\
# The actions

All {count} actions of Amazon SQS, API version 2012-11-05, as the emulator takes and answers them. This page is written
from the table that the emulator goes by (`python -m busframe_emulator.api.reference`), and a test holds it to that.

Members have their JSON names. Where the Query protocol has another, it is beside it: lists and maps are flattened
there, `AttributeName.1`, `Attribute.1.Name` with `Attribute.1.Value`. Required members, and those that are in every
answer, are **bold**; an empty text is as good as none. Numbers have their range; one outside of it is refused with
InvalidParameterValue. Members that are not known are ignored, as SQS does.
"""

_WORDS: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "text",
    inspect.IntType: "integer",
    inspect.BoolType: "true or false",
    inspect.BytesType: "bytes in base64",
}

_TAKEN: Final = (actions.AttributeValue, actions.SendEntry, actions.DeleteEntry, actions.VisibilityEntry)
_ANSWERED: Final = (results.Message, results.SentEntry, results.SettledEntry, results.FailedEntry, results.MoveTask)

_ERRORS: Final = """\
## Errors

The JSON protocol has the shape in `__type`, behind its namespace, and the code in the header `x-amzn-query-error`,
which is what botocore shows as `Error.Code`. The Query protocol has the code.
"""


def render() -> str:
    """The whole page, in Markdown."""
    parts = [_HEAD.format(count=len(HANDLED)), *(_action(name) for name in sorted(HANDLED))]
    parts += [_parts("Structures that are taken", _TAKEN), _parts("Structures that are answered", _ANSWERED)]
    parts += [_attributes(), _errors()]
    return "\n".join(parts)


def _action(name: str) -> str:
    action = HANDLED[name]
    lines = [f"## {name}", "", _summary(action.takes), ""]
    lines += _members_table(action.takes)
    result = get_type_hints(action.handle, vars(sys.modules[action.handle.__module__]) | _LATE).get("return")
    lines += [f"Answers: {_result(result)}.", ""]
    own = ", ".join(CATALOGUE[shape].code for shape in sorted(action.takes.errors))
    lines += [f"Errors of its own: {own}." if own else "No errors of its own.", ""]
    return "\n".join(lines)


def _parts(title: str, parts: Iterable[type[Struct]]) -> str:
    """The structures inside of members."""
    lines = [f"## {title}", ""]
    for part in parts:
        lines += [f"### {part.__name__}", "", _summary(part), "", *_members_table(part)]
    return "\n".join(lines)


def _attributes() -> str:
    """The names inside of maps and lists."""
    defaults = QueueSettings()
    rows = [
        (name, setting.values, _default(setting, defaults), "FIFO" if name in FIFO_SETTINGS else "all")
        for name, setting in (SETTINGS | FIFO_SETTINGS).items()
    ]
    lines = [
        "## Attributes",
        "",
        "Queue attributes that can be set; all values are text. An empty one removes those whose default is none.",
        "",
        *_table(("attribute", "value", "default", "queues"), rows),
        f"Queue attributes that can only be read: {', '.join(FACTS)}.",
        "",
        f"Attributes of a received message: {', '.join(SYSTEM_ATTRIBUTES)}.",
        "",
    ]
    return "\n".join(lines)


def _default(setting: Setting, settings: QueueSettings) -> str:
    value: object = getattr(settings, setting.field)
    return "none" if value is None else setting.show(value)


def _errors() -> str:
    rows = [
        (shape, row.code, str(row.status), "any action" if shape in COMMON else _who(shape))
        for shape, row in CATALOGUE.items()
    ]
    return "\n".join([_ERRORS, *_table(("shape", "code", "status", "where"), rows)])


def _who(shape: str) -> str:
    return ", ".join(sorted(name for name, row in HANDLED.items() if shape in row.takes.errors)) or "never"


def _summary(part: type[Struct]) -> str:
    """What the class says of itself, with members by their JSON names."""
    text = " ".join((part.__doc__ or "").split())
    for member in members_of(part):
        text = text.replace(f"`{member.field}`", member.name)
    return text


def _members_table(part: type[Struct]) -> list[str]:
    members = members_of(part)
    if not members:
        return ["It takes no members.", ""]
    rows = [(_name(member), member.extra.get("query", ""), _value(member)) for member in members]
    return _table(("member", "Query", "value"), rows)


def _name(member: Member) -> str:
    return f"**{member.name}**" if member.required else member.name


def _value(member: Member) -> str:
    """What a member can be."""
    match member.kind:
        case inspect.IntType(ge=low, le=high) if high is not None:
            return str(member.extra.get("checked", f"{low} to {high}"))
        case kind:
            return _WORDS.get(type(kind)) or _kind(kind)


def _kind(kind: inspect.Type) -> str:
    match kind:
        case inspect.ListType():
            return f"list of {_kind(bare(kind.item_type)[0])}"
        case inspect.DictType():
            return f"map to {_kind(bare(kind.value_type)[0])}"
        case inspect.StructType():
            return kind.cls.__name__
        case _:
            return _WORDS[type(kind)]


def _result(result: Any) -> str:
    """What an action answers, by the members of its result."""
    classes = [each for each in (getattr(result, "__args__", None) or (result,)) if isinstance(each, type)]
    found = next((each for each in classes if issubclass(each, Struct)), None)
    if found is None:
        return "nothing but that it is done"
    return ", ".join(member.name for member in members_of(found))


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> list[str]:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return [line(head), line("---" for _ in head), *map(line, rows), ""]


def _late() -> Iterator[tuple[str, object]]:
    """The names that handlers import for type checkers only."""
    from busframe_emulator.api.caller import Caller
    from busframe_emulator.engine.engine import Engine

    yield from (("Caller", Caller), ("Engine", Engine))


_LATE: Final = dict(_late())


if __name__ == "__main__":
    sys.stdout.write(render())
