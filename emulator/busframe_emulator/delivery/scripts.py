"""Scripts: the sparse list of deviations from calm, as plain data.

A script is at once a scripted fault, the recording of a random adversary, what is replayed, what shrinks and what a
strategy draws. Whatever it does not name is calm, so leaving an entry out leaves every other one as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from busframe_emulator.delivery.sites import SITES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from busframe_emulator.delivery.chooser import Key

_PARTS: Final = 3

FORMAT: Final = 1
"""Of the written form; a file of another one is refused."""


class Script:
    """Answers by site and key, in the order in which they were given or written.

    Args:
        entries: the same site and key only once.
    """

    __slots__ = ("_answers",)

    def __init__(self, entries: Iterable[tuple[str, Key, int]] = ()) -> None:
        self._answers: dict[tuple[str, Key], int] = {}
        for site, key, answer in entries:
            if site not in SITES:
                raise ValueError(f"site {site!r}: there is no such site; there are {', '.join(SITES)}")
            self._answers[site, key] = answer

    def answer(self, site: str, key: Key) -> int | None:
        """What it says of this occasion; None: nothing."""
        return self._answers.get((site, key))

    def without(self, entries: Iterable[tuple[str, Key, int]]) -> Script:
        """The same with some entries left out."""
        left_out = {(site, key) for site, key, _ in entries}
        return Script(entry for entry in self if entry[:2] not in left_out)

    def but(self, site: str, key: Key, answer: int) -> Script:
        """The same with another answer, or one more."""
        changed = Script(self)
        changed._answers[site, key] = answer
        return changed

    def __iter__(self) -> Iterator[tuple[str, Key, int]]:
        return iter([(site, key, answer) for (site, key), answer in self._answers.items()])

    def __len__(self) -> int:
        return len(self._answers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Script) and self._answers == other._answers

    def __hash__(self) -> int:
        return hash(frozenset(self._answers.items()))

    def __repr__(self) -> str:
        return f"Script({list(self)!r})"

    # --- the written form -------------------------------------------------------------------------------------------

    def to_data(self) -> dict[str, Any]:
        """The form for JSON: `{"format": 1, "script": [["recv.dup", ["orders", 1, 1], 1], ...]}`."""
        return {"format": FORMAT, "script": [[site, list(key), answer] for site, key, answer in self]}

    @classmethod
    def from_data(cls, data: object) -> Script:
        """Read that form.

        Raises:
            ValueError: it is not of that form; says where.
        """
        if not isinstance(data, dict) or "script" not in data:
            raise ValueError('a script is an object {"format": 1, "script": [[site, key, answer], ...]}')
        written = cast("Mapping[str, Any]", data)
        if written.get("format") != FORMAT:
            raise ValueError(f"format {written.get('format')!r}: this version reads format {FORMAT}")
        return cls(_entry(index, entry) for index, entry in enumerate(written["script"]))


def _entry(index: int, entry: object) -> tuple[str, Key, int]:
    parts = _items(entry)
    key = _items(parts[1]) if len(parts) == _PARTS else []
    if key and isinstance(parts[0], str) and type(parts[2]) is int and all(isinstance(p, str | int) for p in key):
        return parts[0], tuple(key), parts[2]
    raise ValueError(f'entry {index} of the script: {entry!r} is not ["site", [parts of the key], number]')


def _items(value: object) -> list[Any]:
    # mypy knows by now that this is a list of Any, pyright that it is one of Unknown.
    return cast("list[Any]", value) if isinstance(value, list) else []  # type: ignore[redundant-cast]
