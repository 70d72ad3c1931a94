"""What the commands say of themselves, for the tests of commands and of the pages that name them."""

from __future__ import annotations

import io
import re
import tomllib
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
DECLARED: dict[str, str] = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"][
    "busframe.commands"
]
"""The functions of the commands, by name; whether or not this checkout's entry points are installed."""


@cache
def help_of(*words: str) -> str:
    """What `busframe WORDS --help` prints."""
    # The emulator's own function stops the garbage collector, for good.
    function = "busframe_emulator.server.command:main" if words[0] == "emulator" else DECLARED[words[0]]
    module, _, name = function.partition(":")
    printed = io.StringIO()
    with redirect_stdout(printed), pytest.raises(SystemExit, match="0"):
        getattr(import_module(module), name)([*words[1:], "--help"])
    return printed.getvalue()


def inner_commands(name: str) -> list[str]:
    """Those that a command has of its own."""
    text = help_of(name)
    return re.findall(r"^    ([a-z]+)\b", text, re.MULTILINE) if "COMMAND ..." in text else []
