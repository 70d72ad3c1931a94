"""What a command says: tables for people, JSON for programs, errors on standard error."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def say(text: str = "") -> None:
    """Write a line to standard output, if there is one."""
    print(text)  # noqa: T201 - a command line speaks so


def complain(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def fall_silent() -> None:
    """Say nothing any more: whoever read the output has seen enough, such as `head`.

    Python would complain of it when it flushes at the end.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say_json(value: object) -> None:
    """Write a value as JSON."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def say_json_line(value: object) -> None:
    """Write a value as JSON on a line of its own, and let whoever reads have it at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)  # noqa: T201 - as above


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows below each other, aligned. Numbers stand right; None is a dash, and so is empty text.

    Args:
        columns: their headings.
        rows: each as long as `columns`.
    """
    body = [list(row) for row in rows]
    texts = [[_text(value) for value in row] for row in body]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    right = [_is_of_numbers(column) for column in zip(*body, strict=True)] or [False] * len(columns)
    for row in ([column.upper() for column in columns], *texts):
        cells = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        ]
        say("  ".join(cells).rstrip())


def age(seconds: float | None) -> str | None:
    """A time span as people say it: 850 ms, 12 s, 3 min, 5 h, 2 d."""
    if seconds is None:
        return None
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, size, until in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < until:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def _is_of_numbers(column: Iterable[object]) -> bool:
    return all(value is None or isinstance(value, (int, float)) for value in column)


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
