"""Bytes that are hardly HTTP: answered, or the connection is closed on them; the server stays as it was."""

from __future__ import annotations

from random import Random  # noqa: TID251 - seeded, and the seed stands in the failure
from typing import TYPE_CHECKING, Any

import pytest
from emulator_fuzz.asked import Asking
from emulator_fuzz.asking import SILENCE_S
from emulator_fuzz.conftest import MODES
from emulator_fuzz.wire import Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator_fuzz.conftest import Watched

LENGTHS = (
    b"Content-Length: -",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 18446744073709551615\r\nX: ",
    b"Content-Length: 5\r\nContent-Length: ",
    b"Content-Length : ",
    b"Content-Length: 1",
    b"Content-Length: 0x",
    b"X: ",
    b"Transfer-Encoding: chunked\r\nX: ",
    b"Transfer-Encoding: chunked\r\nContent-Length: ",
    b"Transfer-Encoding: gzip\r\nX: ",
    b"Expect: 100-continue\r\nContent-Length: ",
    b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: ",
)
CHUNKS = (
    b"0\r\n\r\n",
    b"5\r\n{}   \r\n0\r\n\r\n",
    b"-1\r\n",
    b"ffffffffffffffffff\r\n",
    b"2;x=y\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
    b"2\n{}\n0\n\n",
    b"zz\r\n",
    b"1\r\n{\r\n1\r\n}\r\n0\r\nX-Amz-Target: AmazonSQS.Dance\r\n\r\n",
)


def stream(seed: int) -> bytes:
    """Some requests, bent where it hurts."""
    chance, asking = Random(seed), Asking(seed)  # noqa: S311 - no secret
    # An answer to HEAD could not be told from others, once it is not known what was asked.
    asked = [request for request in (asking.next() for _ in range(8)) if request.method != "HEAD"]
    data = b"".join(request.encode() for request in asked[: chance.randint(1, 8)])
    if chance.random() < 0.7:
        data = asking.bend(data)
    if chance.random() < 0.4:
        data = data.replace(b"Content-Length: ", chance.choice(LENGTHS), 1)
    if chance.random() < 0.2:
        head, end, rest = data.partition(b"\r\n\r\n")
        head = head.replace(b"Content-Length: ", b"Transfer-Encoding: chunked\r\nX: ")
        data = head + end + chance.choice(CHUNKS) + rest
    return data


def send_at_random(watched: Watched, seed: int) -> None:
    """Send a stream in two pieces, and read until the server closes the connection."""
    data = stream(seed)
    cut = Random(seed).randint(0, len(data))  # noqa: S311 - no secret
    line = Line(watched.port)
    try:
        _ = line.send(data[:cut]) and line.send(data[cut:])
        line.end()
        while True:
            if line.is_silent(SILENCE_S):
                watched.server.advance(20)
            answer = line.read()
            if answer is None:
                break
            assert 100 <= answer.status < 500
        assert not watched.complaints, watched.complaints
    except Exception as error:
        raise AssertionError(f"seed {seed}: {data!r:.4000}") from error
    finally:
        line.close()


@pytest.mark.parametrize("mode", MODES)
def test_whatever_comes_is_answered_or_closed(watch: Callable[[str], Any], mode: str) -> None:
    with watch(mode) as watched:
        for seed in range(150):
            send_at_random(watched, seed)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_whatever_else_comes_is_answered_or_closed(watch: Callable[[str], Any], mode: str) -> None:
    with watch(mode) as watched:
        for seed in range(1000, 4000):
            send_at_random(watched, seed)
