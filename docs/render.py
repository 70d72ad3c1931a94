# ruff: noqa: INP001 - a script, not a package
"""Writes what the programs of a page print into the page: `python docs/render.py docs/simulation.md`.

A block of ```python is run, all of them in one namespace. A block of ```text below a comment `<!-- prints: CALL -->` is
replaced by what CALL prints. With --check nothing is written, and a page that is not up to date is an error.
"""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

_BLOCKS = re.compile(
    r"^```python\n(?P<source>.*?)^```|^<!-- prints: (?P<call>.*?) -->\n```text\n.*?^```", re.DOTALL | re.MULTILINE
)


def render(page: str) -> str:
    """The page with what its programs print today."""
    names: dict[str, Any] = {}

    def run(block: re.Match[str]) -> str:
        if block["source"] is not None:
            # Not inheriting what this file has imported from __future__.
            exec(compile(block["source"], "page", "exec", dont_inherit=True), names)  # noqa: S102 - our own page
            return block[0]
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(block["call"], names)  # noqa: S102 - the same
        # All of a replay token would be noise.
        text = re.sub(r"bf1\.(\S{12})\S+", r"bf1.\1...", printed.getvalue())
        return f"<!-- prints: {block['call']} -->\n```text\n{text}```"

    return _BLOCKS.sub(run, page)


def main(arguments: list[str]) -> int:
    """Render pages, or check that they are up to date."""
    stale = 0
    for path in [Path(argument) for argument in arguments if argument != "--check"]:
        before = path.read_text()
        after = render(before)
        if "--check" not in arguments:
            path.write_text(after)
        elif before != after:
            stale += 1
            print(f"{path} is not up to date: make docs")  # noqa: T201 - a command's output
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
