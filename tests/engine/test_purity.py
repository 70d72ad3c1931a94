"""The engine brings in no clock, no chance, no I/O, no threads."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import busframe_emulator  # the package itself, which is empty
import __future__, base64, binascii, bisect, collections, dataclasses, enum, functools
import hashlib, heapq, struct, typing, zlib
before = set(sys.modules)
import busframe_emulator.engine
import busframe_emulator.engine.requests
after = set(sys.modules)
print(json.dumps([sorted(before), sorted(after - before)]))
"""
# What is imported first are parts of the standard library that compute and do nothing else. They bring modules of their
# own along (dataclasses: inspect, and with it importlib, os and more, by version of Python), so the question is what
# the engine adds to them: only itself. That the interpreter has `time` built in and `os` loaded at its start says
# nothing about the engine; that the engine names neither is the import linter's rule.

IMPURE = {"anyio", "asyncio", "datetime", "logging", "random", "secrets", "select", "socket", "sqlite3", "ssl"} | {
    "subprocess", "tempfile", "threading", "trio", "uuid", "msgspec", "httptools",
}  # fmt: skip


def test_importing_the_engine_imports_nothing_but_itself_and_what_computes() -> None:
    output = subprocess.run([sys.executable, "-I", "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    before, added = json.loads(output)
    foreign = [
        name for name in added if not name.startswith(("busframe_emulator.engine", "busframe_emulator.delivery"))
    ]
    assert foreign == []
    assert IMPURE.isdisjoint(added)
    assert "asyncio" not in before
    assert "random" not in before
    assert "socket" not in before
