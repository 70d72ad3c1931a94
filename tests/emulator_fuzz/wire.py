"""One TCP connection, and what a test can tell of it."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """A bare TCP connection. Nothing in it waits longer than `PATIENCE_S`: to wait that long is a hang."""

    PATIENCE_S = 20

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=self.PATIENCE_S)
        self._read = self.socket.makefile("rb")

    def send(self, data: bytes) -> bool:
        """Send; false if the other side has left."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def end(self) -> None:
        """Send no more."""
        with suppress(OSError):  # it has left
            self.socket.shutdown(socket.SHUT_WR)

    def read(self, *, head_only: bool = False) -> Answer | None:
        """Read one response; None if the other side has left instead."""
        try:
            start = self._read.readline()
            if not start:
                return None
            headers: dict[str, str] = {}
            while (line := self._read.readline().strip()) != b"":
                name, _, value = line.decode("latin-1").partition(": ")
                headers[name.lower()] = value
            length = 0 if head_only else int(headers.get("content-length", 0))
            return Answer(int(start.split()[1]), headers, self._read.read(length))
        except ConnectionResetError:
            return None

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return not select.select([self.socket], [], [], seconds)[0]

    def is_writable(self, seconds: float) -> bool:
        """Whether more can be sent within so long."""
        return bool(select.select([], [self.socket], [], seconds)[1])

    def close(self) -> None:
        self._read.close()
        self.socket.close()
