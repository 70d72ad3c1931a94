"""Form-encoded parameters to the objects that JSON would have had, by the table of actions.

Lists and maps are flattened: `SendMessageBatchRequestEntry.2.MessageAttribute.1.Value.StringValue=x`. A member answers
to its flattened name and to its own ("MessageAttribute.1" and "MessageAttributes.1"), as it does on Amazon SQS.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from msgspec import inspect

from busframe_emulator.api.errors import malformed_input, missing_parameter
from busframe_emulator.api.reading import bare, members_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from msgspec import Struct

PARAMETERS_MAX: Final = 2_000
"""A batch of ten messages with ten attributes each has 360."""

_DEPTH_MAX: Final = 10
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII).fullmatch
_INTEGER: Final = re.compile(r"-?[0-9]{1,10}", re.ASCII).fullmatch


class Node:
    """A name or part of a name: its own value, and what is below it ("Attribute" has "1", which has "Name")."""

    __slots__ = ("below", "text")

    def __init__(self) -> None:
        self.text: str | None = None
        self.below: dict[str, Node] = {}

    def value(self, name: str) -> str | None:
        """The value of what is directly below."""
        node = self.below.get(name)
        return None if node is None else node.text

    def numbered(self) -> Iterator[tuple[int, Node]]:
        """The items of a list, in the order of their numbers, wherever these begin and whatever is left out.

        Without numbers it is a list of one, as in Amazon's own examples ("Attribute.Name=DelaySeconds"); an empty value
        is how SDKs write an empty list.
        """
        numbers = sorted(int(name) for name in self.below if _NUMBER(name))
        for number in numbers:
            yield number, self.below[str(number)]
        if not numbers and (self.below or self.text):
            yield 1, self


def parse(encoded: bytes) -> Node:
    """Read parameters into a tree. The first of two values of one name wins.

    Raises:
        SqsError: not form-encoded UTF-8, or too many parameters.
    """
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
    except ValueError:
        raise malformed_input("The request's parameters cannot be read.") from None
    root = Node()
    for name, text in pairs:
        node = root
        for part in name.split(".", _DEPTH_MAX):
            node = node.below.setdefault(part, Node())
        if node.text is None:
            node.text = text
    return root


def to_object(action: type[Struct], node: Node) -> dict[str, object]:
    """What `reading.read` takes: the members of an action, or of a part of one, that were given."""
    members: dict[str, object] = {}
    for member in members_of(action):
        name = member.name
        # CreateQueue's "tags" begins with a small letter in JSON only.
        for spelling in (member.extra.get("query", name), name, name[0].upper() + name[1:]):
            given = node.below.get(spelling)
            if given is not None:
                members[name] = _to_value(member.kind, member.extra, given)
                break
    return members


def _to_value(kind: inspect.Type, extra: Mapping[str, Any], node: Node) -> object:
    match kind:
        case inspect.IntType():
            return int(node.text) if node.text and _INTEGER(node.text) else node.text
        case inspect.ListType():
            item_kind, item_extra = bare(kind.item_type)
            return [_to_value(item_kind, item_extra, item) for _, item in node.numbered()]
        case inspect.DictType():
            value_kind, value_extra = bare(kind.value_type)
            entries: dict[str, object] = {}
            for number, entry in node.numbered():
                name = entry.value(extra["key"])
                if name is None:
                    raise missing_parameter(f"{extra['query']}.{number}.{extra['key']}")
                entries[name] = _to_value(value_kind, value_extra, entry.below.get("Value", Node()))
            return entries
        case inspect.StructType():
            return to_object(kind.cls, node)
        case _:
            return node.text or ""
