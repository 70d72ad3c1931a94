"""Results as the XML of the Query protocol, by the same classes as in JSON: lists and maps become repeated elements."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from busframe_emulator.api.reading import members_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_UNSPEAKABLE: Final = dict.fromkeys((*range(0x20), 0xFFFE, 0xFFFF), "\N{REPLACEMENT CHARACTER}")
"""XML 1.0 has no way to write these. No message has them, but a refusal repeats what was sent."""

_ESCAPES: Final = str.maketrans(
    _UNSPEAKABLE
    | {ord("\t"): "\t", ord("\n"): "\n", ord("\r"): "&#xD;"}
    | {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}
)
"""Amazon SQS escapes quotation marks and carriage returns too; XML parsers would turn the latter into line feeds."""


def element(name: str, content: str) -> str:
    """One element around what is XML already."""
    return f"<{name}>{content}</{name}>" if content else f"<{name}/>"


def text_element(name: str, text: str) -> str:
    """One element around text."""
    return f"<{name}>{text.translate(_ESCAPES)}</{name}>"


def to_xml(value: Struct) -> str:
    """The members of a result, without an element around them. What is None is left out."""
    return "".join(_members(value))


def _members(value: Struct) -> Iterator[str]:
    for member in members_of(type(value)):
        content = getattr(value, member.field)
        name = member.extra.get("query", member.name)
        if isinstance(content, list):
            for item in cast("list[object]", content):
                yield _element(name, item)
        elif isinstance(content, dict):
            yield from _entries(name, member.extra["key"], cast("Mapping[str, object]", content))
        elif content is not None:
            yield _element(name, content)


def _entries(name: str, key: str, entries: Mapping[str, object]) -> Iterator[str]:
    for entry_key, value in entries.items():
        yield element(name, text_element(key, entry_key) + _element("Value", value))


def _element(name: str, value: Any) -> str:
    match value:
        case Struct():
            return element(name, to_xml(value))
        case bool():
            return element(name, "true" if value else "false")
        case bytes():
            return element(name, b64encode(value).decode("ascii"))
        case _:
            return text_element(name, str(value))
