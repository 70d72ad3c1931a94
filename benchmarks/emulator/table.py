"""One table for all: what was measured, beside the peer, and beside what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass

_HEADINGS = ("case", "busframe", "peer", "ratio", "asked: at least / aim", "met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a value has to reach.

    Attributes:
        bound: what it has to be.
        aim: what would be better still.
        upward: whether more is better.
    """

    bound: float
    aim: float | None = None
    upward: bool = True

    def __str__(self) -> str:
        word = "at least" if self.upward else "at most"
        return f"{word} {self.bound:g}" + (f" / {self.aim:g}" if self.aim is not None else "")

    def verdict(self, value: float) -> str:
        if self.aim is not None and self._reaches(value, self.aim):
            return "aim"
        return "yes" if self._reaches(value, self.bound) else "NO"

    def _reaches(self, value: float, bound: float) -> bool:
        return value >= bound if self.upward else value <= bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line. A cell that has nothing to say is empty."""

    case: str
    busframe: str
    peer: str = ""
    ratio: str = ""
    asked: str = ""
    met: str = ""


def compared(case: str, ours: float, theirs: float | None, form: str, asked: Asked | None = None) -> Row:
    """A row about the ratio of two values.

    Args:
        case: its name.
        ours, theirs: the values; None if there is no peer.
        form: how to write them, such as "{:,.0f}/s".
        asked: of the ratio of ours to theirs.
    """
    if theirs is None:
        return Row(case=case, busframe=form.format(ours), asked=str(asked or ""))
    ratio = ours / theirs
    return Row(
        case=case,
        busframe=form.format(ours),
        peer=form.format(theirs),
        ratio=f"{ratio:.2f}",
        asked=f"{asked} of the peer" if asked else "",
        met=asked.verdict(ratio) if asked else "",
    )


def absolute(case: str, ours: float, theirs: float | None, form: str, asked: Asked) -> Row:
    """A row about a value that is asked for as it is, whatever the peer has."""
    return Row(
        case=case,
        busframe=form.format(ours),
        peer="" if theirs is None else form.format(theirs),
        ratio="" if not theirs else f"{ours / theirs:.2f}",
        asked=str(asked),
        met=asked.verdict(ours),
    )


def show(title: str, rows: list[Row], *notes: str) -> None:
    """Print a table."""
    cells = [_HEADINGS, *((row.case, row.busframe, row.peer, row.ratio, row.asked, row.met) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADINGS))]
    print(f"\n## {title}\n", flush=True)
    for number, line in enumerate(cells):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for note in notes:
        print(f"\n{note}", flush=True)
