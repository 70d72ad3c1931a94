"""Sends what `asked` makes, and fails at the first answer that is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from emulator_fuzz.asked import Asked, Asking
from emulator_fuzz.wire import Answer, Line

from busframe_emulator.api.errors import COMMON
from busframe_emulator.api.service import HANDLED

if TYPE_CHECKING:
    from emulator_fuzz.conftest import Watched

SILENCE_S = 0.5
"""What takes longer is taken for a long poll that came about by chance, and the clock is moved on."""


def ask_at_random(watched: Watched, seed: int, requests: int) -> None:
    """Send so many requests over one connection, anew when the server closes it.

    Raises:
        AssertionError: with the seed, the number and the request that made it.
    """
    asking = Asking(seed)
    line = Line(watched.port)
    try:
        for number in range(requests):
            asked = asking.next()
            answer = _ask(watched, line, asked)
            try:
                check(asked, answer)
                assert not watched.complaints, watched.complaints
            except Exception as error:
                raise AssertionError(f"seed {seed}, request {number}: {asked!r:.2000} -> {answer!r:.2000}") from error
            if answer is None or answer.headers.get("connection") == "close":
                line.close()
                line = Line(watched.port)
            else:
                asking.learn(answer.body)
    finally:
        line.close()


def check(asked: Asked, answer: Answer | None) -> None:
    """Check that an answer is one, and is what it says it is."""
    if answer is None:
        return  # the connection was closed on something that is not HTTP
    assert 200 <= answer.status < 500
    if not answer.body:
        return
    match answer.headers["content-type"]:
        case "application/x-amz-json-1.0" | "application/json":
            json.loads(answer.body)
        case "text/xml":
            ET.fromstring(answer.body)  # noqa: S314 - the server under test made it
        case kind:
            assert kind.startswith("text/"), kind
    target = asked.headers.get("X-Amz-Target")
    if answer.status >= 400 and target is not None and asked.method == "POST":
        assert answer.headers["x-amzn-query-error"].endswith(";Sender")
        shape = json.loads(answer.body)["__type"].partition("#")[2]
        row = HANDLED.get(target.removeprefix("AmazonSQS."))
        assert shape in COMMON or (row is not None and shape in row.takes.errors), "the table knows no such error"


def _ask(watched: Watched, line: Line, asked: Asked) -> Answer | None:
    if not line.send(asked.encode()):
        return None
    if line.is_silent(SILENCE_S):
        watched.server.advance(20)
    return line.read(head_only=asked.method == "HEAD")
