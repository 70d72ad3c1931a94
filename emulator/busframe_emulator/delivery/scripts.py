"""Scripts: the sparse list of deviations from calm, as plain data.

A script is at once a scripted fault, the recording of a random adversary, what is replayed, what shrinks and what a
strategy draws. Whatever it does not name is calm, so leaving an entry out leaves every other one as it was.

An entry whose key has a `*` is bound late: to the first question that it fits, and no other. What it did is recorded
with the key of that question. So is one that waits for a trigger (`triggers`), which fits nothing before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from busframe_emulator.delivery.sites import SITES
from busframe_emulator.delivery.triggers import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from busframe_emulator.delivery.chooser import Key

ANY: Final = "*"
"""In the place of a part of a key: whatever it is."""

FORMAT: Final = 1
"""Of the written form; a file of another one is refused."""


class Late(NamedTuple):
    """An answer to the first question that fits.

    Attributes:
        key: parts that are `*` fit anything.
        receive: only what is asked on behalf of this receive of the queue that the key begins with; None: of any.
        when: only what is asked once this has happened; None: at any time.
    """

    site: str
    key: Key
    answer: int
    receive: int | None = None
    when: Trigger | None = None

    @property
    def more(self) -> dict[str, object]:
        """What its written form says besides site, key and answer."""
        more: dict[str, object] = {}
        if self.receive is not None:
            more["receive"] = self.receive
        if self.when is not None:
            more["when"] = self.when.to_data()
        return more

    def fits(self, site: str, key: Key) -> bool:
        """Whether it may answer this question, in whatever receive that is."""
        return (
            site == self.site
            and len(key) == len(self.key)
            and all(mine in (ANY, part) for mine, part in zip(self.key, key, strict=True))
        )


class Script:
    """Answers by site and key, in the order in which they were given or written.

    Args:
        entries: the same site and key only once, save those with a `*`.
        late: more entries that are bound late.

    Attributes:
        late: all entries that are. Iteration, length and the methods below are about the others.
    """

    __slots__ = ("_answers", "late")

    def __init__(self, entries: Iterable[tuple[str, Key, int]] = (), late: Iterable[Late] = ()) -> None:
        self._answers: dict[tuple[str, Key], int] = {}
        bound_late = list(late)
        for site, key, answer in entries:
            if ANY in key:
                bound_late.append(Late(site, key, answer))
            else:
                _require_site(site)
                self._answers[site, key] = answer
        for entry in bound_late:
            _require_site(entry.site)
        self.late = tuple(bound_late)

    def answer(self, site: str, key: Key) -> int | None:
        """What it says of this occasion; None: nothing."""
        return self._answers.get((site, key))

    def without(self, entries: Iterable[tuple[str, Key, int]]) -> Script:
        """The same with some entries left out."""
        left_out = {(site, key) for site, key, _ in entries}
        return Script((entry for entry in self if entry[:2] not in left_out), self.late)

    def but(self, site: str, key: Key, answer: int) -> Script:
        """The same with another answer, or one more."""
        changed = Script(self, self.late)
        changed._answers[site, key] = answer
        return changed

    def common(self, other: Script) -> Script:
        """What both say, late entries included."""
        late = list(other.late)
        both: list[Late] = []
        for entry in self.late:
            if entry in late:
                late.remove(entry)
                both.append(entry)
        return Script((entry for entry in self if other.answer(*entry[:2]) == entry[2]), both)

    def __iter__(self) -> Iterator[tuple[str, Key, int]]:
        return iter([(site, key, answer) for (site, key), answer in self._answers.items()])

    def __len__(self) -> int:
        return len(self._answers)

    def __bool__(self) -> bool:
        return bool(self._answers or self.late)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Script) and self._answers == other._answers and self.late == other.late

    def __hash__(self) -> int:
        return hash((frozenset(self._answers.items()), self.late))

    def __repr__(self) -> str:
        return f"Script({list(self)!r}" + (f", {list(self.late)!r})" if self.late else ")")

    # --- the written form -------------------------------------------------------------------------------------------

    def to_data(self) -> dict[str, Any]:
        """The form for JSON: `{"format": 1, "script": [["recv.dup", ["orders", 1, 1], 1], ...]}`.

        Late ones are like the others, with a fourth part where they are of one receive, `{"receive": 3}`, or wait for
        a trigger, `{"when": {"kind": "deleted", "queue": "orders"}}`.
        """
        written: list[list[object]] = [[site, list(key), answer] for site, key, answer in self]
        for late in self.late:
            entry: list[object] = [late.site, list(late.key), late.answer]
            written.append([*entry, late.more] if late.more else entry)
        return {"format": FORMAT, "script": written}

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
        read = [_entry(index, entry) for index, entry in enumerate(_items(written["script"]))]
        late = [entry for entry in read if isinstance(entry, Late)]
        return cls([entry for entry in read if not isinstance(entry, Late)], late)


def _require_site(site: str) -> None:
    if site not in SITES:
        raise ValueError(f"site {site!r}: there is no such site; there are {', '.join(SITES)}")


def _items(script: object) -> list[Any]:
    if isinstance(script, list):
        # mypy knows by now that this is a list of Any, pyright that it is one of Unknown.
        return cast("list[Any]", script)  # type: ignore[redundant-cast]
    raise ValueError(f"script {script!r}: it is not a list of entries")


def _entry(index: int, entry: Any) -> tuple[str, Key, int] | Late:
    match entry:
        case [str(site), [_, *_] as key, int(answer), *more] if _is_key(key) and not isinstance(answer, bool):
            if not more:
                return Late(site, tuple(key), answer) if ANY in key else (site, tuple(key), answer)
            match more:
                case [{"receive": int(receive), **others}] if not others and receive > 0:
                    return Late(site, tuple(key), answer, receive)
                case [{"when": {**when}, **others}] if not others:
                    try:
                        return Late(site, tuple(key), answer, when=Trigger.from_data(cast("dict[str, Any]", when)))
                    except ValueError as error:
                        raise ValueError(f"entry {index} of the script: {error}") from None
                case _:
                    pass
        case _:
            pass
    raise ValueError(f'entry {index} of the script: {entry!r} is not ["site", [parts of the key], number]')


def _is_key(key: Sequence[Any]) -> bool:
    return all(isinstance(part, str) or type(part) is int for part in key)
